"""Tests of the diagnosis: its numbers against NumPy on problems whose gradients are known."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.inspection import diagnosis
from l2l_tf.optimizers import preprocessing
from l2l_tf.problems.base import make_seeds

SEEDS = make_seeds(2, count=2)
SLOPES = np.float32([0, 1e-6, -1e-6, 0.01, 5, -7])


def slope() -> problems.Problem:
  """A linear function: its gradient is SLOPES wherever theta is, and 0 for `unused`."""
  return problems.from_function(
    lambda seed: {"x": tf.random.stateless_normal([6], seed), "unused": tf.zeros([2])},
    lambda params, task, seed: tf.reduce_sum(params["x"] * SLOPES),
  )


def make(kind):
  """A learned optimizer; a partition puts all parameters but those called x into a group."""
  if kind == "partition":
    parts = [optimizers.CoordinatewiseLSTM((4, 3), seed=k) for k in range(2)]
    label = lambda name, shape: "conv" if name == "x" else "fc"  # noqa: E731
    return optimizers.Partition(dict(zip(("conv", "fc"), parts)), label)
  if kind == "general":
    return optimizers.General((4, 3), seed=1)
  if kind == "odd_part":
    return optimizers.OddPart(make("lstm"))
  options = {} if kind == "lstm" else {"num_gacs": 1}
  return optimizers.LEARNED[kind]((4, 3), seed=1, **options)


@pytest.mark.parametrize("kind", optimizers.LEARNED)
def test_the_numbers_of_a_linear_function(kind):
  optimizer = make(kind)
  record = diagnosis.record(slope(), optimizer, SEEDS, 3)
  rms = np.sqrt(np.mean(SLOPES**2))
  np.testing.assert_allclose(record.gradients["x"], [rms] * 3, rtol=1e-5)
  assert not np.any(record.gradients["unused"])
  np.testing.assert_allclose(record.shares["zero"], [3 / 8] * 3)
  np.testing.assert_allclose(record.median_gradient, [0.01] * 3)
  assert record.losses.shape == (4, 2) and np.all(record.updates["x"] > 0)
  if kind == "general":  # which has no LSTM
    assert record.shares.keys() == {"zero"}
    return
  # Of a partition the mean over 6 coordinates, of which 5 count, and 2 that are 0.
  expected = 2 / 5 * (6 / 8 if kind == "partition" else 1)
  np.testing.assert_allclose(record.shares["small"], [expected] * 3)  # below e^-10
  np.testing.assert_allclose(record.shares["large"], [expected] * 3)
  for key in ("hidden", "cells", "gates"):
    assert np.all(record.shares[key] == 0)


def test_sgd_goes_straight_downhill():
  record = diagnosis.record(slope(), optimizers.SGD(0.5), SEEDS, 3)
  np.testing.assert_allclose(record.downhill, [1, 1, 1], rtol=1e-4)
  np.testing.assert_allclose(record.updates["x"], 0.5 * record.gradients["x"], rtol=1e-4)
  drops = np.diff(record.losses, axis=0)
  np.testing.assert_allclose(drops, np.full((3, 2), -0.5 * np.sum(SLOPES**2)), rtol=1e-3)
  assert record.shares.keys() == {"zero"}


def test_the_limits_of_inputs():
  assert diagnosis.input_limits(preprocessing.LogAndSign(5.0)) == (pytest.approx(np.exp(-5)), 1.0)
  limits = diagnosis.input_limits(preprocessing.Rescale(100.0))
  assert limits == (pytest.approx(1e-6), pytest.approx(0.1))


def test_saturated_units_are_counted():
  """A bias of 50 opens input and output gates and drives g: |h| = tanh(c) with c = 1, 2, ..."""
  optimizer = optimizers.CoordinatewiseLSTM((4,), seed=1)
  optimizer.layers[0].b_gates.assign(tf.fill([16], 50.0))
  shares = diagnosis.record(slope(), optimizer, SEEDS, 4).shares
  np.testing.assert_allclose(shares["gates"], np.ones(4))
  np.testing.assert_allclose(shares["hidden"], [0, 1, 1, 1])  # tanh(1) = 0.76, tanh(2) = 0.96
  np.testing.assert_allclose(shares["cells"], [0, 0, 1, 1])  # tanh(3) = 0.995


@pytest.mark.slow
def test_the_best_rival_is_found():
  """On the bowl of 2 dimensions SGD with rate 1 is there in one step."""
  found = diagnosis.diagnose(problems.bowl(2), optimizers.CoordinatewiseLSTM((3,)), SEEDS, 20, 7)
  assert (found.rival_name, found.rival_rate, found.horizon) == ("sgd", 1.0, 7)
  assert found.grid["sgd"][-1] < 1e-10 < found.grid["sgd"][0]
  assert [len(losses) for losses in found.grid.values()] == [len(diagnosis.RATES)] * 2
  np.testing.assert_allclose(found.rival.losses[0], found.record.losses[0])  # the same instances


def test_a_partition_that_does_not_fit():
  with pytest.raises(ValueError, match="No parameter has a label.* theta"):
    diagnosis.diagnose(problems.bowl(2), optimizers.Partition({"fc": make("lstm")}), SEEDS)


def test_only_learned_optimizers():
  with pytest.raises(TypeError, match="takes a learned optimizer, got Adam"):
    diagnosis.diagnose(problems.bowl(2), optimizers.Adam(0.1), SEEDS)
