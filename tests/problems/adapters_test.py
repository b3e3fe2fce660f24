"""Tests of problems from bare functions and Sonnet modules."""

import itertools
import random
import time

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.evaluation import protocol
from l2l_tf.problems import base
from tests import adapted

SEEDS = tf.constant(base.make_seeds(5, count=3))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 40)


def gaussian(seed):
  return {"x": tf.random.stateless_normal([2], seed)}


def distance(params, task, seed):
  del task, seed
  return tf.reduce_sum((params["x"] - 3.0) ** 2)


def cross_entropy(module, batch, seed):
  del seed
  return problems.classification.cross_entropy(module(batch[0]), batch[1])


def mlp(**options):
  return problems.from_sonnet(lambda: snt.nets.MLP([5, 3], **options), cross_entropy, (X, Y), 8)


def test_a_bare_function_is_the_problem_written_by_hand():
  problem = problems.from_function(
    lambda seed: (
      {"theta": tf.random.stateless_normal([4], seed)},
      {"c": np.float32([1, 2, 3, 4])},
    ),
    lambda params, task, seed: tf.reduce_sum((params["theta"] - task["c"]) ** 2),
  )
  sgd = optimizers.SGD(0.25)  # halves the distance in each step
  losses = unroll.rollout(problem, sgd, SEEDS, 3)
  np.testing.assert_allclose(losses[1:] / losses[:-1], np.full((3, 3), 0.25), rtol=1e-5)


def test_arrays_and_python_numbers_are_parameters():
  problem = problems.from_function(lambda seed: {"a": 1.0, "x": np.zeros(2, np.float32)}, distance)
  losses = unroll.rollout(problem, optimizers.SGD(0.5), SEEDS[:2], 1)
  np.testing.assert_allclose(losses, [[18, 18], [0, 0]])


def wound(x, turns):
  """|x|, doubled `turns` times: Python's control flow, but it depends on tensors."""
  for _ in tf.range(turns):
    x *= 2.0
  if x < 0.0:
    x = -x
  return x


def test_python_control_flow_that_depends_on_tensors():
  """AutoGraph converts what a user writes, and what that calls."""

  def init(seed):
    turns = tf.random.stateless_uniform([], seed, 1, 4, tf.int32)
    return {"x": tf.constant(1.0)}, {"turns": turns, "sign": tf.constant(-1.0)}

  def loss(params, task, seed):
    del seed
    return wound(task["sign"] * params["x"], task["turns"])

  problem = problems.from_function(init, loss)
  losses = unroll.rollout(problem, optimizers.SGD(0.1), SEEDS, 1)
  turns = [int(init(seed)[1]["turns"]) for seed in SEEDS]
  doubled = 2.0 ** np.array(turns)
  assert len(set(turns)) > 1
  np.testing.assert_allclose(losses, [doubled, doubled * np.abs(1 - 0.1 * doubled)], rtol=1e-5)


def test_a_sonnet_loss_may_branch_too():
  def loss(module, batch, seed):
    del seed
    return wound(tf.reduce_sum(module(batch)), tf.constant(1))

  problem = problems.from_sonnet(lambda: snt.Linear(1, with_bias=False), loss, -np.abs(X), 1)
  params, task = problem.init(SEEDS[0])
  twice = problem.loss({"linear/w": tf.ones_like(params["linear/w"])}, task, SEEDS[0])
  assert np.isclose(float(twice), 2 * np.abs(X).sum(axis=1), rtol=1e-4).any()


def noisy(params, task, seed):
  return distance(params, task, seed) + tf.random.stateless_normal([], seed)


def convolved(params, task, seed):
  image, filters = (tf.reshape(params["x"], shape) for shape in ([1, 1, 2, 1], [1, 2, 1, 1]))
  return distance(params, task, seed) + tf.reduce_sum(tf.nn.conv2d(image, filters, 1, "SAME"))


