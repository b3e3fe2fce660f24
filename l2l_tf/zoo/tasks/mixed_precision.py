"""Mixed precision: arithmetic in bfloat16, weights in float32."""

import keras
from keras import layers

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "mixed_precision"
POLICY = "mixed_bfloat16"


@data.cached
def digits() -> Data:
  """8 x 8 x 1 digits, 0 to 1."""
  table = data.sklearn_table("digits")
  images = table.inputs.reshape(-1, 8, 8, 1) / 16
  return data.split(images, table.targets, "scikit-learn's digits")


@data.cached
def mnist_14() -> Data:
  """14 x 14 x 1, 0 to 1."""
  return data.scaled(data.images("mnist", pooling=2))


@define(FAMILY, "MNIST 14×14 in bfloat16, three layers of 64 ReLU units", mnist_14, 64, long=True)
def mnist_mixed(optimizer):
  model = keras.Sequential(
    [
      keras.Input([14, 14, 1]),
      layers.Flatten(),
      *(layers.Dense(64, activation="relu", dtype=POLICY) for _ in range(3)),
      layers.Dense(10, activation="softmax", dtype="float32"),
    ]
  )
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


@define(FAMILY, "Digits 8×8 in bfloat16, a convolution and layer normalization, GELU", digits, 32)
def digits_mixed_convnet(optimizer):
  inputs = keras.Input([8, 8, 1])
  x = layers.Conv2D(16, 3, strides=2, activation="gelu", dtype=POLICY)(inputs)
  x = layers.Flatten(dtype=POLICY)(x)
  x = layers.LayerNormalization(dtype=POLICY)(x)
  x = layers.Dense(32, activation="gelu", dtype=POLICY)(x)
  model = keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(x))
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


TASKS = (mnist_mixed, digits_mixed_convnet)
