"""MNIST's networks of section 3.2 with sigmoid or ReLU units, as a problem of one's own.

python bin/train.py --problem=benchmarks.two_activations:mnist --init_from=mnist_lstm

Each instance draws one of the two, half and half, and an optimizer that trains on it has no part in
the choice. `MARGIN` pixels are cut from every edge, as in the last phases of `mnist_lstm`: the
cheaper network has the same hidden units.
"""

import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base

ACTIVATIONS = "sigmoid", "relu"
MARGIN = 4


def mnist() -> base.Problem:
  """MNIST wherever it is found, as `--problem=mnist` finds it."""
  data = problems.load("mnist", "train", "auto", None)
  data = problems.datasets.crop(data, MARGIN)
  return either(*(problems.mlp(data, activation=name) for name in ACTIVATIONS))


def either(first: base.Problem, second: base.Problem) -> base.Problem:
  """Instances of one problem or the other, with parameters of the same names and shapes.

  An instance of either has the theta_0 of the first, and none has a task of its own.
  """

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    params, _ = first.init(seed)
    coin = tf.random.experimental.stateless_fold_in(seed, 1)
    return params, tf.random.stateless_uniform([], coin) < 0.5

  def loss(params: base.Params, is_second: base.Task, seed: base.Seed) -> tf.Tensor:
    return tf.where(is_second, second.loss(params, {}, seed), first.loss(params, {}, seed))

  def lifted_loss(params: base.Params, is_second: base.Task, seeds: base.Seed) -> tf.Tensor:
    losses = [base.losses(problem, params, {}, seeds) for problem in (second, first)]
    return tf.where(is_second, *losses)

  return base.Problem(init, loss, lifted_loss, digest=first.digest)
