"""Other rules for the general optimizer: what they do to an update, and how they are scored."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import ablation
from benchmarks import orthogonal
from benchmarks import rules
from l2l_tf.cli import experiment_flags
from l2l_tf.optimizers import general
from l2l_tf.zoo import comparison
from l2l_tf.zoo import summary
from tests import sources
from tests import tiny_ablation


def _matrices(*shape: int) -> np.ndarray:
  return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def test_the_largest_singular_values_are_brought_down():
  u, _, v = np.linalg.svd(_matrices(1, 9, 6), full_matrices=False)
  x = np.einsum("brk,k,bkc->brc", u, [40.0, 20.0, 1.5, 1.0, 0.9, 0.5], v).astype(np.float32)
  found = orthogonal.flattened(tf.constant(x), 2).numpy()
  values = np.einsum("brk,brc,bkc->bk", u, found, v)[0]
  level = 2 * np.sqrt(np.mean(np.square([1.5, 1.0, 0.9, 0.5])))
  expected = np.array([level, level, 1.5, 1.0, 0.9, 0.5])
  np.testing.assert_allclose(values / values[3], expected, rtol=0.02)
  np.testing.assert_allclose(np.mean(found**2), np.mean(x**2), rtol=1e-4)
  wide = orthogonal.flattened(tf.constant(np.swapaxes(x, 1, 2)), 2).numpy()
  np.testing.assert_allclose(np.swapaxes(wide, 1, 2), found, rtol=1e-3, atol=1e-4)


def test_a_flat_matrix_and_zeros_stay():
  x = np.linalg.qr(_matrices(2, 9, 6)[0])[0][np.newaxis].astype(np.float32)
  np.testing.assert_allclose(orthogonal.flattened(tf.constant(x), 3), x, atol=1e-5)
  x = np.concatenate([x, 0 * x])
  x[0, 3], x[0, :, 2] = 0, 0
  np.testing.assert_array_equal(orthogonal.flattened(tf.constant(x), 3).numpy() == 0, x == 0)


SHAPES = {"first": (1, 8, 6), "bias": (1, 6), "second": (1, 6, 6), "last": (1, 6, 2)}


def _updates(rule: general.General) -> dict[str, np.ndarray]:
  """After two steps."""
  params = {name: tf.constant(_matrices(*shape)) for name, shape in SHAPES.items()}
  state = rule.initial_state(params)
  for factor in (1.0, -0.4):
    gradients = {name: factor * x**2 for name, x in params.items()}
    updates, state = rule(gradients, state, params)
  return {name: x.numpy() for name, x in updates.items()}


def test_what_is_made_orthogonal():
  plain = _updates(general.General())
  for options, expected in (
    ({}, {"first", "second", "last"}),
    ({"share": 0.0}, set()),
    ({"rank": 2}, {"first", "second", "last"}),
  ):
    found = _updates(orthogonal.Orthogonal(**options))
    changed = {name for name in SHAPES if not np.allclose(found[name], plain[name], rtol=1e-5)}
    assert changed == expected, options


def test_half_of_it():
  plain, whole = _updates(general.General()), _updates(orthogonal.Orthogonal())
  for name, update in _updates(orthogonal.Orthogonal(share=0.5)).items():
    np.testing.assert_allclose(update, (plain[name] + whole[name]) / 2, rtol=1e-4, atol=1e-7)


def test_a_phi_for_each_instance():
  rule = orthogonal.Orthogonal()
  params = {"w": tf.constant(_matrices(2, 4, 3))}
  phi = [tf.stack([x, x + 0.1]) for x in rule.trainable_variables]
  batched = rule.with_phi(phi)
  updates, _ = batched(params, batched.initial_state(params), params)
  for k in range(2):
    alone = {"w": params["w"][k : k + 1]}
    for variable, value in zip(rule.trainable_variables, phi):
      variable.assign(value[k])
    expected, _ = rule(alone, rule.initial_state(alone), alone)
    np.testing.assert_allclose(updates["w"][k], expected["w"][0], rtol=1e-3, atol=1e-6)


def test_each_variant_takes_the_weights_of_general():
  weights = rules.shipped()
  for name in rules.VARIANTS:
    rule = ablation.with_weights(rules.VARIANTS[name].rule(seed=0), weights)
    np.testing.assert_array_equal(rule.trainable_variables[0].numpy(), weights[0])


def test_unknown_variant(tmp_path):
  with pytest.raises(experiment_flags.UsageError, match="Unknown variant 'muon'; known: ortho"):
    rules.main(["rules", "--variants=muon", f"--runs={tmp_path}"])


def test_a_file_of_more_is_kept(tmp_path):
  path = tmp_path / "out.json"
  counts = {"meta_steps": 9, "phis": 2, "runs_a_task": 2, "instances": 6, "variants": 9}
  path.write_text(json.dumps(counts))
  with pytest.raises(RuntimeError, match="meta_steps 9 .now 3."):
    rules.main(["rules", f"--out={path}", "--meta_steps=3", f"--runs={tmp_path}"])
  assert json.loads(path.read_text()) == counts


def test_the_rows_tell_only_of_training_families_and_of_these_seeds():
  document = summary.read("results/general_plain/zoo.json")
  references = {
    name: summary.read(f"results/{summary.file_name(name)}") for name in ("tuned Adam",)
  }
  rows = rules._rows(document, references | {"general": document}, 2)
  assert [(row["horizon"], row["num_tasks"]) for row in rows] == [(100, 13), (1000, 13)]
  for row in rows:
    assert row["log_ratio_to_general"] == row["better_than_general"] == 0
    assert json.loads(json.dumps(row)) == row
    low, high = (row[f"speed_up_over_tuned_Adam_{end}"] for end in ("low", "high"))
    assert 0.3 < low < row["speed_up_over_tuned_Adam"] < high < 4


def _cells(start: str) -> list[str]:
  """Of the line of docs/general.md that begins so."""
  page = (sources.ROOT / "docs" / "general.md").read_text(encoding="utf-8")
  (line,) = [line for line in page.splitlines() if line.startswith(f"| {start} |")]
  return [cell.strip().replace("−", "-") for cell in line.split("|")[1:-1]]


def _results() -> dict:
  return json.loads((sources.ROOT / "results" / "general_rules.json").read_text())


@pytest.mark.parametrize("name", ["general", *rules.VARIANTS])
def test_the_page_has_the_committed_numbers(name):
  expected = []
  for horizon in rules.HORIZONS:
    found = [r for r in _results()["rows"] if (r["variant"], r["horizon"]) == (name, horizon)]
    assert found
    for key in ("speed_up_over_tuned_Adam", "log_ratio_to_general"):
      expected.append(", ".join(f"{row[key]:.2f}" for row in found))
  assert _cells(f"`{name}`")[-4:] == expected


def test_the_page_has_those_of_the_validation_problems():
  rows = _results()["validation"]
  for problem in {row["problem"] for row in rows}:
    found = {(r["variant"], r["horizon"]): r for r in rows if r["problem"] == problem}
    expected = [
      f"{row['log_ratio_to_general']:.3f}"
      f" ({row['log_ratio_to_general_low']:.3f} to {row['log_ratio_to_general_high']:.3f})"
      for row in (found["orthogonal", horizon] for horizon in rules.HORIZONS)
    ]
    assert _cells(f"`{problem}`")[1:] == expected


@pytest.mark.slow
def test_shares_run_side_by_side_on_the_same_instances():
  problem = ablation.problems(False).problems["linear"]
  losses = rules.validated(problem, [0.0, 0.0, 1.0], 2, 5)
  assert losses.shape == (6, 3, 2)
  np.testing.assert_array_equal(losses[:, 0], losses[:, 1])
  np.testing.assert_array_equal(losses[0, 0], losses[0, 2])
  assert np.all(losses[-1, 0] != losses[-1, 2]) and np.all(losses[-1] < losses[0])


@pytest.mark.slow
def test_trained_and_scored_once(tmp_path, monkeypatch):
  tiny_ablation.one_problem_and_task(monkeypatch)
  names = {"tuned Adam": "zoo_tuned_Adam.json", "general": rules.PLAIN}
  references = {name: summary.read(f"results/{file}") for name, file in names.items()}
  rows = rules._one(2, 1, str(tmp_path), references, "orthogonal_retrained", 0)
  assert [(row["horizon"], row["num_tasks"]) for row in rows] == [(100, 1), (1000, 1)]
  assert comparison.SPLITS[rules.SPLIT] and all(row["processor_seconds"] > 0 for row in rows)
  before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
  assert rules._one(2, 1, str(tmp_path), references, "orthogonal_retrained", 0) == rows
  assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before
