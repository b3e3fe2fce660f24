"""Tests of f of a Keras model: it is what `fit` minimizes, value and gradient."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base
from l2l_tf.problems import minibatches
from tests.problems.keras_examples import BATCH
from tests.problems.keras_examples import LABELS
from tests.problems.keras_examples import RNG
from tests.problems.keras_examples import SCE
from tests.problems.keras_examples import SEEDS
from tests.problems.keras_examples import WEIGHTS
from tests.problems.keras_examples import WORDS
from tests.problems.keras_examples import AddsLosses
from tests.problems.keras_examples import AutoEncoder
from tests.problems.keras_examples import Block
from tests.problems.keras_examples import Blocks
from tests.problems.keras_examples import N
from tests.problems.keras_examples import OwnLoss
from tests.problems.keras_examples import OwnReconstruction
from tests.problems.keras_examples import Pair
from tests.problems.keras_examples import Subclassed
from tests.problems.keras_examples import U
from tests.problems.keras_examples import V
from tests.problems.keras_examples import X
from tests.problems.keras_examples import compiled
from tests.problems.keras_examples import dense
from tests.problems.keras_examples import huber
from tests.problems.keras_examples import layers
from tests.problems.keras_examples import mixed
from tests.problems.keras_examples import nested_outputs
from tests.problems.keras_examples import sequential
from tests.problems.keras_examples import tagger
from tests.problems.keras_examples import two_inputs
from tests.problems.keras_examples import two_outputs


class Row(NamedTuple):
  make: Callable[[], keras.Model]
  loss: Any
  data: Any
  loss_weights: Any = None


TABLE = {
  "name": Row(lambda: sequential(dense(2)), "mse", (X, U)),
  "crossentropy": Row(lambda: sequential(dense(3, "softmax")), "crossentropy", (X, LABELS)),
  "labels [N, 1] of floats": Row(Subclassed, SCE(True), (X, LABELS[:, None].astype("f4"))),
  "labels of int8": Row(Subclassed, SCE(True), (X, LABELS.astype(np.int8))),
  "ignored class": Row(Subclassed, SCE(True, ignore_class=2), (X, LABELS)),
  "sum": Row(Subclassed, SCE(True, reduction="sum"), (X, LABELS)),
  "weighted mean": Row(
    Subclassed, SCE(True, reduction="mean_with_sample_weight"), (X, LABELS, WEIGHTS)
  ),
  "a function, float64": Row(lambda: sequential(dense(2)), huber, (X, U.astype(np.float64))),
  "a function, int64": Row(lambda: sequential(dense(1)), huber, (X, LABELS)),
  "a function, bool": Row(lambda: sequential(dense(1)), huber, (X, LABELS > 0)),
  "float64 inputs": Row(lambda: sequential(dense(2)), "mse", (X.astype(np.float64), U)),
  "one loss for two": Row(two_outputs, "mse", (X, [U, V])),
  "a list": Row(two_outputs, ["mse", huber], (X, [U, V]), [2.0, 0.5]),
  "a dictionary by name": Row(
    two_outputs, {"v": "mse", "u": "mae"}, (X, {"u": U, "v": V}), {"u": 3.0, "v": 0.1}
  ),
  "a dictionary": Row(lambda: two_outputs(True), {"u": "mse", "v": huber}, (X, {"u": U, "v": V})),
  "one output without a loss": Row(two_outputs, ["mse", None], (X, [U, V])),
  "nested": Row(nested_outputs, {"a": ["mse", "mae"], "b": huber}, (X, {"a": [U, V], "b": V})),
  "weights of two": Row(two_outputs, "mse", (X, [U, V], [WEIGHTS, WEIGHTS[::-1].copy()])),
  "a pair": Row(Pair, [SCE(True), "mae"], (X, (LABELS, np.zeros([N, 4], np.float32)))),
  "two inputs": Row(two_inputs, SCE(True), ({"a": X, "b": U}, LABELS)),
  "masks": Row(tagger, SCE(True), (WORDS, WORDS % 3)),
  "weights of words": Row(
    tagger, SCE(True), (WORDS, WORDS % 3, RNG.uniform(size=(N, 5)).astype("f4"))
  ),
  "weights": Row(Subclassed, SCE(True), (X, LABELS, WEIGHTS)),
  "weights of integers": Row(Subclassed, SCE(True), (X, LABELS, LABELS + 1)),
  "regularizers": Row(
    lambda: tagger(kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"),
    *(SCE(True), (WORDS, WORDS % 3)),
  ),
  "add_loss": Row(lambda: sequential(AddsLosses(), dense(2)), "mse", (X, U)),
  "batch normalization": Row(
    lambda: sequential(dense(4), layers.BatchNormalization(), dense(2)), "mse", (X, U)
  ),
  "built while called": Row(lambda: sequential(Block(), dense(2)), "mse", (X, U)),
  "blocks of a subclass": Row(Blocks, SCE(True), (X, LABELS)),
  "own compute_loss": Row(OwnLoss, SCE(True), (X, LABELS.astype(np.float32))),
  "add_loss alone": Row(AutoEncoder, None, X),
  "compute_loss alone": Row(OwnReconstruction, None, (X,)),
  "compiled": Row(compiled, None, (X, [U, V])),
  "mixed precision": Row(mixed, SCE(True), (X, LABELS)),
}


def with_seed(make):
  keras.utils.set_random_seed(0)
  return make()


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_f_and_its_gradient_are_those_of_fit(row):

  def make():
    return with_seed(row.make)

  problem = problems.from_keras(make, row.loss, row.data, BATCH, loss_weights=row.loss_weights)
  params, task = problem.init(SEEDS[0])
  (value,), gradients = base.losses_and_gradients(
    problem, *tf.nest.map_structure(lambda x: x[tf.newaxis], (params, task, SEEDS[1]))
  )
  data = keras.utils.unpack_x_y_sample_weight(row.data)
  indices = minibatches.Minibatches(data, BATCH).draw(SEEDS[1]).numpy()
  batch = minibatches.map_arrays(lambda x: x[indices], data)
  model = make()
  model(batch[0])
  for variable, start in zip(model.trainable_variables, params.values(), strict=True):
    variable.assign(start)
  if model.compiled:
    model.optimizer = keras.optimizers.SGD(1.0)
  else:
    model.compile(keras.optimizers.SGD(1.0), row.loss, row.loss_weights)
  fit = float(np.ravel(model.train_on_batch(*batch))[0])
  assert float(value) == pytest.approx(fit, rel=1e-5)
  for variable, (name, start) in zip(model.trainable_variables, params.items(), strict=True):
    step = start - variable.numpy()
    tolerance = 2e-3 if row.make is mixed else 1e-5
    np.testing.assert_allclose(gradients[name][0], step, rtol=1e-3, atol=tolerance)


def test_f_is_the_same_on_one_of_several_replicas(monkeypatch):
  """Keras divides by their number there."""
  problem = problems.from_keras(Subclassed, SCE(True), (X, LABELS), BATCH)
  params, task = problem.init(SEEDS[0])
  alone = float(problem.loss(params, task, SEEDS[1]))
  replicas = property(lambda strategy: 2)
  monkeypatch.setattr(tf.distribute.MirroredStrategy, "num_replicas_in_sync", replicas)
  strategy = tf.distribute.MirroredStrategy(["CPU:0"])
  run = tf.function(lambda: strategy.run(problem.loss, (params, task, SEEDS[1])), autograph=False)
  assert float(run()) == pytest.approx(alone, rel=1e-6)


@pytest.mark.slow
def test_the_users_model_stays_as_it_is():
  """Compiled or not, and what its optimizer has."""
  model = compiled()
  model.fit(X, [U, V], verbose=0)
  before = [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
  parts = {name: id(value) for name, value in vars(model).items()}
  problems.from_keras(model, "mse", (X, [U, V]), BATCH)
  assert model.loss == ["mse", "mae"] and {n: id(v) for n, v in vars(model).items()} == parts
  for value, variable in zip(before, [*model.variables, *model.optimizer.variables], strict=True):
    np.testing.assert_array_equal(value, variable)
  fresh = Subclassed()
  problems.from_keras(fresh, SCE(True), (X, LABELS), BATCH)
  assert not fresh.compiled and fresh.loss is None and len(fresh.variables) == 4
  assert not hasattr(fresh, "optimizer") or fresh.optimizer is None


class Batches(keras.utils.PyDataset):
  def __len__(self):
    return 3

  def __getitem__(self, index):
    rows = slice(10 * index, 10 * index + 10)  # the last has four
    return X[rows], LABELS[rows], WEIGHTS[rows]


@pytest.mark.parametrize("kind", ["PyDataset", "generator", "dataset"])
def test_data_of_other_kinds(kind):
  """All examples, with their weights."""
  dataset = tf.data.Dataset.from_tensor_slices((X, LABELS, WEIGHTS))
  generator = (Batches()[i] for i in range(3))
  data = {"PyDataset": Batches(), "generator": generator, "dataset": dataset}[kind]
  problem = problems.from_keras(Subclassed, SCE(True), data, BATCH)
  arrays = problems.from_keras(Subclassed, SCE(True), (X, LABELS, WEIGHTS), BATCH)
  params, task = problem.init(SEEDS[0])
  same = dict(zip(arrays.init(SEEDS[0])[0], params.values()))  # Keras numbers the names
  assert float(problem.loss(params, task, SEEDS[1])) == float(arrays.loss(same, task, SEEDS[1]))


def test_an_endless_pydataset():
  class Endless(Batches):
    __len__ = None
    num_batches = None

  with pytest.raises(ValueError, match="never ends"):
    problems.from_keras(Subclassed, SCE(True), Endless(), BATCH)