@pytest.mark.parametrize("loss, serial", [(distance, False), (noisy, True), (convolved, True)])
def test_instances_are_serial_only_where_lifting_is_slow(loss, serial):
  problem = problems.from_function(gaussian, loss)
  assert problem.serial == serial and (problem.lifted_loss is None) == serial
  params, tasks = base.instances(problem, SEEDS)
  expected = [
    problem.loss(*tf.nest.map_structure(lambda x, i=i: x[i], (params, tasks)), SEEDS[i])
    for i in range(3)
  ]
  np.testing.assert_allclose(base.losses(problem, params, tasks, SEEDS), expected, rtol=1e-5)


def test_the_noise_of_a_step_comes_from_its_seed():
  def noisy(params, task, seed):
    return distance(params, task, seed) + tf.random.stateless_normal([], seed)

  problem = problems.from_function(gaussian, noisy)
  first, second = (unroll.rollout(problem, optimizers.SGD(0.0), SEEDS, 4) for _ in range(2))
  np.testing.assert_array_equal(first, second)
  assert len(np.unique(first)) == first.numpy().size
  one = unroll.rollout(problem, optimizers.SGD(0.0), SEEDS[1:2], 4)
  np.testing.assert_allclose(one[:, 0], first[:, 1], rtol=1e-6)


BAD = {
  "list": (lambda seed: [1.0], distance, TypeError, "must be a dictionary of names .*got list"),
  "numbers": (lambda seed: {1: 1.0}, distance, TypeError, "of type str, got 1 of type int"),
  "nested": (lambda seed: {"a": {"w": 1.0}}, distance, TypeError, "flat .* 'a' .* nested dict"),
  "a list of tensors": (lambda seed: {"a": [1.0]}, distance, TypeError, "flat .*nested list"),
  "empty": (
    lambda seed: {"a": tf.zeros([2, 0])},
    distance,
    ValueError,
    r"'a' is empty, .*\(2, 0\)",
  ),
  "nothing": (lambda seed: {}, distance, ValueError, "nothing to optimize"),
  "integers": (lambda seed: {"x": 3}, distance, TypeError, "float type; 'x' is of int32"),
  "types": (
    lambda seed: {"x": tf.zeros([2]), "y": np.zeros(2)},
    *(distance, TypeError, "one float type, got float32, float64"),
  ),
  "vector": (
    gaussian,
    lambda params, task, seed: params["x"] ** 2,
    *(ValueError, r"must be a scalar tensor, got shape \(2,\); take `tf.reduce_mean`"),
  ),
  "no tensor": (gaussian, lambda *_: None, ValueError, "must be a scalar tensor, got NoneType"),
  "dtype": (
    gaussian,
    lambda params, task, seed: tf.cast(distance(params, task, seed), tf.float64),
    *(TypeError, "type of the parameters, float32, got float64"),
  ),
}


@pytest.mark.parametrize("init, loss, kind, message", BAD.values(), ids=BAD)
def test_bad_functions_are_named(init, loss, kind, message):
  with pytest.raises(kind, match=message):
    problems.from_function(init, loss)


GENERATOR = tf.random.Generator.from_seed(1)
DRAWS = {
  "normal": lambda: tf.random.normal([2]),
  "uniform, with a seed": lambda: tf.random.uniform([2], seed=3),
  "truncated": lambda: tf.random.truncated_normal([2]),
  "integers": lambda: tf.cast(tf.random.uniform([2], 1, 10**6, tf.int32), tf.float32),
  "two": lambda: tf.random.normal([2]) + tf.random.normal([2]),
  "dropout": lambda: tf.nn.dropout(tf.ones([2]), 0.5) + tf.random.uniform([2]),
  "generator": lambda: GENERATOR.normal([2]),
  "generator's uniform": lambda: GENERATOR.uniform([2]),
}


