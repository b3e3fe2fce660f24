"""Links, commands and words of README.md, of docs/ and of the cards."""

import json
import re

import pytest

from benchmarks.documentation import site
from tests import sources

CARDS = sorted((sources.ROOT / "l2l_tf" / "pretrained").glob("*/README.md"))
DOCS = sorted((sources.ROOT / "docs").rglob("*.md"))
TOP = [sources.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [path.relative_to(sources.ROOT).as_posix() for path in [*TOP, *DOCS, *CARDS]]
NOTEBOOKS = sorted((sources.ROOT / "examples" / "notebooks").glob("*.ipynb"))
GENERATED = "docs/zoo.md"
GONE = (  # sentences that newcomers stumbled over
  "that come with a Python package",
  "how fast it went, the final loss how far",
  "Our aim at step 100",
  "a run passes over them",
  "takes the first of the rivals",
  "θ is the picture, f a sum",
  "none of the rivals\nreaches",
  "throws its first steps so",
  "that is painted by",
  "as often as 4 %",
  "says what there is to see",
  "down to the last byte",
  "learns what it would on one device",
  "had stood there",
  "slowly lost what",
  "greedy",
  "What moves it is",
  "can it has from",
)


def text(page: str) -> str:
  return (sources.ROOT / page).read_text(encoding="utf-8")


def anchors(page: str) -> set[str]:
  """The anchors of the headings of a page, as GitHub makes them."""
  titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL), re.M)
  plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
  return {title.strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere_in_the_repository(page):
  prose = "".join(site.CODE.split(text(page))[::2])
  for _, target, anchor, _ in site.LINK.findall(prose):
    path = site._path(page, target)
    assert (sources.ROOT / path).is_file(), target
    assert not anchor or anchor[1:] in anchors(path), f"{target}{anchor}"
  for anchor in re.findall(r"\]\((#[^)]*)\)", prose):
    assert anchor[1:] in anchors(page), anchor


def test_links_are_turned_into_those_of_the_site():
  links = "[a](../README.md#train-one) [b](../l2l_tf/pretrained/general/README.md) [c](zoo.md)"
  links += " [d](../examples/own_optimizer.py) [e](https://x.org/a) `[f](../g)`"
  assert site.relinked("docs/experiments/../faq.md", links) == (
    "[a](index.md#train-one) [b](pretrained/general.md) [c](zoo.md)"
    " [d](source/examples/own_optimizer.py) [e](https://x.org/a) `[f](../g)`"
  )
  assert site.relinked("README.md", "![x](docs/figures/y.png)") == "![x](figures/y.png)"
  own = ["README.md", "examples/own_optimizer.py", "l2l_tf/pretrained/general/README.md"]
  assert site.linked("docs/faq.md", links) == own


@pytest.mark.parametrize("page", PAGES)
def test_commands_run_in_bash_and_zsh(page):
  """zsh takes no comment behind a command, and does not split $WORDS."""
  for block in re.findall(r"^ *```sh\n(.*?)```", text(page), re.DOTALL | re.MULTILINE):
    for line in block.splitlines():
      assert "#" not in line, line
      assert not re.search(r"(^|\s)\$[A-Z]\b", line), line
      assert "../shared" not in line, line


@pytest.mark.parametrize("page", [page for page in PAGES if page != GENERATED])
def test_words(page):
  """φ and θ_0 in one spelling; what newcomers stumbled over is gone."""
  prose = "".join(site.CODE.split(text(page))[::2])
  if page not in ("docs/glossary.md", "docs/format.md"):
    assert not re.search(r"\b(phi|theta|theta_0|θ0|θ₀)\b", prose)
  for words in GONE:
    assert words not in prose


def test_the_map_names_what_is_there():
  rows = re.findall(r"^\| .+? \| .+? \| `(.+?)`: `(\w+)` \|$", text("docs/paper_map.md"), re.M)
  assert len(rows) >= 28
  for path, name in rows:
    found = re.search(rf"^(def|class) {name}\b|^{name}\b.* = ", text(path), re.MULTILINE)
    assert found, f"{path} has no {name}."


def test_every_page_of_docs_is_in_the_navigation():
  navigation = text("mkdocs.yml").split("\nnav:\n")[1]
  pages = {path.relative_to(sources.ROOT / "docs").as_posix() for path in DOCS}
  pages |= {site.place(path.relative_to(sources.ROOT).as_posix()) for path in CARDS}
  pages |= set(site.PAGES.values())
  assert set(re.findall(r"[\w/]+\.md", navigation)) == pages


def test_the_how_to_shows_the_example():
  example = (sources.ROOT / "examples" / "own_optimizer.py").read_text()
  (block,) = re.findall(r"```python\n(class Tiny.*?)```", text("docs/own_optimizer.md"), re.DOTALL)
  assert block.strip() in example


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_small_and_without_outputs(path):
  cells = json.loads(path.read_text())["cells"]
  assert path.stat().st_size < 20_000
  assert all(cell.get("outputs", []) == [] for cell in cells)
  links = [link for cell in cells for link in site.LINK.findall("".join(cell["source"]))]
  folder = path.parent.relative_to(sources.ROOT).as_posix()
  for _, target, _, _ in links:
    assert (sources.ROOT / site._path(f"{folder}/x", target)).is_file(), target
