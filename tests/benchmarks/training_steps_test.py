"""What a step of training takes: both optimizers in turn on a task of the benchmark."""

import json
import re

import pytest

from benchmarks import training_steps
from l2l_tf.cli import experiment_flags
from tests import sources


@pytest.mark.slow
def test_both_are_timed(tmp_path, monkeypatch):
  monkeypatch.setattr(training_steps, "NUM_STEPS", 201)
  out = tmp_path / "out.json"
  arguments = ["--task=digits_sigmoid", "--repeats=1", f"--out={out}"]
  assert training_steps.main(["program", *arguments]) == 0
  (row,) = json.loads(out.read_text())["rows"]
  assert row["task"] == "digits_sigmoid" and row["adam_ms"] > 0
  assert row["ratio"] == pytest.approx(row["general_ms"] / row["adam_ms"])


def test_an_unknown_task():
  with pytest.raises(experiment_flags.UsageError, match="digits_sigmoids"):
    training_steps.main(["program", "--task=digits_sigmoids"])


def test_the_committed_ones_are_of_the_held_out_families():
  document = json.loads((sources.ROOT / "benchmarks" / "training_steps.json").read_text())
  assert len(document["rows"]) == 20
  words = f"takes {document['median_ratio']:.1f} times as long as with Adam"
  assert re.search(words, (sources.ROOT / "README.md").read_text())
