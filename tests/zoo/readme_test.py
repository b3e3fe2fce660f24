"""README.md tells of the benchmark what docs/zoo.md does."""

from tests import sources


def test_the_table_of_the_readme_is_of_the_page():
  readme, page = ((sources.ROOT / name).read_text() for name in ("README.md", "docs/zoo.md"))
  part = readme.split("## One line in your own Keras model\n")[1].split("\n## ")[0]
  rows = [line for line in part.splitlines() if line.startswith("|")]
  against = page.split("## general against each of the others\n")[1].split("\n## ")[0].splitlines()
  assert len(rows) >= 7 and set(rows) <= set(against)
  names = [row.split(" | ")[0] for row in rows]
  assert {"| tuned Adam", "| Adam", "| Celo", "| Prodigy", "| NAdamWCosine"} <= set(names)
  for table in page.split("## Held-out families, ")[1:]:
    lines = table.split("\n## ")[0].splitlines()
    (line,) = (line for line in lines if line.startswith("| general |"))
    assert line.split(" | ")[3] in part  # the speed-up over tuned Adam
