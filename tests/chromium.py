"""A headless Chromium for tests, driven through its DevTools pipe: Debian's package `chromium`."""

import base64
from collections.abc import Iterator
import contextlib
import json
import os
import select
import shutil
import signal
import time
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
SECONDS = 60  # to wait for an answer, or for what a page draws
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--no-first-run")


class Page:
  """An open page."""

  def __init__(self, commands: int, answers: int, address: str):
    """Opens `address`; `commands` and `answers` are the ends of Chromium's pipes."""
    self._commands, self._answers, self._buffer, self._count = commands, answers, b"", 0
    self._session = {}
    while not (targets := self._pages()):
      time.sleep(0.1)
    answer = self._call("Target.attachToTarget", targetId=targets[0], flatten=True)
    self._session = {"sessionId": answer["sessionId"]}
    self._call("Page.navigate", url=address)

  def _pages(self) -> list[str]:
    targets = self._call("Target.getTargets")["targetInfos"]
    return [target["targetId"] for target in targets if target["type"] == "page"]

  def _call(self, method: str, **params: Any) -> Any:
    """Sends a command and returns its result; other messages are dropped."""
    self._count += 1
    message = {"id": self._count, "method": method, "params": params, **self._session}
    os.write(self._commands, json.dumps(message).encode() + b"\0")
    while True:
      answer = json.loads(self._next_message())
      if answer.get("id") == self._count:
        assert "error" not in answer, answer
        return answer["result"]

  def _next_message(self) -> bytes:
    end = time.monotonic() + SECONDS
    while b"\0" not in self._buffer:
      ready, _, _ = select.select([self._answers], [], [], max(0, end - time.monotonic()))
      assert ready, f"Chromium has not answered for {SECONDS} seconds."
      self._buffer += os.read(self._answers, 2**20)
    message, _, self._buffer = self._buffer.partition(b"\0")
    return message

  def evaluate(self, expression: str) -> Any:
    """Returns the value of a JavaScript expression."""
    result = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
    return result["result"].get("value")

  def wait_for(self, expression: str):
    """Waits until a JavaScript expression is true."""
    end = time.monotonic() + SECONDS
    while not self.evaluate(expression):
      assert time.monotonic() < end, f"Not true after {SECONDS} seconds: {expression}"
      time.sleep(0.2)

  def screenshot(self) -> bytes:
    """Returns what is seen, as PNG."""
    return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])


@contextlib.contextmanager
def opened(address: str, profile: str, size: tuple[int, int]) -> Iterator[Page]:
  """Starts Chromium with its files in `profile`, opens a page of `size` pixels, and ends it all."""
  (command_out, command_in), (answer_out, answer_in) = os.pipe(), os.pipe()
  words = [PROGRAM, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
  words += [f"--window-size={size[0]},{size[1]}", "about:blank"]
  files = [(os.POSIX_SPAWN_DUP2, command_out, 3), (os.POSIX_SPAWN_DUP2, answer_in, 4)]
  files.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))  # it complains a lot
  pid = os.posix_spawn(PROGRAM, words, os.environ, file_actions=files, setpgroup=0)
  try:
    yield Page(command_in, answer_out, address)
  finally:
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for end in (command_out, command_in, answer_out, answer_in):
      os.close(end)
