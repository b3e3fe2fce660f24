"""Tests of states kept in a smaller float type."""

import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf.optimizers import stored_state
from l2l_tf.problems.base import make_seeds
from tests.optimizers import conformance_test as conformance


def _floats(state):
  return [x for x in tf.nest.flatten(state) if x.dtype.is_floating]


@pytest.mark.parametrize("name", conformance.LEARNED)
def test_only_the_state_is_rounded(name):
  optimizer = conformance.OPTIMIZERS[name]()
  smaller = stored_state.StoredState(optimizer, tf.bfloat16)
  state = smaller.initial_state(conformance.GRADIENTS[0])
  for gradients in conformance.GRADIENTS:
    assert {x.dtype for x in _floats(state)} == {tf.bfloat16}
    wide = tf.nest.map_structure(
      lambda x: tf.cast(x, tf.float32) if x.dtype.is_floating else x, state
    )
    expected, exact = optimizer(gradients, wide, conformance.THETA)
    updates, state = smaller(gradients, state, conformance.THETA)
    conformance.assert_close(updates, expected, rtol=0, atol=0)
    for stored, value in zip(tf.nest.flatten(state), tf.nest.flatten(exact)):
      np.testing.assert_array_equal(stored, tf.cast(value, stored.dtype))


@pytest.mark.slow
def test_a_trained_optimizer_still_optimizes():
  optimizer, _ = l2l_tf.load_optimizer(pretrained.find("quadratic_lstm"))
  seeds = make_seeds(3, count=64)
  final = []
  for runner in (optimizer, stored_state.StoredState(optimizer, tf.bfloat16)):
    losses = l2l_tf.unroll.rollout(problems.quadratic(10), runner, seeds, 60)
    assert losses.dtype == tf.float32
    final.append(np.median(losses[-1]))
  assert final[1] < 3 * final[0] < 0.1 * np.median(losses[0])
