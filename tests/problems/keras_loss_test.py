"""Tests of f of a Keras model: it is what `fit` minimizes, value and gradient, or it is refused."""

import itertools
import random
from typing import Any, Callable, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base
from l2l_tf.problems import minibatches

SEEDS = tf.constant(base.make_seeds(5, count=2))
RNG = np.random.default_rng(0)
N, BATCH = 24, 16
X = RNG.normal(size=(N, 6)).astype(np.float32)
U, V = RNG.normal(size=(2, N, 2)).astype(np.float32)
LABELS = RNG.integers(0, 3, N)
WORDS = RNG.integers(1, 7, (N, 5)) * (np.arange(5) < RNG.integers(1, 6, (N, 1)))  # 0 pads
WEIGHTS = RNG.uniform(0.1, 3, N).astype(np.float32)
SCE = keras.losses.SparseCategoricalCrossentropy
dense, layers = keras.layers.Dense, keras.layers


def sequential(*own, shape=(6,), **options) -> keras.Model:
  return keras.Sequential([keras.Input(shape, **options), *own])


def two_outputs(as_dict=False) -> keras.Model:
  inputs = keras.Input((6,))
  outputs = {name: dense(2, name=name)(inputs) for name in "uv"}
  return keras.Model(inputs, outputs if as_dict else list(outputs.values()))


def nested_outputs() -> keras.Model:
  inputs = keras.Input((6,))
  return keras.Model(inputs, {"a": [dense(2)(inputs), dense(2)(inputs)], "b": dense(2)(inputs)})


def two_inputs() -> keras.Model:
  inputs = {"a": keras.Input((6,), name="a"), "b": keras.Input((2,), name="b")}
  return keras.Model(inputs, dense(3)(layers.Concatenate()(list(inputs.values()))))


def tagger(**options) -> keras.Model:
  own = layers.Embedding(7, 3, mask_zero=True), layers.SimpleRNN(4, return_sequences=True)
  return sequential(*own, dense(3, **options), shape=(5,), dtype="int32")


class AddsLosses(layers.Layer):
  def call(self, x):
    self.add_loss(0.1 * keras.ops.mean(x**2))
    self.add_loss(keras.ops.mean(keras.ops.abs(x)))
    return x


class Block(layers.Layer):
  """Its inner layer is built while it is called."""

  def __init__(self):
    super().__init__()
    self.inner = dense(6, "tanh")

  def call(self, x):
    return x + self.inner(x)


class Subclassed(keras.Model):
  def __init__(self):
    super().__init__()
    self.first, self.last = dense(4, "tanh", kernel_regularizer="l2"), dense(3)

  def call(self, x):
    return self.last(self.first(x))


class Blocks(Subclassed):
  def __init__(self):
    super().__init__()
    self.first = Block()


class Pair(Subclassed):
  def call(self, x):
    return super().call(x), self.first(x)


class OwnLoss(Subclassed):
  """Of the inputs too, with a metric of its own, and without Keras's `training`."""

  def __init__(self):
    super().__init__()
    self.tracker = keras.metrics.Mean()

  def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
    loss = 3 * super().compute_loss(x, y, y_pred, sample_weight) + keras.ops.mean(x * y[:, None])
    self.tracker.update_state(loss)
    return loss


class AutoEncoder(keras.Model):
  def __init__(self):
    super().__init__()
    self.inner, self.outer = dense(2, "tanh"), dense(6)

  def call(self, x):
    y = self.outer(self.inner(x))
    self.add_loss(keras.ops.mean((x - y) ** 2))
    return y


class OwnReconstruction(AutoEncoder):
  def call(self, x):
    return self.outer(self.inner(x))

  def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
    return keras.ops.mean((x - y_pred) ** 2)


def compiled() -> keras.Model:
  model = two_outputs()
  model.compile("adam", ["mse", "mae"], loss_weights=[0.3, 2.0], metrics=[["mae"], ["mse"]])
  return model


def mixed() -> keras.Model:
  policy = keras.DTypePolicy("mixed_float16")
  return sequential(dense(4, "relu", dtype=policy), dense(3, dtype=policy))


def huber(y_true, y_pred):
  return keras.ops.mean(keras.ops.sqrt(1 + (y_true - y_pred) ** 2) - 1, axis=-1)


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


class Draws(layers.Layer):
  """Multiplies by numbers that `draw(layer, shape)` gives."""

  def __init__(self, draw):
    super().__init__()
    self.draw, self.seeds = draw, keras.random.SeedGenerator(1)
    self.generator = tf.random.Generator.from_seed(1)

  def call(self, x, training=False):
    return x * (1 + self.draw(self, [6])) if training else x


def drawing(draw):
  return sequential(Draws(draw), dense(2))


DRAWS = {
  "its own generator": lambda layer, shape: keras.random.normal(shape, seed=layer.seeds),
  "no seed": lambda layer, shape: keras.random.normal(shape),
  "twice": lambda layer, shape: keras.random.uniform(shape) * keras.random.uniform(shape),
  "TensorFlow": lambda layer, shape: tf.random.normal(shape),
  "TensorFlow's uniform": lambda layer, shape: tf.random.uniform(shape, seed=3),
  "TensorFlow's integers": lambda layer, shape: tf.cast(
    tf.random.uniform(shape, 1, 9, tf.int32), tf.float32
  ),
  "tf.random.Generator": lambda layer, shape: layer.generator.normal(shape),
  "dropout": lambda layer, shape: tf.nn.dropout(tf.ones(shape), 0.5),
}
ONE = X[:1], U[:1]  # only what is drawn can differ


def assert_drawn_from_the_seed(problem):
  params, task = problem.init(SEEDS[0])
  f = tf.function(problem.loss, autograph=False)
  values = [float(f(params, task, base.at_step(SEEDS[1], tf.constant(t)))) for t in range(12)]
  again = [float(f(params, task, base.at_step(SEEDS[1], tf.constant(t)))) for t in range(12)]
  assert values == again and len(set(values)) > 6
  assert values[0] == pytest.approx(float(problem.loss(params, task, SEEDS[1] + [0, 1])), rel=1e-5)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_a_layer_draws_is_drawn_from_the_seed(draw):
  assert_drawn_from_the_seed(problems.from_keras(lambda: drawing(draw), "mse", ONE, 4))


def test_what_a_loss_draws_is_drawn_from_the_seed():
  def noisy(y_true, y_pred):
    return huber(y_true, y_pred + keras.random.normal([2]))

  assert_drawn_from_the_seed(problems.from_keras(lambda: sequential(dense(2)), noisy, ONE, 4))


ITERATOR = itertools.count()


def test_generators_made_while_called_are_refused():
  def draw(layer, shape):
    return keras.random.normal(shape, seed=keras.random.SeedGenerator())

  with pytest.raises(ValueError, match="loss makes variables, .* make them once, outside"):
    problems.from_keras(lambda: drawing(draw), "mse", ONE, 4)


PYTHON = {
  "NumPy": lambda layer, shape: np.random.normal(size=shape).astype("f4"),
  "Python": lambda layer, shape: random.random(),
  "an iterator": lambda layer, shape: next(ITERATOR),
}


@pytest.mark.parametrize("draw", PYTHON.values(), ids=PYTHON)
def test_what_python_draws_is_refused(draw):
  with pytest.raises(ValueError, match="loss is another function each time .*Python"):
    problems.from_keras(lambda: drawing(draw), "mse", ONE, 4)


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
