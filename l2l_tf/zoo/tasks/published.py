"""Twelve problems of google/learned_optimization, whose tuned baselines are published.

Metz et al. 2022, "VeLO", arXiv 2211.09760; defined in `tasks/fixed/` of the repository
google/learned_optimization, commit 32186aa, and measured there (zoo/published/lo_baselines.json).
"""

import functools

import keras
from keras import layers
from keras import ops
import numpy as np

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import PUBLISHED
from l2l_tf.zoo.task import Task
from l2l_tf.problems import datasets

TRAIN_SHARE = 0.8  # of the training split; a tenth after it is for validation
SKIP = (10, 5)  # of every 15 minibatches 5 are evaluated and never trained on
EPSILON = 1e-5  # of the normalizations


@functools.lru_cache(maxsize=1)
def _split(name: str, size: int) -> Data:
  """Images of `size` pixels a side, 0 to 1: the training part and 1,000 for validation."""
  whole = datasets.load(name)
  cut = round(TRAIN_SHARE * len(whole.labels))
  parts = [
    (_resized(whole.images[rows], size), whole.labels[rows].astype(np.int32))
    for rows in (slice(cut), slice(cut, cut + data.MAX_TEST))
  ]
  return Data(*parts, f"the first {cut} of {whole.source}")


def _resized(images: np.ndarray, size: int) -> np.ndarray:
  """Bilinear, without antialiasing: the mean of the central 2 x 2 pixels of each block."""
  block = images.shape[1] // size
  values = images.astype(np.float32) / 255
  if block == 1:
    return values
  first = block // 2 - 1
  corners = [values[:, first + i :: block, first + j :: block] for i in (0, 1) for j in (0, 1)]
  return np.mean(corners, 0, dtype=np.float32)


def _classified(name: str, size: int) -> Data:
  return _split(name, size)


def _one_hot(name: str, size: int) -> Data:
  parts = _split(name, size)
  targets = [(x, np.eye(10, dtype=np.float32)[y]) for x, y in (parts.train, parts.test)]
  return parts._replace(train=targets[0], test=targets[1])


def _copied(name: str, size: int) -> Data:
  return data.reconstructed(_split(name, size))


@keras.saving.register_keras_serializable(package="l2l_tf")
class BatchStatistics(layers.Layer):
  """Batch normalization by the present minibatch, in evaluation, too."""

  def build(self, shape):
    self.scale = self.add_weight(shape=shape[-1:], initializer="ones", name="scale")
    self.offset = self.add_weight(shape=shape[-1:], initializer="zeros", name="offset")

  def call(self, x):
    mean, variance = ops.moments(x, list(range(len(x.shape) - 1)), keepdims=True)
    return self.scale * (x - mean) * ops.rsqrt(variance + EPSILON) + self.offset


def _start(fan_in: int) -> keras.initializers.Initializer:
  """Haiku's: a normal distribution of deviation 1/sqrt(fan-in), cut at two deviations."""
  return keras.initializers.TruncatedNormal(stddev=fan_in**-0.5)


def _dense(x, units: int, activation=None):
  return layers.Dense(units, activation, kernel_initializer=_start(x.shape[-1]))(x)


def _normalized(x, norm: str):
  if norm == "batch":
    return BatchStatistics()(x)
  return layers.LayerNormalization(epsilon=EPSILON)(x) if norm == "layer" else x


def _compiled(inputs, outputs, loss, optimizer, metrics=()):
  model = keras.Model(inputs, outputs)
  model.compile(optimizer, loss, metrics=list(metrics))
  return model


def mlp(optimizer, *, shape, hidden=(128, 128, 128), activation="relu", norm="", squared=False):
  """A perceptron that classifies, by cross entropy or by the squared error of one-hot labels."""
  inputs = keras.Input(shape)
  x = layers.Flatten()(inputs)
  for units in hidden:
    x = layers.Activation(activation)(_normalized(_dense(x, units), norm))
  x = _dense(x, 10)
  cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  return _compiled(inputs, x, "mse" if squared else cross_entropy, optimizer)


