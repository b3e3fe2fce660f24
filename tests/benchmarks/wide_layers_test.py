"""`general` beside Adam on layers of any width: the same runs for all, at the best rate."""

import json

import numpy as np
import pytest

from benchmarks import wide_layers
from l2l_tf import problems
from l2l_tf.evaluation import protocol
from tests import sources


def test_a_task_has_two_layers_of_the_width():
  data = problems.load("mnist", source="bundled")
  model = wide_layers.make_task(7, data).make_model()
  assert model.count_params() == 784 * 7 + 7 + 7 * 7 + 7 + 7 * 10 + 10


@pytest.mark.slow
def test_a_row_is_of_the_rate_that_ends_lowest(monkeypatch, tmp_path):
  monkeypatch.setattr(protocol, "LEARNING_RATES", (1e-6, 3e-3, 1e-2))
  out = tmp_path / "out.json"
  flags = ["--widths=8", "--num_steps=30", "--num_seeds=2", "--data=bundled", f"--out={out}"]
  assert wide_layers.main(["program", *flags]) == 0
  (row,) = json.loads(out.read_text())["rows"]
  assert row["width"] == 8 and row["rate"] == 1e-2
  means = {name: np.mean(values) for name, values in row["losses"].items()}
  assert list(means) == ["general", "adam", "tuned_adam"]
  for name, mean in means.items():
    assert row[name] == pytest.approx(mean)
  assert means["general"] < means["adam"] < 2.4 and means["tuned_adam"] < means["adam"]
  ratio = means["general"] / means["tuned_adam"]
  assert row["over_tuned_adam_ratio"] == pytest.approx(ratio)
  assert row["step_seconds"] > 0 and row["adam_step_seconds"] > 0


def test_the_committed_ones_reach_a_million_weights():
  rows = json.loads((sources.ROOT / "benchmarks" / "wide_layers.json").read_text())["rows"]
  assert max(row["weights"] for row in rows) > 1e6
  assert {len(row["losses"]) for row in rows} == {3}
