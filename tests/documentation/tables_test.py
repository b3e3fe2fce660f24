"""Every table of numbers in README.md and docs/ is that of the results."""

import pathlib
import re

import pytest

from benchmarks import tables
from benchmarks.documentation import markdown
from l2l_tf.cli import experiment_flags
from tests import programs
from tests import sources

PAGES = {path: pathlib.Path(path).read_text() for path in tables.pages(str(sources.ROOT))}
NAMES = [name for text in PAGES.values() for name in re.findall(r"<!-- table: (\w+) -->", text)]


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
  monkeypatch.chdir(sources.ROOT)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.removeprefix(f"{sources.ROOT}/"))
def test_a_page_has_the_tables_of_the_results(path):
  """Else run `make tables`."""
  assert tables.filled(PAGES[path]) == PAGES[path]
  assert PAGES[path].count("<!-- table: ") == len(tables.PLACE.findall(PAGES[path]))


def test_every_table_stands_somewhere():
  assert set(NAMES) == set(tables.TABLES)


def test_the_program_writes_where_it_is_told_only(tmp_path, monkeypatch, capsys):
  (tmp_path / "docs").mkdir()
  readme = tmp_path / "README.md"
  empty = "a\n\n<!-- table: own_ground -->\n\n<!-- end of table -->\n\nb\n"
  readme.write_text(empty * 2)
  for name in ("results", "benchmarks"):
    (tmp_path / name).symlink_to(sources.ROOT / name)
  monkeypatch.chdir(tmp_path)
  assert programs.run(tables.main) == 1
  assert "Not the tables of the results: ./README.md" in capsys.readouterr().out
  assert readme.read_text() == empty * 2
  assert programs.run(tables.main, "--root=.") == 0
  assert readme.read_text().count("0.637 (0.617–0.657)") == 2 and "\n\nb\na\n" in readme.read_text()
  assert programs.run(tables.main) == 0


def test_a_table_of_another_name_is_an_error():
  with pytest.raises(experiment_flags.UsageError, match="Unknown table 'mnits'; known: mnist"):
    tables.filled("<!-- table: mnits -->\n\n<!-- end of table -->")


@pytest.mark.parametrize(
  "mean, half, text",
  [
    (0.42045, 0.0035, "0.420 ± 0.004"),
    (2166.4, 87.2, "2,166 ± 87"),
    (408242.1, 294914.8, "4.1e+05 ± 2.9e+05"),
    (1.1e10, None, "1.1e+10"),
    (None, None, "diverged"),
  ],
)
def test_how_numbers_are_written(mean, half, text):
  assert markdown.pm({"mean": mean, "half": half}) == text
