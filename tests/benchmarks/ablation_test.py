"""The variants of the general optimizer that the ablation trains."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import ablation
from l2l_tf.cli import experiment_flags
from l2l_tf.optimizers import general
from l2l_tf.problems import base
from l2l_tf.zoo import summary
from tests import sources
from tests import tiny_ablation


def _first_update(rule: general.General, scale: float = 1.0) -> np.ndarray:
  """Of a matrix of ones times `scale`, whose gradients are 1 and -2; `[2, 3]`."""
  params = {"w": scale * tf.ones([1, 2, 3])}
  gradients = {"w": tf.constant([[[1.0] * 3, [-2.0] * 3]])}
  updates, _ = rule(gradients, rule.initial_state(params), params)
  return updates["w"][0].numpy()


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_the_first_variant_is_adam_at_its_default_rate(scale):
  update = _first_update(ablation.OnAdam(), scale)
  sign = np.array([[-1.0] * 3, [1.0] * 3])
  np.testing.assert_allclose(update, 1e-3 * sign, rtol=1e-4)


def test_the_second_counts_in_units_of_the_parameter():
  ratio = _first_update(ablation.InUnits(), 10.0) / _first_update(ablation.InUnits())
  np.testing.assert_allclose(ratio, 10.0, rtol=1e-4)


def test_one_direction_against_three():
  rule, whole = ablation.InUnits(), general.General()
  logits = tf.constant([[[0.0, 3.0, -1.0]]])
  np.testing.assert_array_equal(rule.make_rule().mixture(logits)[0, 0], [0.0, 1.0, 0.0])
  assert math.isclose(float(tf.reduce_sum(whole.make_rule().mixture(logits))), 1.0, rel_tol=1e-6)


def test_transformed_problems_are_as_many_again():
  plain, more = ablation.problems(False), ablation.problems(True)
  assert len(plain.problems) == 8
  assert set(plain.problems) < set(more.problems)
  assert len(more.problems) == 16
  for name in plain.problems:
    theta, changed = (
      base.instances(p, tf.constant([[1, 2]]))[0]
      for p in (more.problems[name], more.problems[f"{name}_transformed"])
    )
    assert any(np.any(theta[key] != changed[key]) for key in theta)


def test_unknown_variant(tmp_path):
  with pytest.raises(experiment_flags.UsageError, match="Unknown variant 'momentum'; known: contr"):
    ablation.main(["ablation", "--variants=momentum", f"--runs={tmp_path}"])


def test_a_file_of_more_is_kept(tmp_path):
  path = tmp_path / "out.json"
  counts = {"meta_steps": 9, "phis": 2, "runs_a_task": 2, "variants": 5}
  path.write_text(json.dumps(counts))
  with pytest.raises(RuntimeError, match="meta_steps 9 .now 3."):
    ablation.main(["ablation", f"--out={path}", "--meta_steps=3", f"--runs={tmp_path}"])
  assert json.loads(path.read_text()) == counts


def test_the_page_has_the_committed_numbers():
  """Speed-ups of the two phi of each variant over default and tuned Adam, on held-out families."""
  page = (sources.ROOT / "docs" / "general.md").read_text(encoding="utf-8")
  rows = json.loads((sources.ROOT / "results" / "general_ablation.json").read_text())["rows"]
  for name in ablation.VARIANTS:
    found = [row for row in rows if row["variant"] == name and row["tasks"] == "held-out"]
    assert [row["seed"] for row in found] == [0, 1]
    cells = [
      ", ".join(f"{row[f'speed_up_over_{other}']:.2f}" for row in found)
      for other in ("Adam", "tuned_Adam")
    ]
    assert f"| {cells[0]} | {cells[1]} |" in page, (name, cells)


@pytest.mark.slow
def test_trained_and_scored_once(tmp_path, monkeypatch):
  tiny_ablation.one_problem_and_task(monkeypatch)
  references = {"Adam": summary.read("results/zoo_Adam.json")}
  split = {"training": ablation.comparison.SPLITS["training"]}
  monkeypatch.setattr(ablation.comparison, "SPLITS", split)
  (row,) = ablation._one(2, 1, str(tmp_path), references, "units", 0)
  assert row["num_tasks"] == 1
  assert row["speed_up_over_Adam"] > 0
  before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
  assert ablation._one(2, 1, str(tmp_path), references, "units", 0) == [row]
  assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before
