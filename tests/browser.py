"""A real browser for tests: Debian's Chromium, driven by Playwright, which downloads none itself.

Anything that a page says on its console as an error, and any request beyond where it came from,
fails the test. Screenshots stay in pytest's temporary directory: `--basetemp=shots` keeps them.
"""

from collections.abc import Iterator
import contextlib
import pathlib
import shutil
import time
from typing import Any

import pytest

try:
  from playwright import sync_api
except ModuleNotFoundError:
  sync_api = None  # type: ignore[assignment]

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
HOW = "apt-get install chromium; python -m pip install playwright"
needed = pytest.mark.skipif(
  not (PROGRAM and sync_api), reason=f"needs Chromium and Playwright: {HOW}"
)
SECONDS = 60  # to wait for what a page draws


@contextlib.contextmanager
def opened(
  address: str, size: tuple[int, int] = (1300, 1000), is_dark: bool = False
) -> Iterator[Any]:
  """Opens a page of `size` pixels, and looks at the end at what it said and asked for."""
  origin = "/".join(address.split("/")[:3])
  errors: list[str] = []
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
    scheme = "dark" if is_dark else "light"
    page = browser.new_page(
      viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    page.set_default_timeout(1000 * SECONDS)
    page.on("console", lambda m: m.type == "error" and errors.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: errors.append(f"error: {error}"))
    page.on("request", lambda r: is_beyond(r.url, origin) and errors.append(f"asks {r.url}"))
    page.goto(address)
    try:
      yield page
    finally:
      browser.close()
  assert not errors, errors


def is_beyond(url: str, origin: str) -> bool:
  """Whether a request leaves the place where the page came from."""
  return not url.startswith((origin, "data:", "blob:"))


def shoot(page: Any, path: pathlib.Path):
  """Keeps a screenshot, and says where."""
  page.screenshot(path=path)
  print(f"Screenshot: {path}")


def set_slider(place: Any, name: str, value: int):
  """Moves a slider as a keyboard does: Home, and so often the arrow to the right."""
  slider = place.locator(f"input[name={name}]")
  slider.focus()
  slider.press("Home")
  for _ in range(value):
    slider.press("ArrowRight")


def wait_until(place: Any, expression: str):
  """Waits until an expression is true; Playwright's own way needs a page that allows eval."""
  end = time.monotonic() + SECONDS
  while not place.evaluate(expression):
    assert time.monotonic() < end, f"Not true after {SECONDS} seconds: {expression}"
    time.sleep(0.1)


def drawn(place: Any, panel: str, name: str) -> list[list[float]]:
  """The points of a line as they are drawn, in the units of the axes: `[[x, y], ...]`.

  They are read from the SVG path, not from the data that were given to Plotly.
  """
  script = """(panel, name) => {
    const index = panel.data.findIndex((trace) => trace.name === name);
    const line = panel.querySelectorAll(".scatterlayer .trace")[index];
    const path = line.querySelector(".js-line").getAttribute("d");
    const { xaxis, yaxis } = panel._fullLayout;
    return path.slice(1).split("L").map((pair) => {
      const [x, y] = pair.split(",").map(Number);
      return [xaxis.p2l(x), yaxis.p2l(y)];
    });
  }"""
  return place.locator(panel).evaluate(script, name)
