"""Tests of random numbers in Keras models: drawn from the seed of the step, or refused."""

import itertools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base
from tests.problems.keras_examples import SEEDS
from tests.problems.keras_examples import U
from tests.problems.keras_examples import X
from tests.problems.keras_examples import dense
from tests.problems.keras_examples import huber
from tests.problems.keras_examples import layers
from tests.problems.keras_examples import sequential


class Draws(layers.Layer):
  """Multiplies by numbers that `draw(layer, shape)` gives."""

  def __init__(self, draw):
    super().__init__()
    self.draw, self.seeds = draw, keras.random.SeedGenerator(1)
    self.generator = tf.random.Generator.from_seed(1)

  def call(self, x, training=False):
    return x * (1 + self.draw(self, [6])) if training else x


def drawing(draw):
  return sequential(Draws(draw), dense(2))


DRAWS = {
  "its own generator": lambda layer, shape: keras.random.normal(shape, seed=layer.seeds),
  "no seed": lambda layer, shape: keras.random.normal(shape),
  "twice": lambda layer, shape: keras.random.uniform(shape) * keras.random.uniform(shape),
  "TensorFlow": lambda layer, shape: tf.random.normal(shape),
  "TensorFlow's uniform": lambda layer, shape: tf.random.uniform(shape, seed=3),
  "TensorFlow's integers": lambda layer, shape: tf.cast(
    tf.random.uniform(shape, 1, 9, tf.int32), tf.float32
  ),
  "tf.random.Generator": lambda layer, shape: layer.generator.normal(shape),
  "dropout": lambda layer, shape: tf.nn.dropout(tf.ones(shape), 0.5),
}
ONE = X[:1], U[:1]  # only what is drawn can differ


def assert_drawn_from_the_seed(problem):
  params, task = problem.init(SEEDS[0])
  f = tf.function(problem.loss, autograph=False)
  values = [float(f(params, task, base.at_step(SEEDS[1], tf.constant(t)))) for t in range(12)]
  again = [float(f(params, task, base.at_step(SEEDS[1], tf.constant(t)))) for t in range(12)]
  assert values == again and len(set(values)) > 6
  assert values[0] == pytest.approx(float(problem.loss(params, task, SEEDS[1] + [0, 1])), rel=1e-5)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_a_layer_draws_is_drawn_from_the_seed(draw):
  assert_drawn_from_the_seed(problems.from_keras(lambda: drawing(draw), "mse", ONE, 4))


def test_what_a_loss_draws_is_drawn_from_the_seed():
  def noisy(y_true, y_pred):
    return huber(y_true, y_pred + keras.random.normal([2]))

  assert_drawn_from_the_seed(problems.from_keras(lambda: sequential(dense(2)), noisy, ONE, 4))


ITERATOR = itertools.count()


def test_generators_made_while_called_are_refused():
  def draw(layer, shape):
    return keras.random.normal(shape, seed=keras.random.SeedGenerator())

  with pytest.raises(ValueError, match="loss makes variables, .* make them once, outside"):
    problems.from_keras(lambda: drawing(draw), "mse", ONE, 4)


PYTHON = {
  "NumPy": lambda layer, shape: np.random.normal(size=shape).astype("f4"),
  "Python": lambda layer, shape: random.random(),
  "an iterator": lambda layer, shape: next(ITERATOR),
}


@pytest.mark.parametrize("draw", PYTHON.values(), ids=PYTHON)
def test_what_python_draws_is_refused(draw):
  with pytest.raises(ValueError, match="loss is another function each time .*Python"):
    problems.from_keras(lambda: drawing(draw), "mse", ONE, 4)
