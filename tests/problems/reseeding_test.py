"""Tests of initializers drawn from a seed: the same distributions, other numbers."""

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from l2l_tf.problems import base
from l2l_tf.problems import reseeding

SHAPE = [60, 50]
INITIALIZERS = {
  "sonnet normal": lambda: snt.initializers.RandomNormal(1.0, 0.5)(SHAPE, tf.float32),
  "sonnet uniform": lambda: snt.initializers.RandomUniform(-2, 1)(SHAPE, tf.float32),
  "sonnet truncated": lambda: snt.initializers.TruncatedNormal(0.0, 0.3)(SHAPE, tf.float32),
  "sonnet scaling": lambda: snt.initializers.VarianceScaling()(SHAPE, tf.float32),
  "sonnet orthogonal": lambda: snt.initializers.Orthogonal()(SHAPE, tf.float32),
  "keras glorot": lambda: keras.initializers.GlorotUniform(seed=1)(SHAPE),
  "keras he": lambda: keras.initializers.HeNormal(seed=1)(SHAPE),
  "keras orthogonal": lambda: keras.initializers.Orthogonal(seed=1)(SHAPE),
}


@pytest.mark.parametrize("sample", INITIALIZERS.values(), ids=INITIALIZERS)
def test_draws_have_the_distribution_and_come_from_the_seed(sample):
  draw = reseeding.redraw(lambda: {"w": sample(), "b": tf.ones([3])})
  seeds = base.make_seeds(3, count=2)
  first, same, other = (draw(tf.constant(s))["w"].numpy() for s in (*seeds[:1], *seeds))
  np.testing.assert_array_equal(first, same)
  assert np.mean(first == other) < 0.01
  expected = sample().numpy()
  for w in (first, other):
    assert abs(w.mean() - expected.mean()) < 6 * expected.std() / 3000**0.5
    assert w.std() == pytest.approx(expected.std(), rel=0.1)
    assert np.abs(w).max() < 2 * np.abs(expected).max()
  np.testing.assert_array_equal(draw(tf.constant(seeds[0]))["b"], np.ones(3))


def test_each_variable_has_numbers_of_its_own():
  """Even those of two initializers with the same seed, which Keras draws alike."""
  same = [keras.initializers.RandomNormal(seed=1) for _ in range(2)]
  draw = reseeding.redraw(lambda: [initializer(SHAPE) for initializer in same])
  first, second = draw(tf.constant([1, 2]))
  assert np.mean(first.numpy() == second.numpy()) < 0.01


def test_works_in_a_loop_over_seeds_and_keeps_captured_values():
  offset = tf.constant(np.full([400], 100.0, np.float32))
  draw = reseeding.redraw(lambda: offset + tf.random.normal([400]))
  seeds = tf.constant(base.make_seeds(0, count=3))
  many = tf.function(lambda s: tf.map_fn(draw, s, fn_output_signature=tf.float32))(seeds)
  for row, seed in zip(many, seeds):
    np.testing.assert_array_equal(row, draw(seed))
    assert abs(float(tf.reduce_mean(row)) - 100) < 0.3


def test_what_cannot_be_replaced_is_named():
  with pytest.raises(ValueError, match="RandomGamma has no replacement"):
    reseeding.redraw(lambda: tf.random.gamma([3], 1.0))
  hidden = tf.function(lambda: tf.random.normal([3]))
  with pytest.raises(ValueError, match="RandomStandardNormal.* inside a `tf.function`"):
    reseeding.redraw(lambda: hidden() + 1)