def assert_drawn_from_the_seed(function):
  """The same seed gives the same value twice, others give others, in a graph and without."""
  compiled = tf.function(function, autograph=False)
  first, second = ([float(compiled(seed)) for seed in SEEDS] for _ in range(2))
  assert first == second and len(set(first)) == len(first)
  np.testing.assert_allclose([float(function(seed)) for seed in SEEDS], first, rtol=1e-6)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_is_drawn_without_a_seed_is_drawn_from_that_of_the_instance_or_step(draw):
  problem = problems.from_function(
    lambda seed: {"x": 1 + draw()}, lambda params, task, seed: tf.reduce_sum(params["x"] * draw())
  )
  assert_drawn_from_the_seed(lambda seed: tf.reduce_sum(problem.init(seed)[0]["x"]))
  assert_drawn_from_the_seed(lambda seed: problem.loss({"x": tf.ones([2])}, {}, seed))
  assert problem.serial
  losses = unroll.rollout(problem, optimizers.SGD(0.0), SEEDS, 3)
  assert len(np.unique(losses)) > 6
  alone = unroll.rollout(problem, optimizers.SGD(0.0), SEEDS[1:2], 3)
  np.testing.assert_allclose(alone[:, 0], losses[:, 1], rtol=1e-5)


def test_the_gradient_of_a_loss_that_draws():
  """That of the numbers that were drawn; a step of SGD shows it."""
  problem = problems.from_function(
    lambda seed: {"x": tf.ones([2])}, lambda p, t, s: tf.reduce_sum(p["x"] * tf.random.normal([2]))
  )
  value, gradients = base.losses_and_gradients(problem, {"x": tf.ones([1, 2])}, {}, SEEDS[:1])
  assert float(value[0]) == pytest.approx(float(tf.reduce_sum(gradients["x"])), rel=1e-5)


ITERATOR = iter(tf.data.Dataset.range(9).repeat())
QUEUE = tf.queue.FIFOQueue(9, [tf.float32], [[]])
VARIABLE = tf.Variable(0.0, name="steps")
COUNT, LIST = itertools.count(), [np.float32(i) for i in range(99)]
INNER = tf.function(lambda: tf.random.normal([2]))
REFUSED = {
  "iterator": (lambda: tf.cast(next(ITERATOR), tf.float32), "by IteratorGetNext"),
  "queue": (lambda: QUEUE.dequeue(), "by QueueDequeueV2"),
  "counter": (lambda: VARIABLE.assign_add(1.0), r"by AssignAddVariableOp.*\(variables: steps\)"),
  "assigned aside": (
    lambda: VARIABLE.assign(1.0) * 0 + 1,
    "changes or consumes .*AssignVariableOp",
  ),
  "shuffle": (lambda: tf.random.shuffle(tf.range(9.0)), r"no seed decides \(RandomShuffle\)"),
  "gamma": (lambda: tf.random.gamma([2], 1.0), r"no seed decides \(RandomGamma\)"),
  "categorical": (
    lambda: tf.cast(tf.random.categorical([[0.0, 0.0]], 3), tf.float32),
    r"no seed decides \(Multinomial\): .*`tf.random.stateless_",
  ),
  "in a tf.function": (lambda: INNER(), "no seed decides .RandomStandardNormal"),
  "in a loop": (
    lambda: tf.while_loop(lambda x: x < 1, lambda x: [x + tf.random.uniform([])], [0.0])[0],
    "no seed decides .RandomUniform",
  ),
  "keras.random": (lambda: keras.random.normal([2]), "AssignVariableOp .*seed_generator"),
  "NumPy": (lambda: np.random.normal(size=2).astype("f4"), "another function each .* Python"),
  "NumPy's generator": (lambda: np.float32(RNG.normal(size=2)), "another function each time"),
  "Python": (lambda: random.random(), "another function each time .*NumPy's or Python's"),
  "a count": (lambda: float(next(COUNT)), "another function each time .*a counter"),
  "a list": (lambda: LIST.pop(), "another function each time"),
  "the clock": (lambda: tf.constant(time.perf_counter(), tf.float32), "another .*the clock"),
  "large": (lambda: tf.constant(RNG.normal(size=[2, 999]), tf.float32), "another function each"),
  "py_function": (
    lambda: tf.ensure_shape(tf.py_function(lambda: 1.0, [], tf.float32), []),
    r"runs Python .*\(EagerPyFunc\)",
  ),
  "numpy_function": (
    lambda: tf.ensure_shape(tf.numpy_function(lambda: np.float32(1), [], tf.float32), []),
    r"runs Python .*\(PyFunc\).*operations of TensorFlow",
  ),
  "variable": (lambda: tf.Variable(1.0) + 1.0, "makes variables, .*once, outside"),
}


