"""Keras models, and data for them, that the tests of `from_keras` share."""

import keras
import numpy as np
import tensorflow as tf

from l2l_tf.problems import base

SEEDS = tf.constant(base.make_seeds(5, count=2))
RNG = np.random.default_rng(0)
N, BATCH = 24, 16
X = RNG.normal(size=(N, 6)).astype(np.float32)
U, V = RNG.normal(size=(2, N, 2)).astype(np.float32)
LABELS = RNG.integers(0, 3, N)
WORDS = RNG.integers(1, 7, (N, 5)) * (np.arange(5) < RNG.integers(1, 6, (N, 1)))  # 0 pads
WEIGHTS = RNG.uniform(0.1, 3, N).astype(np.float32)
SCE = keras.losses.SparseCategoricalCrossentropy
dense, layers = keras.layers.Dense, keras.layers


def sequential(*own, shape=(6,), **options) -> keras.Model:
  return keras.Sequential([keras.Input(shape, **options), *own])


def two_outputs(as_dict=False) -> keras.Model:
  inputs = keras.Input((6,))
  outputs = {name: dense(2, name=name)(inputs) for name in "uv"}
  return keras.Model(inputs, outputs if as_dict else list(outputs.values()))


def nested_outputs() -> keras.Model:
  inputs = keras.Input((6,))
  return keras.Model(inputs, {"a": [dense(2)(inputs), dense(2)(inputs)], "b": dense(2)(inputs)})


def two_inputs() -> keras.Model:
  inputs = {"a": keras.Input((6,), name="a"), "b": keras.Input((2,), name="b")}
  return keras.Model(inputs, dense(3)(layers.Concatenate()(list(inputs.values()))))


def tagger(**options) -> keras.Model:
  own = layers.Embedding(7, 3, mask_zero=True), layers.SimpleRNN(4, return_sequences=True)
  return sequential(*own, dense(3, **options), shape=(5,), dtype="int32")


class AddsLosses(layers.Layer):
  def call(self, x):
    self.add_loss(0.1 * keras.ops.mean(x**2))
    self.add_loss(keras.ops.mean(keras.ops.abs(x)))
    return x


class Block(layers.Layer):
  """Its inner layer is built while it is called."""

  def __init__(self):
    super().__init__()
    self.inner = dense(6, "tanh")

  def call(self, x):
    return x + self.inner(x)


class Subclassed(keras.Model):
  def __init__(self):
    super().__init__()
    self.first, self.last = dense(4, "tanh", kernel_regularizer="l2"), dense(3)

  def call(self, x):
    return self.last(self.first(x))


class Blocks(Subclassed):
  def __init__(self):
    super().__init__()
    self.first = Block()


class Pair(Subclassed):
  def call(self, x):
    return super().call(x), self.first(x)


class OwnLoss(Subclassed):
  """Of the inputs too, with a metric of its own, and without Keras's `training`."""

  def __init__(self):
    super().__init__()
    self.tracker = keras.metrics.Mean()

  def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
    loss = 3 * super().compute_loss(x, y, y_pred, sample_weight) + keras.ops.mean(x * y[:, None])
    self.tracker.update_state(loss)
    return loss


class AutoEncoder(keras.Model):
  def __init__(self):
    super().__init__()
    self.inner, self.outer = dense(2, "tanh"), dense(6)

  def call(self, x):
    y = self.outer(self.inner(x))
    self.add_loss(keras.ops.mean((x - y) ** 2))
    return y


class OwnReconstruction(AutoEncoder):
  def call(self, x):
    return self.outer(self.inner(x))

  def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
    return keras.ops.mean((x - y_pred) ** 2)


def compiled() -> keras.Model:
  model = two_outputs()
  model.compile("adam", ["mse", "mae"], loss_weights=[0.3, 2.0], metrics=[["mae"], ["mse"]])
  return model


def mixed() -> keras.Model:
  policy = keras.DTypePolicy("mixed_float16")
  return sequential(dense(4, "relu", dtype=policy), dense(3, dtype=policy))


def huber(y_true, y_pred):
  return keras.ops.mean(keras.ops.sqrt(1 + (y_true - y_pred) ** 2) - 1, axis=-1)
