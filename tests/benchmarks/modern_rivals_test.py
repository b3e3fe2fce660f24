"""Optimizers younger than the paper: they are what others wrote, and are run as the six are."""

import json

import keras
import numpy as np
import optax
import pytest
import tensorflow as tf

from benchmarks import modern_rivals
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream
from tests import sources

SHAPES = {"first": (6, 4), "bias": (4,), "second": (4, 7)}
STEPS = 12


def gradients(t: int) -> dict[str, np.ndarray]:
  rng = np.random.default_rng([5, t])
  return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def follow(optimizer) -> dict[str, np.ndarray]:
  """Where zeros are after these gradients."""
  theta = {name: tf.zeros([1, *shape]) for name, shape in SHAPES.items()}
  state = optimizer.initial_state(theta)
  for t in range(STEPS):
    g = {name: tf.constant(x[np.newaxis]) for name, x in gradients(t).items()}
    updates, state = optimizer(g, state, theta)
    theta = {name: theta[name] + updates[name] for name in theta}
  return {name: x.numpy()[0] for name, x in theta.items()}


@pytest.mark.parametrize(
  "ours, theirs",
  [
    (modern_rivals.Lion(0.02), keras.optimizers.Lion(0.02)),
    (
      modern_rivals.Muon(0.02),
      keras.optimizers.Muon(0.02, weight_decay=None, adam_weight_decay=None, epsilon=1e-8),
    ),
  ],
  ids=["Lion", "Muon"],
)
def test_those_of_keras(ours, theirs):
  variables = {name: keras.Variable(np.zeros(s, np.float32)) for name, s in SHAPES.items()}
  theirs.build(list(variables.values()))
  for t in range(STEPS):
    theirs.apply([tf.constant(g) for g in gradients(t).values()])
  for name, x in follow(ours).items():
    # Ours ends with the norm of exactly so many singular values of 1, theirs near it.
    expected = variables[name].numpy()
    if name != "bias" and isinstance(ours, modern_rivals.Muon):
      assert np.sum(x * expected) / np.linalg.norm(x) / np.linalg.norm(expected) > 0.999
      assert np.linalg.norm(x) == pytest.approx(np.linalg.norm(expected), rel=0.2)
    else:
      np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-6)


def test_that_of_optax():
  rise = round(modern_rivals.WARM_UP * 40)

  def rate(count):
    return 0.02 * np.minimum((count + 1) / rise, 1) * 0.5 * (1 + np.cos(np.pi * count / 40))

  theirs = optax.nadamw(1.0, weight_decay=0.0)
  theta = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
  state = theirs.init(theta)
  for t in range(STEPS):
    updates, state = theirs.update(gradients(t), state, theta)
    theta = {name: theta[name] + rate(t) * np.asarray(updates[name]) for name in theta}
  for name, x in follow(modern_rivals.NAdamW(0.02, 40)).items():
    np.testing.assert_allclose(x, theta[name], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_each_gets_its_best_rate_on_the_same_instances():
  data = problems.datasets.pool(problems.load("mnist", source="bundled"), 4)
  problem = problems.mlp(data, (5,), batch_size=16)
  found = modern_rivals.measured("tiny", problem, num_steps=12, num_runs=3, tuning_runs=2)
  assert [row["rival"] for row in found["rows"]] == list(modern_rivals.RIVALS)
  for row in found["rows"]:
    assert row["learning_rate"] in protocol.LEARNING_RATES
    make = modern_rivals.RIVALS[row["rival"]]
    seeds = problem.seeds(0, Stream.TEST, count=3)
    curves = protocol.curves(problem, make(row["learning_rate"], 12), seeds, 12)
    assert row["final_mean"] == pytest.approx(protocol.final_losses(curves).mean(), rel=1e-3)
    ratio = found["ours"]["general"] / row["final_mean"]
    assert row["general_over_it_ratio"] == pytest.approx(ratio, rel=1e-3)


def test_an_unknown_setting():
  with pytest.raises(experiment_flags.UsageError, match="Unknown setting 'mnist_7'"):
    modern_rivals.main(["program", "--settings=mnist_7"])


def test_the_committed_ones_are_of_the_instances_of_the_others():
  found = json.loads((sources.ROOT / "benchmarks" / "modern_rivals.json").read_text())
  assert {row["setting"] for row in found["rows"]} == set(modern_rivals.SETTINGS)
  for name, ours in found["final_losses"].items():
    other = json.loads((sources.ROOT / "results" / f"{name}.json").read_text())
    expected = other["optimizers"]["mnist_lstm"]["final_loss"]["mean"]
    assert ours["mnist_lstm"] == pytest.approx(expected, rel=0.02)
