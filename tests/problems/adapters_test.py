"""Tests of problems from bare functions: what they may do, and what no seed decides."""

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


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_is_drawn_without_a_seed_is_drawn_from_that_of_the_instance_or_step(draw):
  problem = problems.from_function(
    lambda seed: {"x": 1 + draw()}, lambda params, task, seed: tf.reduce_sum(params["x"] * draw())
  )
  adapted.assert_drawn_from_the_seed(lambda seed: tf.reduce_sum(problem.init(seed)[0]["x"]), SEEDS)
  adapted.assert_drawn_from_the_seed(
    lambda seed: problem.loss({"x": tf.ones([2])}, {}, seed), SEEDS
  )
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
  "the clock": (lambda: tf.constant(time.perf_counter() % 1.0, tf.float32), "another .*the clock"),
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
