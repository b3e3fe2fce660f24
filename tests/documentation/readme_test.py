"""README.md is short, and tells of the benchmark what docs/zoo.md does."""

import re

from tests import sources

README = (sources.ROOT / "README.md").read_text()


def test_it_is_short_and_everything_else_is_a_link():
  assert len(README.splitlines()) <= 130
  assert README.count("\n```python") == 1 and README.count("make train") >= 1


def test_its_one_table_of_numbers_is_of_the_page():
  page = (sources.ROOT / "docs" / "zoo.md").read_text()
  part = README.split("## Use it in Keras\n")[1].split("\n## ")[0]
  rows = [line for line in part.splitlines() if line.startswith("|")][2:]
  against = page.split("## general against each of the others\n")[1].split("\n## ")[0].splitlines()
  assert len(rows) == 8 and set(rows) <= set(against)
  names = {row.split(" | ")[0] for row in rows}
  assert {"| tuned Adam", "| Adam", "| Celo", "| Prodigy", "| NAdamWCosine"} <= names
  for table in page.split("## Held-out families, ")[1:]:
    lines = table.split("\n## ")[0].splitlines()
    (line,) = (line for line in lines if line.startswith("| general |"))
    assert line.split(" | ")[3] in part  # the speed-up over tuned Adam
  assert "docs/figures/zoo_profile.png" in part
  others = README.replace(part, "")
  assert not re.search(r"^\|.*\d\.\d", others, re.MULTILINE)