@pytest.mark.parametrize("what", ["init", "loss"])
@pytest.mark.parametrize("draw, message", REFUSED.values(), ids=REFUSED)
def test_what_no_seed_decides_is_refused(draw, message, what):
  def number():
    return tf.reduce_sum(draw())

  def init(seed):
    return {"x": tf.ones([2]) * number()} if what == "init" else gaussian(seed)

  def loss(params, task, seed):
    f = distance(params, task, seed)
    return f * number() if what == "loss" else f

  with pytest.raises(ValueError, match=f"{what} .*{message}"):
    problems.from_function(init, loss)


def test_what_is_constant_is_no_draw():
  """Fixed numbers are f's own, as they are `fit`'s; tables and variables may be read."""
  fixed = tf.Variable(2.0)
  table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [3.0]), 0.0)

  def loss(params, task, seed):
    noise = tf.random.stateless_normal([2], [1, 2]) + np.random.default_rng(0).normal(size=2)
    tf.debugging.assert_all_finite(noise, "noise")
    return distance(params, task, seed) * fixed * table.lookup(tf.constant(1)) + tf.reduce_sum(
      noise
    )

  problem = problems.from_function(gaussian, loss)
  params, task = problem.init(SEEDS[0])
  values = {float(problem.loss(params, task, seed)) for seed in SEEDS}
  assert len(values) == 1


def test_a_sonnet_module_is_itself():
  """On data of one example, so that every minibatch is that example many times."""
  one = X[:1], Y[:1]
  problem = problems.from_sonnet(lambda: snt.nets.MLP([5, 3]), cross_entropy, one, 8)
  params, task = problem.init(SEEDS[0])
  assert list(params) == ["mlp/linear_0/w", "mlp/linear_0/b", "mlp/linear_1/w", "mlp/linear_1/b"]
  module = snt.nets.MLP([5, 3])
  module(X)
  for variable, name in zip(module.trainable_variables, sorted(params), strict=True):
    assert variable.name == f"{name}:0"
    variable.assign(params[name])
  expected = float(cross_entropy(module, one, None))
  assert task == {}
  assert float(problem.loss(params, task, SEEDS[1])) == pytest.approx(expected, rel=1e-5)


def test_sonnets_theta_0_is_drawn_for_each_instance_by_its_initializers():
  params, _ = base.instances(mlp(), SEEDS)
  w = params["mlp/linear_0/w"].numpy()
  assert np.all(w[0] != w[1]) and np.all(w[1] != w[2])
  assert w.std() == pytest.approx(0.88 * 6**-0.5, rel=0.2)  # truncated normal, 1 / sqrt(fan in)
  assert not np.any(params["mlp/linear_1/b"])


def test_sonnets_variables_of_constructors_and_state():
  """BatchNorm normalizes by the minibatch; its averages are the task and keep their values."""

  def make():
    first, norm, last = snt.Linear(5), snt.BatchNorm(True, True), snt.Linear(3)
    return lambda x: last(norm(first(1000 * x), is_training=True))

  problem = problems.from_sonnet(make, cross_entropy, (X, Y), 8)
  params, task = problem.init(SEEDS[0])
  assert list(params)[:2] == ["0/linear/w", "1/linear/b"]  # Sonnet calls both linear/w
  assert sum("batch_norm/scale" in name for name in params) == 1
  assert any("moving_mean" in name for name in task)
  loss = float(problem.loss(params, task, SEEDS[0]))
  larger = {**params, "0/linear/w": 10 * params["0/linear/w"]}
  assert float(problem.loss(larger, task, SEEDS[0])) == pytest.approx(loss, rel=1e-3)
  losses = unroll.rollout(problem, optimizers.Adam(0.03), SEEDS, 60)
  assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[0])


