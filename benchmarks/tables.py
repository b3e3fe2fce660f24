"""Writes the tables of README.md and docs/ from results: python -m benchmarks.tables --root=.

A table stands between <!-- table: NAME --> and <!-- end of table -->. Without --root nothing is
written: the program says which tables are not those of the results, and ends with status 1.
"""

from collections.abc import Callable, Sequence
import glob
import os
import re

from benchmarks.documentation import cost_tables
from benchmarks.documentation import other_tables
from benchmarks.documentation import paper_tables
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths

TABLES: dict[str, Callable[[], str]] = {
  **paper_tables.TABLES,
  **other_tables.TABLES,
  **cost_tables.TABLES,
}
PLACE = re.compile(r"<!-- table: (\w+) -->\n((?:(?!<!--).)*)<!-- end of table -->", re.DOTALL)


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "root", None, "folder of README.md and docs/ to write into, such as .")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  stale = []
  for path in pages(flags.root or "."):
    with open(path, encoding="utf-8") as file:
      text = file.read()
    now = filled(text)
    if now != text:
      stale.append(path)
      if flags.root:
        with open(path, "w", encoding="utf-8") as file:
          file.write(now)
  if stale:
    print(f"{'Written' if flags.root else 'Not the tables of the results'}: {', '.join(stale)}")
  return int(bool(stale) and not flags.root)


def pages(root: str) -> list[str]:
  """The Markdown files that may have tables."""
  below = glob.glob(os.path.join(root, "docs", "**", "*.md"), recursive=True)
  return [os.path.join(root, "README.md"), *sorted(below)]


def filled(text: str) -> str:
  """The text of a page with its tables as results have them.

  Raises:
    UsageError: for a table of another name.
  """

  def table(match: re.Match[str]) -> str:
    name = match[1]
    if name not in TABLES:
      known = ", ".join(TABLES)
      raise experiment_flags.UsageError(f"Unknown table {name!r}; known: {known}.")
    return f"<!-- table: {name} -->\n\n{TABLES[name]()}\n<!-- end of table -->"

  return PLACE.sub(table, text)


if __name__ == "__main__":
  experiment_flags.run(main)
