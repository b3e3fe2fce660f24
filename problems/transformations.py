"""Functions from a problem to a problem: other starts, other parameters."""

from typing import Any

import tensorflow as tf

from l2l_tf.problems import base
from l2l_tf.problems import tiny


def starting_badly(problem: base.Problem, spread: float = 1.0) -> base.Problem:
  """The same problem with each matrix of theta_0 times a factor of its own, 10^(+-spread)."""

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    params, task = problem.init(seed)
    exponents = tf.random.stateless_uniform([len(params)], seed + [7, 0], -spread, spread)
    names = enumerate(params.items())
    return {
      name: x * tf.cast(10.0 ** exponents[k], x.dtype) if x.shape.rank > 1 else x
      for k, (name, x) in names
    }, task

  return problem._replace(init=init)


def rescaled(problem: base.Problem, spread: float = 1.0, each: str = "tensor") -> base.Problem:
  """The same problem in other parameters: theta = c * theta', c = 10^(+-spread).

  Args:
    problem: any.
    spread: of the exponent, uniform.
    each: what gets a factor of its own: "tensor", "coordinate", or "all" for one in common.

  Raises:
    ValueError: for another `each`.
  """
  tiny.check(each, ("tensor", "coordinate", "all"), "each")

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    params, task = problem.init(seed)
    factors = {}
    for k, (name, x) in enumerate(params.items()):
      shape = x.shape if each == "coordinate" else [1] * x.shape.rank
      own = seed + [11 + (0 if each == "all" else k), 0]
      factor = 10.0 ** tf.random.stateless_uniform(shape, own, -spread, spread)
      factors[name] = tf.cast(factor, x.dtype)
    return {name: x / factors[name] for name, x in params.items()}, (task, factors)

  def back(params: base.Params, factors: Any) -> base.Params:
    return {name: x * factors[name] for name, x in params.items()}

  def loss(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    return problem.loss(back(params, task[1]), task[0], seed)

  def lifted(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    return base.losses(problem, back(params, tasks[1]), tasks[0], seeds)

  return problem._replace(init=init, loss=loss, lifted_loss=lifted)
