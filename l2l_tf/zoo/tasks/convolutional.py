"""Convolutional classifiers: plain, residual with batch normalization, separable, LeNet."""

import keras
from keras import layers

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "convolutional"
TOO_SMALL = 0.1  # times Glorot's deviation


@data.cached
def mnist() -> Data:
  """28 x 28 x 1, 0 to 1."""
  return data.scaled(data.images("mnist"))


@data.cached
def mnist_raw() -> Data:
  """14 x 14 x 1, 0 to 255, bytes."""
  return data.images("mnist", pooling=2)


@data.cached
def cifar10_16() -> Data:
  """16 x 16 x 3, 0 to 1."""
  return data.scaled(data.images("cifar10", pooling=2))


@define(FAMILY, "MNIST 28×28, two ReLU convolutions, max pooling, dropout", mnist, 32)
def mnist_convnet(optimizer):
  model = keras.Sequential(
    [
      keras.Input([28, 28, 1]),
      layers.Conv2D(8, 3, activation="relu"),
      layers.MaxPooling2D(),
      layers.Conv2D(16, 3, activation="relu"),
      layers.MaxPooling2D(),
      layers.Flatten(),
      layers.Dropout(0.5),
      layers.Dense(10, activation="softmax"),
    ]
  )
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


@define(
  FAMILY, "MNIST 14×14, raw pixels up to 255, LeNet with tanh and mean pooling", mnist_raw, 32
)
def mnist_lenet_raw(optimizer):
  model = keras.Sequential(
    [
      keras.Input([14, 14, 1]),
      layers.Conv2D(6, 5, padding="same", activation="tanh"),
      layers.AveragePooling2D(2),
      layers.Conv2D(12, 3, activation="tanh"),
      layers.AveragePooling2D(2),
      layers.Flatten(),
      layers.Dense(32, activation="tanh"),
      layers.Dense(10, activation="softmax"),
    ]
  )
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


def residual(x, filters: int, strides: int):
  """A block of two convolutions, batch-normalized, added to its input."""
  shortcut = x
  if strides > 1 or x.shape[-1] != filters:
    shortcut = layers.Conv2D(filters, 1, strides, use_bias=False)(x)
    shortcut = layers.BatchNormalization()(shortcut)
  x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
  x = layers.BatchNormalization()(x)
  x = layers.ReLU()(x)
  x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
  x = layers.BatchNormalization()(x)
  return layers.ReLU()(layers.Add()([x, shortcut]))


@define(FAMILY, "CIFAR-10 16×16, a residual network with batch normalization", cifar10_16, 32)
def cifar10_resnet(optimizer):
  inputs = keras.Input([16, 16, 3])
  x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
  x = layers.BatchNormalization()(x)
  x = layers.ReLU()(x)
  x = residual(x, 8, 1)
  x = residual(x, 16, 2)
  x = residual(x, 32, 2)
  x = layers.GlobalAveragePooling2D()(x)
  model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


@define(
  FAMILY,
  "CIFAR-10 16×16, separable GELU convolutions, all weights start ten times too small",
  cifar10_16,
  32,
)
def cifar10_separable_small(optimizer):
  def start():
    return keras.initializers.VarianceScaling(TOO_SMALL**2, "fan_avg", "uniform")

  def separable(filters):
    return layers.SeparableConv2D(
      filters,
      3,
      strides=2,
      padding="same",
      activation="gelu",
      depthwise_initializer=start(),
      pointwise_initializer=start(),
    )

  model = keras.Sequential(
    [
      keras.Input([16, 16, 3]),
      layers.Conv2D(16, 3, padding="same", activation="gelu", kernel_initializer=start()),
      separable(32),
      separable(48),
      layers.GlobalAveragePooling2D(),
      layers.Dense(10, activation="softmax", kernel_initializer=start()),
    ]
  )
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


TASKS = (mnist_convnet, mnist_lenet_raw, cifar10_resnet, cifar10_separable_small)
