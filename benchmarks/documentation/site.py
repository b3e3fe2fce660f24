"""A hook of MkDocs: brings README.md, the cards and linked files into the site of docs/.

Links are written for a reader of the repository: `../l2l_tf/unroll.py`, `docs/zoo.md`. Here each is
turned into the place that the file has on the site.
"""

import os
import posixpath
import re
from typing import Any

PAGES = {
  "README.md": "index.md",
  "CONTRIBUTING.md": "contributing.md",
  "SECURITY.md": "security.md",
  "CHANGELOG.md": "changelog.md",
}
CARD = re.compile(r"l2l_tf/pretrained/(\w+)/README\.md")
LINK = re.compile(r"(\]\(|<img src=\")([^)\s\"#:]+)(#[^)\s\"]*)?([)\"])")
CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
  """Adds the pages that lie outside docs/, and the files that pages link to."""
  from mkdocs.structure.files import File

  root = os.path.dirname(config.config_file_path)
  paths = [*PAGES, *_cards(root)]
  for page in [*paths, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]:
    with open(os.path.join(root, page), encoding="utf-8") as file:
      paths += [path for path in linked(page, file.read()) if path not in paths]
  for path in paths:
    if place(path) != path.removeprefix("docs/") or not path.startswith("docs/"):
      if not os.path.isfile(os.path.join(root, path)):
        raise ValueError(f"A link names {path}, which is not there.")
      files.append(File.generated(config, place(path), abs_src_path=os.path.join(root, path)))
  return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
  """Turns the links of a page into those of the site."""
  root = os.path.dirname(config.config_file_path)
  source = os.path.relpath(page.file.abs_src_path, root).replace(os.sep, "/")
  return relinked(source, markdown)


def relinked(source: str, text: str) -> str:
  """The text of a page, which lies at `source` in the repository, with the links of the site."""

  def link(match: re.Match[str]) -> str:
    before, target, anchor, after = match.groups()
    place_ = posixpath.relpath(place(_path(source, target)), posixpath.dirname(place(source)))
    return f"{before}{place_}{anchor or ''}{after}"

  parts = CODE.split(text)
  return "".join(x if k % 2 else LINK.sub(link, x) for k, x in enumerate(parts))


def linked(source: str, text: str) -> list[str]:
  """The files outside docs/ that a page links to, by their paths in the repository."""
  parts = CODE.split(text)[::2]
  found = [_path(source, match[1]) for part in parts for match in LINK.findall(part)]
  return sorted({path for path in found if not path.startswith("docs/")})


def place(path: str) -> str:
  """Where a file of the repository lies on the site."""
  if path.startswith("docs/"):
    return path.removeprefix("docs/")
  if card := CARD.fullmatch(path):
    return f"pretrained/{card[1]}.md"
  return PAGES.get(path, f"source/{path}")


def _path(source: str, target: str) -> str:
  return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _cards(root: str) -> list[str]:
  folder = os.path.join(root, "l2l_tf", "pretrained")
  cards = [f"l2l_tf/pretrained/{name}/README.md" for name in sorted(os.listdir(folder))]
  return [card for card in cards if os.path.isfile(os.path.join(root, card))]