def autoencoder(optimizer, *, pixels):
  """128-32-128 ReLU, also on the 32; sigmoid outputs, squared error."""
  inputs = keras.Input([pixels])
  x = inputs
  for units in (128, 32, 128):
    x = _dense(x, units, "relu")
  return _compiled(inputs, _dense(x, pixels, "sigmoid"), "mse", optimizer)


def convolutions(optimizer, *, side, norm=""):
  """32, 64 and 64 filters of 3 x 3, strides 2, 1, 1; mean over the places; a dense layer."""
  inputs = keras.Input([side, side, 3])
  x = inputs
  for filters, strides in ((32, 2), (64, 1), (64, 1)):
    start = _start(9 * x.shape[-1])
    convolution = layers.Conv2D(
      filters, 3, strides, padding="same", activation="relu", kernel_initializer=start
    )
    x = _normalized(convolution(x), norm)
  x = _dense(layers.GlobalAveragePooling2D()(x), 10)
  cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  return _compiled(inputs, x, cross_entropy, optimizer)


def _problem(
  name: str, about: str, load, images: str, size: int, batch_size: int, build, **options
):
  """A task of the name that it has in lo_baselines.json."""
  return Task(
    name,
    PUBLISHED,
    about,
    functools.partial(build, **options),
    functools.partial(load, images, size),
    batch_size,
    metric="loss",
    long=True,
    skip=SKIP,
  )


def _cifar10_mlp(suffix: str, about: str, load=_classified, **options) -> Task:
  name = f"ImageMLP_Cifar10_128x128x128_{suffix}"
  about = f"CIFAR-10, three layers of 128 {about}"
  return _problem(name, about, load, "cifar10", 32, 128, mlp, shape=(32, 32, 3), **options)


TASKS = (
  _problem(
    *("ImageMLP_Mnist_128x128x128_Relu", "MNIST, three layers of 128 ReLU units"),
    *(_classified, "mnist", 28, 128, mlp),
    shape=(28, 28, 1),
  ),
  _problem(
    *("ImageMLPAE_Mnist_128x32x128_bs128", "MNIST, auto-encoder 128-32-128"),
    *(_copied, "mnist", 28, 128, autoencoder),
    pixels=784,
  ),
  _cifar10_mlp("Relu", "ReLU units"),
  _cifar10_mlp("Tanh_bs128", "tanh units", activation="tanh"),
  _cifar10_mlp("BatchNorm_Relu", "ReLU units, batch normalization", norm="batch"),
  _cifar10_mlp("LayerNorm_Relu", "ReLU units, layer normalization", norm="layer"),
  _cifar10_mlp("Relu_MSE", "ReLU units, squared error", load=_one_hot, squared=True),
  _problem(
    *("ImageMLP_Cifar10_8_Relu32", "CIFAR-10 8×8, 32 ReLU units"),
    *(_classified, "cifar10", 8, 128, mlp),
    shape=(8, 8, 3),
    hidden=(32,),
  ),
  _problem(
    *("ImageMLPAE_Cifar10_128x32x128_bs256", "CIFAR-10, auto-encoder 128-32-128"),
    *(_copied, "cifar10", 32, 256, autoencoder),
    pixels=3072,
  ),
  _problem(
    *("Conv_Cifar10_16_32x64x64", "CIFAR-10 16×16, three convolutions"),
    *(_classified, "cifar10", 16, 128, convolutions),
    side=16,
  ),
  _problem(
    *("Conv_Cifar10_32x64x64", "CIFAR-10, three convolutions"),
    *(_classified, "cifar10", 32, 128, convolutions),
    side=32,
  ),
  _problem(
    *("Conv_Cifar10_32x64x64_batchnorm", "CIFAR-10, three convolutions, batch normalization"),
    *(_classified, "cifar10", 32, 128, convolutions),
    side=32,
    norm="batch",
  ),
)
