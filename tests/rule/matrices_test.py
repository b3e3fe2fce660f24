"""Updates of small matrices get singular values that are alike, and keep what they must."""

import numpy as np
import pytest

from l2l_tf.rule import matrices
from l2l_tf.rule import ops as rule_ops

OPS = rule_ops.of("tensorflow")
SHAPES = [(40, 20), (20, 40), (64, 64), (3, 2), (2, 30)]


def sample(*shape: int, seed: int = 0) -> np.ndarray:
  """Gaussian, with one singular value that is larger than the others by far."""
  rng = np.random.default_rng([seed, *shape])
  x = rng.normal(size=shape)
  return (x + 5 * rng.normal(size=(shape[0], 1)) * rng.normal(size=shape[1])).astype(np.float32)


def singular_values(x) -> np.ndarray:
  return np.linalg.svd(np.asarray(x, np.float64), compute_uv=False)


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_are_alike(shape):
  x = sample(*shape)
  y = matrices.orthogonal(OPS, x).numpy()
  np.testing.assert_allclose(np.mean(y**2), np.mean(x**2), rtol=1e-5)
  before, after = singular_values(x), singular_values(y)
  spread = np.std(before) / np.mean(before)
  assert np.std(after) / np.mean(after) < 0.5 * spread
  u, _, v = np.linalg.svd(x, full_matrices=False)
  turned = u.T @ y @ v.T  # diagonal: the singular vectors are those of x
  np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-4 * after.max())
  assert np.all(np.diag(turned) > 0)


def test_well_conditioned_ones_become_nearly_orthogonal():
  rng = np.random.default_rng(0)
  y = matrices.orthogonal(OPS, rng.normal(size=(200, 10)).astype(np.float32))
  values = singular_values(y)
  assert values.min() > 0.55 * values.max()  # Muon's polynomial ends within 0.68 to 1.13


@pytest.mark.parametrize("shape", [(3, 12, 5), (3, 5, 12), (1, 6, 6)])
def test_five_rounds_bring_them_nearer(shape):
  x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
  found = matrices.orthogonal(OPS, x, rounds=5).numpy()
  u, _, v = np.linalg.svd(x, full_matrices=False)
  values = np.einsum("brk,brc,bkc->bk", u, found, v)
  rebuilt = np.einsum("brk,bk,bkc->brc", u, values, v)
  np.testing.assert_allclose(found, rebuilt, atol=2e-3)
  assert np.all(values.max(1) < 2.7 * values.min(1))
  np.testing.assert_allclose(np.mean(found**2, (1, 2)), np.mean(x**2, (1, 2)), rtol=1e-4)


@pytest.mark.parametrize("factor", [1e-30, 1e-20, 1e20, 1e30])
def test_the_scale_passes_through(factor):
  x = np.random.default_rng(3).normal(size=(1, 8, 4)).astype(np.float32)
  scaled = matrices.orthogonal(OPS, np.float32(factor) * x).numpy() / np.float32(factor)
  np.testing.assert_allclose(scaled, matrices.orthogonal(OPS, x), rtol=1e-4, atol=1e-6)


def test_zeros_stay():
  x = sample(9, 5)
  x[3], x[:, 1], x[0, 2] = 0, 0, 0
  y = matrices.orthogonal(OPS, np.stack([x, 0 * x])).numpy()
  np.testing.assert_array_equal(y[0] == 0, x == 0)
  np.testing.assert_array_equal(y[1], 0 * x)


def test_those_of_one_shape_go_together():
  """Kernels are matrices of all inputs by outputs; each instance is a matrix of its own."""
  shapes = [(4, 3), (5, 4), (2, 2, 3), (4, 3), (2, 2, 1, 3)]
  updates = [sample(2, int(np.prod(s)), seed=k).reshape(2, *s) for k, s in enumerate(shapes)]
  found = matrices.all_orthogonal(OPS, updates)
  for update, turned in zip(updates, found, strict=True):
    assert turned.shape == update.shape
    for one, x in zip(turned, update, strict=True):
      expected = matrices.orthogonal(OPS, x.reshape(-1, x.shape[-1]))
      np.testing.assert_allclose(
        np.reshape(one, expected.shape), expected, atol=1e-4 * np.abs(x).max()
      )


def test_a_kernel_is_a_matrix_of_inputs_and_outputs():
  sides = {(3, 3, 4, 8): (36, 8), (5, 2): (5, 2), (5,): (1, 5), (): (1, 1)}
  assert {shape: matrices.sides(shape) for shape in sides} == sides


def test_which_are_small_matrices():
  small = [(2, 2), (784, 64), (64, 1024), (3, 3, 7, 32), (2, 2)]
  others = [(), (5,), (7, 1), (1, 7), (0, 3), (65, 65), (784, 128), (50_000, 2), (3, 3, 32, 1)]
  assert all(map(matrices.is_small, small)) and not any(map(matrices.is_small, others))
