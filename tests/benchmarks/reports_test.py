"""Tests of what every benchmark's file says."""

import json

import numpy as np
import pytest

from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.storage import files
from tests import programs

COMMITTED = sorted((programs.ROOT / "benchmarks").glob("*.json"))


def test_a_table_is_printed_and_a_file_written(tmp_path, capsys):
  rows = [{"what": "a", "s": 0.123456, "n": 7}, {"what": "long", "s": None, "n": 12345}]
  flags = experiment_flags.Flags("A benchmark.")
  flags.add(int, "steps", 1, "of something")
  experiment_flags.add_output(flags, None, "file")
  out = str(tmp_path / "rows.json")
  reports.report(
    "x/tried.py", flags.parse(["tried.py", f"--out={out}", "--steps=3"]), rows, data="n"
  )
  assert capsys.readouterr().out.splitlines() == [
    "what       s      n",
    "a     0.1235      7",
    "long       -  12345",
  ]
  written = files.read_json(out)
  assert list(written) == ["command", "machine", "versions", "data", "rows"]
  assert written["rows"] == rows and written["data"] == "n"
  assert written["command"].startswith("python -m benchmarks.tried --")
  assert "--steps=3" in written["command"]
  assert written["machine"]["cores"] >= 1 and written["versions"]["numpy"] == np.__version__
  assert set(written["versions"]) >= {"python", "tensorflow", "commit"}


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  flags = experiment_flags.Flags("A benchmark.")
  experiment_flags.add_output(flags, None, "file")
  reports.report("tried.py", flags.parse(["tried.py"]), [{"n": 1}])
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_committed_file_says_what_it_hangs_on(path):
  found = json.loads(path.read_text())
  module = found["command"].removeprefix("python -m benchmarks.").split()[0].replace(".", "/")
  assert (programs.ROOT / "benchmarks" / f"{module}.py").exists()
  assert "machine" in found and len(found["versions"]["commit"]) >= 12
