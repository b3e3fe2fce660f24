"""Recurrent language models of characters."""

import keras
from keras import layers

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "recurrent_text"
LENGTH = 20
SIZE = len(data.ALPHABET)


def characters() -> Data:
  """Windows of 20 characters."""
  return data.characters(LENGTH)


def _compiled(model, optimizer):
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(optimizer, loss, metrics=["accuracy"])
  return model


@define(FAMILY, "The next character, a GRU of 48 units", characters, 32)
def characters_gru(optimizer):
  model = keras.Sequential(
    [
      keras.Input([LENGTH], dtype="int32"),
      layers.Embedding(SIZE, 16),
      layers.GRU(48, return_sequences=True),
      layers.Dense(SIZE),
    ]
  )
  return _compiled(model, optimizer)


@define(FAMILY, "The next character, two LSTMs of 32 units", characters, 32)
def characters_lstm(optimizer):
  model = keras.Sequential(
    [
      keras.Input([LENGTH], dtype="int32"),
      layers.Embedding(SIZE, 16),
      layers.LSTM(32, return_sequences=True),
      layers.LSTM(32, return_sequences=True),
      layers.Dense(SIZE),
    ]
  )
  return _compiled(model, optimizer)


TASKS = (characters_gru, characters_lstm)
