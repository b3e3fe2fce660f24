"""Tests of the meta-gradient from a sample of the coordinates."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.optimizers import CoordinatewiseLSTM
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import make_seeds
from l2l_tf.training import sampled_backprop

WEIGHTS = np.array([1.0, 0.3, 0.0, 2.0, 1.5])  # of the losses


def _problem():
  """Two parameters, 12 and 2 coordinates, coupled, so that no gradient is constant."""

  def init(seed):
    draws = tf.random.stateless_normal([14], seed, dtype=tf.float64)
    return {"w": tf.reshape(draws[:12], [3, 4]), "b": draws[12:]}, {}

  def loss(params, task, seed):
    del task, seed
    return tf.reduce_sum(params["w"] ** 2) * (1 + params["b"][0] ** 2) + params["b"][1] ** 2

  return Problem(init, loss)


def _window(limit, num_estimates=1):
  """One window from the middle of a run: the exact results, and estimates with various samples."""
  problem, optimizer = _problem(), CoordinatewiseLSTM((4, 3), dtype=tf.float64)
  carry, _ = unroll.start(problem, optimizer, make_seeds(1, count=2))
  carry, _ = unroll.unroll(problem, optimizer, carry, 3)

  @tf.function(autograph=False)
  def exact(carry):
    with tf.GradientTape() as tape:
      end, losses = unroll.unroll(problem, optimizer, carry, 5)
      meta_loss = tf.reduce_sum(WEIGHTS * tf.reduce_mean(losses, axis=1))
    return end, losses, tape.gradient(meta_loss, optimizer.trainable_variables)

  @tf.function(autograph=False)
  def estimate(carry):
    return sampled_backprop.losses_and_gradients(problem, optimizer, carry, 5, limit, WEIGHTS)

  carries = [carry._replace(seeds=carry.seeds + 1000 * k) for k in range(num_estimates)]
  return exact(carry), [estimate(c) for c in carries]


@pytest.mark.slow
def test_with_all_coordinates_it_is_the_plain_meta_gradient():
  exact, (sampled,) = _window(limit=12)
  for a, b in zip(tf.nest.flatten(exact), tf.nest.flatten(sampled)):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_a_sample_leaves_the_trajectory_alone_and_is_unbiased():
  exact, estimates = _window(limit=4, num_estimates=60)
  for a, b in zip(tf.nest.flatten(exact[:2]), tf.nest.flatten(estimates[0][:2])):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
  flat = np.array([np.concatenate([np.ravel(g) for g in e[2]]) for e in estimates])
  truth = np.concatenate([np.ravel(g) for g in exact[2]])
  assert np.std(flat, axis=0).max() > 0
  error = np.linalg.norm(flat.mean(axis=0) - truth)
  spread = np.sqrt(flat.var(axis=0, ddof=1).sum() / len(flat))  # of the mean, if it is unbiased
  assert error < 3 * spread


def test_the_sample_has_seeds_of_its_own():
  """Neither those of theta_0 and the task, nor those of the minibatches around."""
  optimizer = CoordinatewiseLSTM((2,), dtype=tf.float64)
  carry, _ = unroll.start(_problem(), optimizer, make_seeds(1, count=1))
  start = carry.seeds[0].numpy()
  others = {tuple(start + [0, step]) for step in range(-5, 50)}
  seeds = [
    tuple(sampled_backprop._seed(carry._replace(step=tf.constant(step))).numpy())
    for step in range(0, 40, 5)
  ]
  assert len(set(seeds)) == len(seeds) and not others & set(seeds)
  assert not {first for first, _ in seeds} & {start[0]}


def test_sampled_coordinates_are_weighted_by_what_they_stand_for():
  params = {"w": tf.zeros([2, 3, 4]), "b": tf.zeros([2, 2])}
  sample = sampled_backprop.sample(params, 4, tf.constant([1, 2]))
  indices, weights = sampled_backprop.places(sample, params, params)
  assert weights.numpy().tolist() == [3.0] * 4 + [1.0] * 2
  assert indices.numpy()[4:].tolist() == [12, 13]
  assert set(indices.numpy()[:4]) <= set(range(12))
  some = {"b": params["b"]}  # where they are in all of them, and among themselves
  for among, expected in ((params, [12, 13]), (some, [0, 1])):
    indices, weights = sampled_backprop.places(sample, some, among)
    assert indices.numpy().tolist() == expected and weights.numpy().tolist() == [1.0, 1.0]
