"""Tests of coordinatewise optimizers run on blocks of coordinates."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.optimizers import CoordinatewiseLSTM
from l2l_tf.optimizers import GlobalAveragingLSTM
from l2l_tf.optimizers import blocks
from l2l_tf.problems.base import make_seeds
from l2l_tf.training import sampled_backprop


@pytest.mark.parametrize("n", [1, 15, 4096, 4097, 15910, 10**6])
def test_sizes_cover_all_coordinates_in_even_blocks(n):
  sizes = blocks.sizes(n)
  assert sum(sizes) == n and min(sizes) > 0 and len(sizes) <= blocks.MOST
  assert len(sizes) == 1 or max(sizes) - min(sizes) < 16 * len(sizes)
  assert all(size % 16 == 0 for size in sizes[:-1])
  assert (len(sizes) > 1) == (n > blocks.SIZE)


@pytest.mark.parametrize("in_turn", [False, True])
def test_no_coordinates_are_one_block(in_turn):
  assert blocks.sizes(0, in_turn) == [0]
  runner = blocks.split(CoordinatewiseLSTM((3, 2)), in_turn)
  nothing = {"x": tf.zeros([2, 0, 3])}
  updates, state = runner(nothing, runner.initial_state(nothing))
  assert updates["x"].shape == [2, 0, 3]
  ((_, _, merged),) = runner.parts(nothing, state)
  assert {leaf.shape[-1] for leaf in tf.nest.flatten(merged)} == {0}
  _, after = runner.partial_step({}, state, {"x": (0, 3)})
  tf.nest.assert_same_structure(after, state)


@pytest.mark.slow
def test_blocks_do_what_the_whole_does(monkeypatch):
  """Losses, the state and the meta-gradient, all coordinates or a sample; three blocks of 37."""
  monkeypatch.setattr(blocks, "SIZE", 15)
  problem, optimizer = problems.quadratic(37), CoordinatewiseLSTM((3, 2), dtype=tf.float32)
  split = blocks.split(optimizer)

  def window(runner):
    carry, _ = unroll.start(problem, runner, make_seeds(1, count=2))
    carry, _ = unroll.unroll(problem, runner, carry, 2)
    with tf.GradientTape() as tape:
      end, losses = unroll.unroll(problem, runner, carry, 4)
      total = tf.reduce_mean(tf.reduce_sum(losses, axis=0))
    exact = tape.gradient(total, optimizer.trainable_variables)
    sampled = sampled_backprop.losses_and_gradients(problem, runner, carry, 4, 10, tf.ones([4]))
    ((part, _, *merged),) = runner.parts(carry.params, end.state, sampled[0].state)
    assert part is optimizer
    return losses, exact, sampled[1:], merged

  assert len(split.initial_state({"x": tf.zeros([2, 37])})) == 3
  whole, parts = (
    tf.nest.flatten(tf.function(window, autograph=False)(r)) for r in (optimizer, split)
  )
  for a, b in zip(whole, parts, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(a).max())


def test_optimizers_whose_coordinates_talk_are_not_split():
  optimizer = GlobalAveragingLSTM((3,), num_gacs=1)
  assert blocks.split(optimizer) is optimizer


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_in_turn_is_the_whole_in_keras_also_when_some_rest(monkeypatch, dtype):
  """44 coordinates of three variables, in one block and in three."""
  runs = []
  for most in (1, 3):
    monkeypatch.setattr(blocks, "SIZE_IN_TURN", 7)
    monkeypatch.setattr(blocks, "MOST_IN_TURN", most)
    theta = [keras.Variable(np.linspace(-1, 1, n, dtype=np.float32)) for n in (30, 5, 9)]
    optimizer = l2l_tf.LearnedOptimizer(CoordinatewiseLSTM((4, 3), seed=1), state_dtype=dtype)
    optimizer.build(theta)
    assert len([v for v in optimizer.variables if v.name.startswith("state")]) == 4 * most
    for step in range(6):
      gradients = [tf.sin(step + 3 * v.value) for v in theta]
      optimizer.apply(*((gradients, theta) if step % 3 else (gradients[::2], theta[::2])))
    runs.append([v.numpy() for v in theta])
  for a, b in zip(*runs):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
  assert np.abs(runs[0][0] - np.linspace(-1, 1, 30)).max() > 1e-3
