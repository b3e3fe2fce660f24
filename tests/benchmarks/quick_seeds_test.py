"""Tests of benchmarks/quick_seeds.py, and of what the first run promises."""

import collections
import json
import subprocess

import numpy as np
import pytest

from benchmarks import quick_seeds
from l2l_tf.storage import files
from tests import programs

RESULTS = programs.ROOT / "results"
COMMITTED = RESULTS / "quick_seeds.json"


def row(group, mean, final):
  return {"group": group, "mean_ratio": mean, "final_ratio": final}


def test_a_summary_has_the_median_and_the_worst_of_each_group():
  rows = {"a": row("x", 0.7, 0.9), "b": row("x", 0.8, 1.1), "c": row("x", 0.6, 0.8)}
  rows["d"] = row("y", 0.5, 0.4)
  x, y = (quick_seeds.summary(rows)[group] for group in "xy")
  assert x == {
    "cases": 3,
    **{"mean_median": 0.7, "mean_worst": 0.8, "final_median": 0.9, "final_worst": 1.1},
  }
  assert y["cases"] == 1 and y["mean_worst"] == 0.5


def test_the_cases_are_those_that_are_promised():
  counts = collections.Counter(case.group for case in quick_seeds.CASES.values())
  assert counts == {
    **{"digits": 10, "digits_variants": 4, "mnist": 3},
    **{"quadratic": 5, "cifar10": 3, "neural_art": 3},
  }
  seeds = {case.seed for case in quick_seeds.CASES.values() if case.group == "digits"}
  assert seeds == set(range(10))


@pytest.mark.parametrize(
  "arguments, message",
  [
    ([], "Name the results file"),
    (["--out=x.json", "--cases=digits_0,digits_99"], "Unknown case 'digits_99'; known: digits_0"),
    (["--out=x.json", "--jobs=0"], "--jobs must be an integer of 1..64, got 0"),
  ],
)
def test_bad_flags_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert programs.run(quick_seeds.main, *arguments) == 2
  assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_finished_cases_are_not_trained_again(tmp_path, monkeypatch, capsys):
  """A training that fails is named; what was finished before stays."""
  rows = {"digits_0": row("digits", 0.7, 0.9), "quadratic_0": row("quadratic", 0.2, 0.4)}
  out = tmp_path / "seeds.json"
  (tmp_path / "seeds.json.work").mkdir()
  for name, content in rows.items():
    path = tmp_path / "seeds.json.work" / f"{name}_40.json"
    path.write_text(json.dumps(content | {"rival": "adam@0.03"}))

  def fail(*args, **kwargs):
    raise OSError("no training here")

  monkeypatch.setattr(subprocess, "Popen", fail)
  runs = f"--runs={tmp_path / 'runs'}"
  arguments = (f"--out={out}", runs, "--cases=digits_0,quadratic_0,digits_1")
  assert programs.run(quick_seeds.main, *arguments) == 1
  assert "no training here" in capsys.readouterr().err and not out.exists()
  arguments = (f"--out={out}", runs, "--cases=digits_0,quadratic_0")
  assert programs.run(quick_seeds.main, *arguments) == 0
  found = files.read_json(str(out))
  assert found["summary"]["quadratic"]["final_worst"] == 0.4
  assert found["cases"].keys() == rows.keys() and not (tmp_path / "seeds.json.work").exists()


def test_a_group_stands_for_its_cases(tmp_path, capsys):
  (tmp_path / "seeds.json.work").mkdir()
  for name in ("digits_0", "mnist_0", "mnist_1", "mnist_2"):
    path = tmp_path / "seeds.json.work" / f"{name}_40.json"
    path.write_text(json.dumps(row(name.split("_")[0], 0.7, 0.9) | {"rival": "adam@0.03"}))
  out = f"--out={tmp_path / 'seeds.json'}"
  assert programs.run(quick_seeds.main, out, "--cases=mnist,digits_0,mnist_0") == 0
  found = files.read_json(str(tmp_path / "seeds.json"))
  assert list(found["cases"]) == ["mnist_0", "mnist_1", "mnist_2", "digits_0"]


@pytest.mark.parametrize(
  "arguments, lost",
  [
    (["--cases=digits_0"], "case digits_1 of 100 steps (now none)"),
    (["--test_runs=39"], "test_runs 40 (now 39)"),
  ],
)
def test_fewer_never_replace_more(arguments, lost, tmp_path, capsys):
  """And nothing is trained before that shows."""
  out = tmp_path / "seeds.json"
  out.write_bytes(COMMITTED.read_bytes())
  assert programs.run(quick_seeds.main, f"--out={out}", *arguments) == 1
  assert lost in capsys.readouterr().err and list(tmp_path.iterdir()) == [out]
  assert out.read_bytes() == COMMITTED.read_bytes()
  out.write_text("[]")
  assert programs.run(quick_seeds.main, f"--out={out}", *arguments) == 1
  assert "is no file of this program" in capsys.readouterr().err and out.read_text() == "[]"


def test_the_results_are_of_all_cases():
  documents = [files.read_json(str(path)) for path in sorted(RESULTS.glob("quick_seeds*.json"))]
  names = [name for document in documents for name in document["cases"]]
  assert sorted(names) == sorted(quick_seeds.CASES)
  for document in documents:
    assert document["versions"]["commit"]
    assert document["summary"] == quick_seeds.summary(document["cases"])


def test_the_first_run_wins_everywhere():
  """`make train`, and on quadratics; on CIFAR-10 and neural art in final loss."""
  found = files.read_json(str(COMMITTED))
  for case in found["cases"].values():
    if case["group"] == "quadratic":
      assert case["final_ratio"] <= 0.6
    else:
      assert case["mean_ratio"] <= 0.85 and case["final_ratio"] <= 1.0
  for name in ("cifar10", "neural_art"):
    others = files.read_json(str(RESULTS / f"quick_seeds_{name}.json"))["cases"]
    assert all(case["final_interval"][1] < 1 for case in others.values())
  digits = [c["mean_ratio"] for c in found["cases"].values() if c["group"] == "digits"]
  assert np.median(digits) <= 0.75
