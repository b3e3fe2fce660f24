"""Fine-tuning: a network trained on the digits 0 to 4 learns 5 to 9, a part of it frozen."""

import functools

import keras
from keras import layers
import numpy as np

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "fine_tuning"
BASE_EXAMPLES = 5120
BASE_BATCH = 64


@data.cached
def low_digits() -> Data:
  """MNIST 14 x 14, 0 to 1, the classes 0 to 4."""
  return _classes(0)


@data.cached
def high_digits() -> Data:
  """The classes 5 to 9, counted from 0."""
  return _classes(5)


def _classes(first: int) -> Data:
  whole = data.scaled(data.images("mnist", pooling=2))
  parts = []
  for x, y in (whole.train, whole.test):
    mine = (y >= first) & (y < first + 5)
    parts.append((x[mine], y[mine] - first))
  return Data(*parts, f"{whole.source}, classes {first} to {first + 4}")


def base() -> keras.Model:
  """The part that is trained before: two batch-normalized convolutions."""
  inputs = keras.Input([14, 14, 1])
  x = inputs
  for filters in (8, 16):
    x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
  return keras.Model(inputs, layers.Flatten()(x))


@functools.cache
def base_weights() -> tuple[np.ndarray, ...]:
  """Those of `base` after 80 steps of Adam on the classes 0 to 4, from a fixed start.

  Note: it sets the random seed of everything; who wants another sets it after the first call.
  """
  keras.utils.set_random_seed(0)
  body = base()
  model = keras.Sequential([body, layers.Dense(5, activation="softmax")])
  model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
  x, y = (values[:BASE_EXAMPLES] for values in low_digits().train)
  model.fit(x, y, batch_size=BASE_BATCH, shuffle=False, verbose=0)
  return tuple(body.get_weights())


@define(
  FAMILY,
  "A new head of 32 sigmoid units on a frozen convolutional base",
  high_digits,
  32,
  long=True,
)
def digits_new_head(optimizer):
  body = base()
  body.set_weights(base_weights())
  body.trainable = False
  inputs = keras.Input([14, 14, 1])
  x = layers.Dense(32, activation="sigmoid")(body(inputs, training=False))
  model = keras.Model(inputs, layers.Dense(5, activation="softmax")(x))
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


@define(
  FAMILY, "A new layer on a base whose first convolution is frozen", high_digits, 32, long=True
)
def digits_upper_part(optimizer):
  body = base()
  body.set_weights(base_weights())
  for layer in body.layers[:3]:
    layer.trainable = False
  model = keras.Sequential([body, layers.Dense(5, activation="softmax")])
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


TASKS = (digits_new_head, digits_upper_part)
