"""Dense classification and regression, on tables as they are and standardized."""

import keras
from keras import layers
import numpy as np

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

TOO_LARGE = 10.0  # times Glorot's deviation


@data.cached
def digits() -> Data:
  """8 x 8 digits, `[N, 64]`, 0 to 1."""
  table = data.sklearn_table("digits")
  return data.split(table.inputs / 16, table.targets, "scikit-learn's digits")


@data.cached
def digit_halves() -> Data:
  """The upper half of each digit, 0 to 1, and the lower: how many of 16 points are inked."""
  table = data.sklearn_table("digits")
  upper, lower = table.inputs[:, :32] / 16, table.inputs[:, 32:]
  return data.split(upper, lower, "scikit-learn's digits, halves")


@data.cached
def wine() -> Data:
  """13 measurements in their own units, up to 1,680."""
  return data.split(*data.sklearn_table("wine"), "scikit-learn's wine")


@data.cached
def cancer() -> Data:
  """30 standardized measurements."""
  table = data.sklearn_table("breast_cancer")
  return data.standardized(data.split(*table, "scikit-learn's breast cancer"))


@data.cached
def diabetes() -> Data:
  """Age, sex, blood pressure ... in their own units; the progression, 25 to 346."""
  return data.split(*data.sklearn_table("diabetes"), "scikit-learn's diabetes, unscaled")


@data.cached
def cars() -> Data:
  """7 standardized columns; miles per gallon."""
  return data.standardized(data.split(*data.cars(), "mlxtend's auto-mpg"))


@data.cached
def mnist() -> Data:
  """28 x 28 x 1, 0 to 1."""
  return data.scaled(data.images("mnist"))


@data.cached
def mnist_14() -> Data:
  """14 x 14 x 1, 0 to 1."""
  return data.scaled(data.images("mnist", pooling=2))


@data.cached
def cifar10_8() -> Data:
  """8 x 8 x 3, 0 to 1."""
  return data.scaled(data.images("cifar10", pooling=4))


@data.cached
def photograph() -> Data:
  """Places of pixels, -1 to 1, and their colours, 0 to 1."""
  image = data.photograph()
  height, width = image.shape[:2]
  rows, columns = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
  places = np.stack([rows, columns], -1).reshape(-1, 2).astype(np.float32)
  return data.split(places, image.reshape(-1, 3), "scikit-learn's china.jpg")


@define(
  "dense_classification",
  "Digits 8×8, 32 sigmoid units",
  digits,
  batch_size=32,
  long=True,
)
def digits_sigmoid(optimizer):
  model = keras.Sequential(
    [
      keras.Input([64]),
      layers.Dense(32, activation="sigmoid"),
      layers.Dense(10, activation="softmax"),
    ]
  )
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


@define("dense_classification", "MNIST 28×28, two layers of 64 ReLU units", mnist, batch_size=128)
def mnist_relu(optimizer):
  model = keras.Sequential(
    [
      keras.Input([28, 28, 1]),
      layers.Flatten(),
      layers.Dense(64, activation="relu"),
      layers.Dense(64, activation="relu"),
      layers.Dense(10),
    ]
  )
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(optimizer, loss, metrics=["accuracy"])
  return model


@define(
  "dense_classification",
  "MNIST 14×14, two layers of 48 tanh units, all weights start ten times too large",
  mnist_14,
  batch_size=64,
)
def mnist_tanh_large(optimizer):
  def dense(units, activation=None):
    start = keras.initializers.VarianceScaling(TOO_LARGE**2, "fan_avg", "uniform")
    return layers.Dense(units, activation, kernel_initializer=start)

  model = keras.Sequential(
    [keras.Input([14, 14, 1]), layers.Flatten(), dense(48, "tanh"), dense(48, "tanh"), dense(10)]
  )
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(optimizer, loss, metrics=["accuracy"])
  return model


@define(
  "dense_classification",
  "Wine, 13 raw columns up to 1,680, two layers of 32 ReLU units",
  wine,
  batch_size=16,
  long=True,
)
def wine_raw(optimizer):
  model = keras.Sequential(
    [
      keras.Input([13]),
      layers.Dense(32, activation="relu"),
      layers.Dense(32, activation="relu"),
      layers.Dense(3, activation="softmax"),
    ]
  )
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


@define(
  "dense_classification",
  "Breast cancer, standardized, 32-16 GELU, binary cross entropy times 0.001",
  cancer,
  batch_size=32,
)
def cancer_gelu(optimizer):
  inputs = keras.Input([30])
  x = layers.Dense(32, activation="gelu")(inputs)
  x = layers.Dense(16, activation="gelu")(x)
  model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
  model.compile(optimizer, "binary_crossentropy", loss_weights=0.001, metrics=["accuracy"])
  return model


@define(
  "dense_classification",
  "CIFAR-10 8×8, three batch-normalized layers of 48 ReLU units",
  cifar10_8,
  batch_size=64,
)
def cifar10_batchnorm(optimizer):
  inputs = keras.Input([8, 8, 3])
  x = layers.Flatten()(inputs)
  for _ in range(3):
    x = layers.Dense(48, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
  model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


@define(
  "dense_regression",
  "Diabetes, raw columns and raw targets (25 to 346), two layers of 32 ReLU units",
  diabetes,
  batch_size=32,
  metric="mae",
  long=True,
)
def diabetes_raw(optimizer):
  model = keras.Sequential(
    [
      keras.Input([10]),
      layers.Dense(32, activation="relu"),
      layers.Dense(32, activation="relu"),
      layers.Dense(1),
    ]
  )
  model.compile(optimizer, "mse", metrics=["mae"])
  return model


@define(
  "dense_regression",
  "Miles per gallon, standardized columns, 24 tanh units, squared error",
  cars,
  batch_size=32,
  metric="mae",
  long=True,
)
def cars_tanh(optimizer):
  model = keras.Sequential([keras.Input([7]), layers.Dense(24, activation="tanh"), layers.Dense(1)])
  model.compile(optimizer, "mse", metrics=["mae"])
  return model


@define(
  "dense_regression",
  "The counts in the lower half of a digit from its upper half, 48 GELU units, Poisson deviance",
  digit_halves,
  batch_size=32,
  metric="mae",
)
def digits_poisson(optimizer):
  model = keras.Sequential(
    [
      keras.Input([32]),
      layers.Dense(48, activation="gelu"),
      layers.Dense(32, activation="softplus"),
    ]
  )
  model.compile(optimizer, data.poisson_deviance, metrics=["mae"])
  return model


class Fourier(layers.Layer):
  """Sines and cosines of places at six octaves."""

  def call(self, places):
    angles = [np.pi * 2.0**k * places for k in range(6)]
    waves = [wave(x) for x in angles for wave in (keras.ops.sin, keras.ops.cos)]
    return keras.ops.concatenate(waves, -1)


@define(
  "dense_regression",
  "The colours of a photograph from the places of its pixels, two layers of 48 GELU units",
  photograph,
  batch_size=256,
  metric="mae",
)
def photograph_places(optimizer):
  model = keras.Sequential(
    [
      keras.Input([2]),
      Fourier(),
      layers.Dense(48, activation="gelu"),
      layers.Dense(48, activation="gelu"),
      layers.Dense(3, activation="sigmoid"),
    ]
  )
  model.compile(optimizer, "mse", metrics=["mae"])
  return model


TASKS = (
  *(digits_sigmoid, mnist_relu, mnist_tanh_large, wine_raw, cancer_gelu, cifar10_batchnorm),
  *(diabetes_raw, cars_tanh, digits_poisson, photograph_places),
)
