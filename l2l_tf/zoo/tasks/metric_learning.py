"""Metric learning: images that show the same are brought together."""

import keras
from keras import layers
from keras import ops
import numpy as np

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "metric_learning"
TEMPERATURE = 0.1


def _pairs(x: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator):
  """Pairs of images, half of them of one class, and whether they are."""
  left = rng.integers(len(x), size=count)
  right = rng.integers(len(x), size=count)
  same = np.arange(count) % 2 == 0
  for label in np.unique(labels):
    rows = same & (labels[left] == label)
    right[rows] = rng.choice(np.flatnonzero(labels == label), rows.sum())
  return {"left": x[left], "right": x[right]}, (labels[left] == labels[right]).astype(np.float32)


@data.cached
def digit_pairs() -> Data:
  """Pairs of 8 x 8 digits, 0 to 1."""
  table = data.sklearn_table("digits")
  digits = data.split(table.inputs / 16, table.targets, "pairs of scikit-learn's digits")
  rng = np.random.default_rng(1)
  return digits._replace(
    train=_pairs(*digits.train, 10000, rng), test=_pairs(*digits.test, data.MAX_TEST, rng)
  )


@data.cached
def mnist_14() -> Data:
  """14 x 14 x 1, 0 to 1."""
  return data.scaled(data.images("mnist", pooling=2))


def contrastive_loss(same, distance):
  """Hadsell, Chopra and LeCun 2006, margin 1."""
  distance = ops.squeeze(distance, -1)
  apart = ops.square(ops.maximum(1 - distance, 0))
  return same * ops.square(distance) + (1 - same) * apart


def near_accuracy(same, distance):
  """Whether pairs nearer than half the margin are those of one class."""
  near = ops.cast(ops.squeeze(distance, -1) < 0.5, "float32")
  return ops.cast(ops.equal(near, ops.reshape(same, [-1])), "float32")


@define(
  FAMILY,
  "Pairs of digits, siamese 64-32-16 with sigmoid units, contrastive loss",
  digit_pairs,
  32,
  metric="near_accuracy",
  long=True,
)
def digits_siamese(optimizer):
  tower = keras.Sequential(
    [keras.Input([64]), layers.Dense(32, activation="sigmoid"), layers.Dense(16)]
  )
  left, right = keras.Input([64], name="left"), keras.Input([64], name="right")
  difference = ops.square(tower(left) - tower(right))
  distance = ops.sqrt(ops.sum(difference, -1, keepdims=True) + 1e-6)
  model = keras.Model({"left": left, "right": right}, distance)
  model.compile(optimizer, contrastive_loss, metrics=[near_accuracy])
  return model


def supervised_contrastive_loss(labels, vectors):
  """Khosla et al. 2020, over the pairs within a minibatch."""
  labels = ops.reshape(labels, [-1, 1])
  count = ops.shape(labels)[0]
  others = 1 - ops.eye(count)
  logits = ops.matmul(vectors, ops.transpose(vectors)) / TEMPERATURE - 1e9 * (1 - others)
  alike = ops.cast(ops.equal(labels, ops.transpose(labels)), "float32") * others
  log_shares = ops.where(alike > 0, ops.log_softmax(logits, -1), 0.0)
  return -ops.sum(log_shares, -1) / ops.maximum(ops.sum(alike, -1), 1)


@define(
  FAMILY,
  "MNIST 14×14, vectors of unit length from two convolutions, supervised contrastive loss",
  mnist_14,
  64,
  metric="loss",
)
def mnist_contrastive(optimizer):
  model = keras.Sequential(
    [
      keras.Input([14, 14, 1]),
      layers.Conv2D(8, 3, strides=2, activation="relu"),
      layers.Conv2D(16, 3, strides=2, activation="relu"),
      layers.Flatten(),
      layers.Dense(16),
      layers.UnitNormalization(),
    ]
  )
  model.compile(optimizer, supervised_contrastive_loss)
  return model


TASKS = (digits_siamese, mnist_contrastive)
