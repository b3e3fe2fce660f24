"""Embeddings, whose gradients are sparse: wide and deep, matrix factorization, word vectors."""

import re

import keras
from keras import layers
import numpy as np

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "embeddings"
WORDS = 500
CROSSES = 1000  # buckets for pairs of words
CONTEXT = 3
STOP_WORDS = 50  # the most frequent words, which are not counted
COUNTED = 400  # the next ones, which are, by topic


def _trigrams() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
  """Three words, the word after them, and the vocabulary."""
  words, vocabulary = data.words(WORDS)
  views = np.lib.stride_tricks.sliding_window_view(words, CONTEXT + 1)
  return views[:, :CONTEXT].copy(), views[:, CONTEXT].copy(), vocabulary


def _split(x, y) -> Data:
  """The last tenth is held out, but no more than 1,000 examples of it."""
  cut = len(y) * 9 // 10
  parts = (slice(cut), slice(cut, cut + data.MAX_TEST))
  train, test = (
    (keras.tree.map_structure(lambda array, part=part: array[part], x), y[part]) for part in parts
  )
  return Data(train, test, "words of Python's help()")


@data.cached
def next_words() -> Data:
  """The three words before and the word, among 500."""
  return _split(*_trigrams()[:2])


@data.cached
def next_letters() -> Data:
  """The words before, crosses of two of them, and the letter that the next word starts with."""
  context, following, vocabulary = _trigrams()
  letters = np.array([0] + [ord(word[0]) - ord("a") + 1 for word in vocabulary[1:]], np.int32)
  pairs = context[:, 1:]  # the last two words
  cross = (pairs[:, 0].astype(np.int64) * WORDS + pairs[:, 1]) % CROSSES
  wide = np.concatenate([cross[:, None], pairs[:, :1] + CROSSES], 1).astype(np.int32)
  return _split({"wide": wide, "deep": context}, letters[following])


@data.cached
def topic_counts() -> Data:
  """Topic, word, and how often the word stands in the topic's text."""
  names = list(data.topics())
  _, vocabulary = data.words(1 + STOP_WORDS + COUNTED)
  counts = np.zeros([len(names), COUNTED], np.float32)
  for row, name in enumerate(names):
    found = re.findall(r"[a-z]+", data.topics()[name].lower())
    present = dict(zip(*np.unique(found, return_counts=True)))
    counts[row] = [present.get(word, 0) for word in vocabulary[1 + STOP_WORDS :]]
  topic, word = (axis.ravel().astype(np.int32) for axis in np.indices(counts.shape))
  return data.split(np.stack([topic, word], 1), counts.ravel(), "words of Python's help() by topic")


@define(
  FAMILY, "The first letter of the next word, a wide and a deep part", next_letters, 64, long=True
)
def words_wide_deep(optimizer):
  wide, deep = (
    keras.Input([2], dtype="int32", name="wide"),
    keras.Input([3], dtype="int32", name="deep"),
  )
  weights = layers.Embedding(CROSSES + WORDS, 27, embeddings_initializer="zeros")(wide)
  x = layers.Flatten()(layers.Embedding(WORDS, 8)(deep))
  x = layers.Dense(32, activation="relu")(x)
  logits = layers.Add()([keras.ops.sum(weights, 1), layers.Dense(27)(x)])
  model = keras.Model({"wide": wide, "deep": deep}, layers.Softmax()(logits))
  model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
  return model


class Factorization(keras.Model):
  """The rate of a word in a topic: the exponential of a product of two vectors, and biases."""

  def __init__(self, rows: int, columns: int, rank: int):
    super().__init__()
    self.row_vectors = layers.Embedding(rows, rank)
    self.row_biases = layers.Embedding(rows, 1)
    self.column_vectors = layers.Embedding(columns, rank)
    self.column_biases = layers.Embedding(columns, 1)

  def call(self, pairs):
    row, column = pairs[:, 0], pairs[:, 1]
    product = keras.ops.sum(self.row_vectors(row) * self.column_vectors(column), -1, keepdims=True)
    return keras.ops.exp(product + self.row_biases(row) + self.column_biases(column))


@define(
  FAMILY,
  "How often a word stands in a topic, matrix factorization of rank 8, Poisson deviance",
  topic_counts,
  128,
  metric="mae",
  long=True,
)
def topics_factorization(optimizer):
  model = Factorization(len(data.topics()), COUNTED, 8)
  model(np.zeros([1, 2], np.int32))
  model.compile(optimizer, data.poisson_deviance, metrics=["mae"])
  return model


@define(FAMILY, "The next word of 500, vectors of three words, 32 tanh units", next_words, 64)
def words_neural_model(optimizer):
  model = keras.Sequential(
    [
      keras.Input([CONTEXT], dtype="int32"),
      layers.Embedding(WORDS, 16),
      layers.Flatten(),
      layers.Dense(32, activation="tanh"),
      layers.Dense(WORDS),
    ]
  )
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(optimizer, loss, metrics=["accuracy"])
  return model


TASKS = (words_wide_deep, topics_factorization, words_neural_model)
