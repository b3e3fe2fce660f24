"""Tests of half orthogonal updates."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import half_orthogonal
from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.storage import optimizer_files
from tests.optimizers import conformance_test


def near_rank_one(rng, shape):
  """As gradients of matrices are."""
  columns, rows = rng.normal(size=shape[-1]), rng.normal(size=[*shape[:-1], 1])
  return 0.1 * (rows * columns + 0.1 * rng.normal(size=shape))


@pytest.fixture(scope="module")
def both():
  """Updates of `mnist_lstm` at the third step, and what becomes of them."""
  half = half_orthogonal.lstm(3)
  rng = np.random.default_rng(0)
  shapes = {"w": (2, 30, 6), "b": (2, 6), "large": (2, 70, 80), "kernel": (2, 3, 3, 2, 4)}
  states = [one.initial_state({n: tf.zeros(s) for n, s in shapes.items()}) for one in (half,) * 2]
  for _ in range(3):
    g = {name: tf.constant(near_rank_one(rng, s), tf.float32) for name, s in shapes.items()}
    own, states[0] = half.optimizer(g, states[0])
    found, states[1] = half(g, states[1])
  return own, found


def test_phi_is_that_of_mnist_lstm():
  shipped, _ = optimizer_files.load_optimizer(pretrained.find("mnist_lstm"))
  half = half_orthogonal.lstm(3)
  for a, b in zip(half.trainable_variables, shipped.trainable_variables, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["w", "kernel"])
def test_matrices_go_halfway_to_the_orthogonal_one_of_their_size(both, name):
  own, found = (np.reshape(x[name], [2, -1, x[name].shape[-1]]) for x in both)
  other = 2 * found - own
  for a, b in zip(own, other):
    left, values, right = np.linalg.svd(a, full_matrices=False)
    turned = left.T @ b @ right.T
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-3 * np.abs(turned).max())
    spread = np.diag(turned)
    assert spread.max() / spread.min() < 0.5 * values.max() / values.min()
    assert np.sqrt(np.mean(b**2)) == pytest.approx(np.sqrt(np.mean(a**2)), rel=1e-3)


@pytest.mark.parametrize("name", ["b", "large"])
def test_vectors_and_large_matrices_stay(both, name):
  own, found = both
  np.testing.assert_array_equal(found[name], own[name])


def test_it_is_an_optimizer_like_others():
  optimizer = half_orthogonal.HalfOrthogonal(optimizers.CoordinatewiseLSTM((3,), seed=1))
  updates, _ = conformance_test.run(optimizer)
  assert all(np.isfinite(x).all() for one in updates for x in one.values())