def test_sonnets_dropout_draws_from_the_seed():
  def loss(module, batch, seed):
    hidden = tf.nn.experimental.stateless_dropout(batch[0], 0.5, seed)
    return cross_entropy(module, (hidden, batch[1]), seed)

  problem = problems.from_sonnet(lambda: snt.Linear(3), loss, (X, Y), 8)
  first, second = (unroll.rollout(problem, optimizers.SGD(0.0), SEEDS, 3) for _ in range(2))
  np.testing.assert_array_equal(first, second)
  plain = problems.from_sonnet(lambda: snt.Linear(3), cross_entropy, (X, Y), 8)
  assert np.all(first != unroll.rollout(plain, optimizers.SGD(0.0), SEEDS, 3))


SONNET_DROPOUT = {
  "snt.Dropout": lambda: (snt.Linear(3), snt.Dropout(0.5)),
  "snt.nets.MLP": lambda: (snt.nets.MLP([4, 3], dropout_rate=0.5), None),
}


@pytest.mark.parametrize("make", SONNET_DROPOUT.values(), ids=SONNET_DROPOUT)
def test_sonnets_own_dropout_draws_from_the_seed(make):
  def loss(modules, batch, seed):
    module, dropout = modules
    if dropout is None:
      return cross_entropy(lambda x: module(x, is_training=True), batch, seed)
    return cross_entropy(lambda x: module(dropout(x, is_training=True)), batch, seed)

  problem = problems.from_sonnet(make, loss, (X[:1], Y[:1]), 8)
  params, task = problem.init(SEEDS[0])
  assert_drawn_from_the_seed(lambda seed: problem.loss(params, task, seed))
  adapted.assert_meta_trains(problem, second_derivatives=True)


MADE, CALLED = snt.nets.MLP([4, 3]), snt.nets.MLP([4, 3])
CALLED(X)
MADE_BEFORE = {
  "returned": (lambda: MADE, ValueError, "module that exists already, .*'mlp'.*`lambda:"),
  "called": (lambda: CALLED, ValueError, r"exists already, with variables \['mlp/linear_0/b:0'"),
  "one of two": (lambda: (snt.Linear(3), CALLED), ValueError, "exists already"),
  "in place": (MADE, TypeError, "must be a function that makes a new module, .*got the module"),
  "none": (None, TypeError, "must be a function .*got the module or value None"),
}


@pytest.mark.parametrize("make, kind, message", MADE_BEFORE.values(), ids=MADE_BEFORE)
def test_a_sonnet_module_made_before_is_refused(make, kind, message):
  def loss(module, batch, seed):
    module = module[1] if isinstance(module, tuple) else module
    return cross_entropy(module, batch, seed)

  with pytest.raises(kind, match=message):
    problems.from_sonnet(make, loss, (X, Y))


def test_a_label_out_of_range_shows_when_the_problem_is_made():
  """However rare it is."""
  y = np.zeros(4000, np.int64)
  y[1234] = 3
  with pytest.raises(tf.errors.InvalidArgumentError, match="label value of 3"):
    problems.from_sonnet(lambda: snt.Linear(3), cross_entropy, (np.tile(X, [100, 1]), y), 8)


def test_a_module_without_parameters():
  with pytest.raises(ValueError, match="nothing to optimize: .*no trainable variables"):
    problems.from_sonnet(lambda: snt.Flatten(), lambda m, b, s: tf.reduce_sum(m(b[0])), (X, Y))


@pytest.mark.parametrize("second_derivatives", [False, True])
def test_meta_training_and_evaluation(second_derivatives):
  problem = mlp(activation=tf.tanh)
  adapted.assert_meta_trains(problem, second_derivatives)
  curves = protocol.grid_curves(problem, optimizers.Adam, SEEDS[:2].numpy(), 20, (1e-3, 3e-2))
  final = protocol.final_losses(curves).mean(axis=1)
  assert final[1] < final[0] < 1.5
