"""Tests of the quadratic problems: values against NumPy, statistics of what they draw."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base

NO_SEED = tf.constant([0, 0])


def draw_many(problem, count=400):
  params, tasks = base.instances(problem, tf.constant(base.make_seeds(2, count=count)))
  return params["theta"].numpy(), {name: t.numpy() for name, t in tasks.items()}


def test_quadratic_equals_numpy():
  problem = problems.quadratic(4, dtype=tf.float64)
  params, task = problem.init(tf.constant([1, 2]))
  theta, w, y = params["theta"].numpy(), task["w"].numpy(), task["y"].numpy()
  assert theta.shape == (4,) and w.shape == (4, 4) and y.shape == (4,)
  with tf.GradientTape() as tape:
    tape.watch(params)
    loss = problem.loss(params, task, NO_SEED)
  assert float(loss) == pytest.approx(np.sum((w @ theta - y) ** 2), rel=1e-12)
  expected = 2 * w.T @ (w @ theta - y)
  np.testing.assert_allclose(tape.gradient(loss, params)["theta"], expected, rtol=1e-12)


def test_bowl_equals_numpy():
  problem = problems.bowl(4, dtype=tf.float64)
  params, task = problem.init(tf.constant([1, 2]))
  theta, centre = params["theta"].numpy(), task["centre"].numpy()
  with tf.GradientTape() as tape:
    tape.watch(params)
    loss = problem.loss(params, task, NO_SEED)
  assert float(loss) == pytest.approx(np.mean((theta - centre) ** 2), rel=1e-12)
  gradient = tape.gradient(loss, params)["theta"]
  np.testing.assert_allclose(gradient, (theta - centre) / 2, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_quadratic_draws_unit_normals_and_theta_0_of_the_given_scale(scale):
  theta, task = draw_many(problems.quadratic(10, scale))
  for draws, expected in ((theta, scale), (task["w"], 1.0), (task["y"], 1.0)):
    tolerance = 5 * expected / draws.size**0.5  # five standard errors
    assert abs(draws.mean()) < tolerance
    assert draws.std() == pytest.approx(expected, abs=tolerance)
  assert abs(np.mean(theta * task["y"])) < 5 * scale / theta.size**0.5  # not the same draws


def test_bowl_draws_unit_normals():
  theta, task = draw_many(problems.bowl(10))
  assert theta.std() == pytest.approx(1.0, abs=0.06)
  assert task["centre"].std() == pytest.approx(1.0, abs=0.06)
  assert abs(np.mean(theta * task["centre"])) < 0.08


@pytest.mark.parametrize("make", [problems.quadratic, problems.bowl])
@pytest.mark.parametrize("dimensions", [0, -1])
def test_bad_dimensions_are_named(make, dimensions):
  with pytest.raises(ValueError, match=f"dimensions must be at least 1, got {dimensions}"):
    make(dimensions)
