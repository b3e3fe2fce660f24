"""Tests of the problem that has sigmoid or ReLU units."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import two_activations
from l2l_tf import problems
from l2l_tf.problems import base

SEEDS = base.make_seeds(3, count=12)


@pytest.fixture(scope="module", name="parts")
def _parts():
  data = problems.datasets.crop(problems.load("mnist", "train", "bundled", None), 4)
  return [problems.mlp(data, activation=name) for name in ("sigmoid", "relu")]


def test_an_instance_is_one_of_the_two(parts):
  both = two_activations.either(*parts)
  params, second = base.instances(both, SEEDS)
  assert 0 < np.sum(second) < len(SEEDS)
  losses = base.losses(both, params, second, SEEDS)
  expected = [base.losses(part, params, {}, SEEDS) for part in parts]
  np.testing.assert_allclose(losses, np.where(second, expected[1], expected[0]), rtol=1e-6)
  assert (np.abs(expected[0] - expected[1]) > 1e-4).all()
  one = both.loss({n: p[0] for n, p in params.items()}, second[0], SEEDS[0])
  np.testing.assert_allclose(one, losses[0], rtol=1e-5)


def test_gradients_are_those_of_the_one(parts):
  both = two_activations.either(*parts)
  params, second = base.instances(both, SEEDS[:4])
  _, found = base.losses_and_gradients(both, params, second, SEEDS[:4])
  one, two = (base.losses_and_gradients(p, params, {}, SEEDS[:4])[1] for p in parts)
  for name, g in found.items():
    chosen = tf.reshape(second, [-1] + [1] * (g.shape.rank - 1))
    np.testing.assert_allclose(g, tf.where(chosen, two[name], one[name]), atol=1e-7)


def test_the_program_finds_it():
  problem = two_activations.mnist()
  assert base.shapes(problem)["hidden_1/w"] == (400, 20)
