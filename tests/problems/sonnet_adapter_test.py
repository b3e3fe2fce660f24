"""Tests of problems from Sonnet modules."""

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


def cross_entropy(module, batch, seed):
  del seed
  return problems.classification.cross_entropy(module(batch[0]), batch[1])


def rollout(*args):
  """The losses, traced once rather than in each step."""
  return tf.function(lambda: unroll.rollout(*args), autograph=False)().numpy()


def mlp(**options):
  return problems.from_sonnet(lambda: snt.nets.MLP([5, 3], **options), cross_entropy, (X, Y), 8)


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


@pytest.mark.slow
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
  losses = rollout(problem, optimizers.Adam(0.03), SEEDS, 60)
  assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[0])


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("make", SONNET_DROPOUT.values(), ids=SONNET_DROPOUT)
def test_sonnets_own_dropout_draws_from_the_seed(make):
  def loss(modules, batch, seed):
    module, dropout = modules
    if dropout is None:
      return cross_entropy(lambda x: module(x, is_training=True), batch, seed)
    return cross_entropy(lambda x: module(dropout(x, is_training=True)), batch, seed)

  problem = problems.from_sonnet(make, loss, (X[:1], Y[:1]), 8)
  params, task = problem.init(SEEDS[0])
  adapted.assert_drawn_from_the_seed(lambda seed: problem.loss(params, task, seed), SEEDS)
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


@pytest.mark.slow
@pytest.mark.parametrize("second_derivatives", [False, True])
def test_meta_training_and_evaluation(second_derivatives):
  problem = mlp(activation=tf.tanh)
  adapted.assert_meta_trains(problem, second_derivatives)
  curves = protocol.grid_curves(problem, optimizers.Adam, SEEDS[:2].numpy(), 20, (1e-3, 3e-2))
  final = protocol.final_losses(curves).mean(axis=1)
  assert final[1] < final[0] < 1.5
