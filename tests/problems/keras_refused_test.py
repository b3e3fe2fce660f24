"""Tests of Keras models that are not followed: each is refused, and why is said."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from tests.problems.keras_examples import BATCH
from tests.problems.keras_examples import LABELS
from tests.problems.keras_examples import RNG
from tests.problems.keras_examples import SCE
from tests.problems.keras_examples import WORDS
from tests.problems.keras_examples import N
from tests.problems.keras_examples import Subclassed
from tests.problems.keras_examples import U
from tests.problems.keras_examples import V
from tests.problems.keras_examples import X
from tests.problems.keras_examples import dense
from tests.problems.keras_examples import layers
from tests.problems.keras_examples import sequential
from tests.problems.keras_examples import tagger
from tests.problems.keras_examples import two_outputs


class OwnStep(Subclassed):
  def train_step(self, data):
    return {"loss": keras.ops.sum(self(data[0]))}


class OwnFit(Subclassed):
  def fit(self, *args, **kwargs):
    return None


class Counts(Subclassed):
  def __init__(self):
    super().__init__()
    self.counter = tf.Variable(0.0, name="my_counter")

  def call(self, x):
    self.counter.assign_add(1.0)
    return super().call(x) * self.counter


COUNTER = tf.Variable(0.0, name="my_counter")


class Counting(layers.Layer):
  def call(self, x):
    COUNTER.assign_add(1.0)
    return x * COUNTER


class NotANumber(Subclassed):
  def call(self, x):
    return super().call(x) * np.nan


def constrained(**options):
  return lambda: sequential(dense(3, **options))


def stateful(layer):
  return lambda: sequential(layer, dense(3), shape=None, batch_shape=(BATCH, 5, 3))


SEQUENCES = RNG.normal(size=(N, 5, 3)).astype(np.float32)
REFUSED = {
  "train_step": (OwnStep, SCE(True), (X, LABELS), r"OwnStep has a train_step\(\) of its own"),
  "fit": (OwnFit, SCE(True), (X, LABELS), r"OwnFit has a fit\(\) of its own.*`compute_loss`"),
  "kernel": (constrained(kernel_constraint="non_neg"), "mse", (X, LABELS), "kernel': 'NonNeg'"),
  "bias": (constrained(bias_constraint="max_norm"), "mse", (X, LABELS), "bias': 'MaxNorm'"),
  "embeddings": (
    lambda: sequential(layers.Embedding(7, 3, embeddings_constraint="unit_norm"), shape=(5,)),
    *("mse", (WORDS, SEQUENCES), "embeddings': 'UnitNorm'.*has no constraints"),
  ),
  "LSTM": (stateful(layers.LSTM(4, stateful=True)), "mse", (SEQUENCES, LABELS), "'lstm.*stateful"),
  "Bidirectional": (
    stateful(layers.Bidirectional(layers.GRU(4, stateful=True))),
    *("mse", (SEQUENCES, LABELS), "'bidirectional.*stateful=False"),
  ),
  "counter of a layer": (Counts, SCE(True), (X, LABELS), "Counts cannot be called .*tf.Variable"),
  "counter": (
    lambda: sequential(Counting(), dense(2)),
    *("mse", (X, U), "changes .* AssignAddVariableOp .*my_counter"),
  ),
  "label": (Subclassed, SCE(True), (X, LABELS + 1), "y: int64 .* 1 to 3.* label value of 3 "),
  "label below": (Subclassed, SCE(True), (X, LABELS - 1.0), "label value of -1 "),
  "one label": (
    Subclassed,
    *("sparse_categorical_crossentropy", (X, np.int32([0] * (N - 1) + [3])), "label value of 3 "),
  ),
  "word": (tagger, SCE(True), (WORDS + 1, WORDS % 3), "x: int64 .* to 7.*= 7 is not in "),
  "not a number": (NotANumber, SCE(True), (X, LABELS), "y: int64.*it is nan"),
  "no targets": (Subclassed, SCE(True), X, "no targets y .* loss=None"),
  "no loss": (lambda: sequential(dense(3)), None, (X, LABELS), "No loss to compute"),
  "no such loss": (Subclassed, "cross", (X, LABELS), "cross"),
  "structure": (two_outputs, "mse", (X, U), r"y: float32 \(16, 2\).*can't be found in "),
  "output names": (two_outputs, {"w": "mse"}, (X, {"u": U, "v": V}), "'u', 'v'.*'w'"),
  "class shapes": (Subclassed, "mse", (X, U), r"y: float32 \(16, 2\)"),
}


@pytest.mark.parametrize("make, loss, data, message", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_named(make, loss, data, message):
  with pytest.raises(ValueError, match=message) as info:
    problems.from_keras(make, loss, data, BATCH)
  assert "\n" not in str(info.value) and type(info.value) is ValueError
