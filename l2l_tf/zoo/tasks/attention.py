"""Attention: a causal transformer of characters, a small vision transformer."""

import keras
from keras import layers
from keras import ops

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "attention"
LENGTH = 32
PATCH = 7
WIDTH = 32


def characters() -> Data:
  """Windows of 32 characters."""
  return data.characters(LENGTH)


@data.cached
def mnist() -> Data:
  """28 x 28 x 1, 0 to 1."""
  return data.scaled(data.images("mnist"))


class Positions(layers.Layer):
  """Adds a learned vector for each place."""

  def build(self, shape):
    self.vectors = self.add_weight(shape=shape[1:], initializer="random_normal", name="vectors")

  def call(self, x):
    return x + self.vectors


def block(x, causal: bool):
  """A pre-normalized transformer block of two heads."""
  y = layers.LayerNormalization()(x)
  y = layers.MultiHeadAttention(2, WIDTH // 2)(y, y, use_causal_mask=causal)
  x = layers.Add()([x, y])
  y = layers.LayerNormalization()(x)
  y = layers.Dense(2 * WIDTH, activation="gelu")(y)
  y = layers.Dense(WIDTH)(y)
  return layers.Add()([x, y])


@define(FAMILY, "The next character, a causal transformer of two blocks", characters, 16)
def characters_transformer(optimizer):
  size = len(data.ALPHABET)
  inputs = keras.Input([LENGTH], dtype="int32")
  x = Positions()(layers.Embedding(size, WIDTH)(inputs))
  for _ in range(2):
    x = block(x, causal=True)
  x = layers.LayerNormalization()(x)
  model = keras.Model(inputs, layers.Dense(size)(x))
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(optimizer, loss, metrics=["accuracy"])
  return model


class Patches(layers.Layer):
  """Cuts images into squares, each a vector."""

  def call(self, images):
    height, width, channels = images.shape[1:]
    x = ops.reshape(images, [-1, height // PATCH, PATCH, width // PATCH, PATCH, channels])
    x = ops.transpose(x, [0, 1, 3, 2, 4, 5])
    return ops.reshape(x, [-1, (height // PATCH) * (width // PATCH), PATCH * PATCH * channels])


@define(FAMILY, "MNIST 28×28, a vision transformer of two blocks on 7×7 patches", mnist, 32)
def mnist_vit(optimizer):
  inputs = keras.Input([28, 28, 1])
  x = Positions()(layers.Dense(WIDTH)(Patches()(inputs)))
  for _ in range(2):
    x = block(x, causal=False)
  x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
  model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


TASKS = (characters_transformer, mnist_vit)
