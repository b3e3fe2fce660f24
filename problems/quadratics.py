"""Quadratic functions: the paper's random ones, and a convex toy for tests and first steps."""

from typing import Any

import tensorflow as tf

from l2l_tf.problems import base


def quadratic(
  dimensions: int = 10, init_scale: float = 1.0, dtype: Any = tf.float32
) -> base.Problem:
  """The paper's random quadratics, f(theta) = ||W theta - y||^2 (section 3.1).

  W `[dimensions, dimensions]`, y and theta_0 `[dimensions]` have IID Gaussian elements, drawn anew
  for each instance.

  Args:
    dimensions: size of theta; the paper uses 10.
    init_scale: standard deviation of theta_0. The paper gives none; 1 as in W and y.
    dtype: float type of everything.
  """
  if dimensions < 1:
    raise ValueError(f"dimensions must be at least 1, got {dimensions}.")

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    draws = tf.random.stateless_normal([dimensions + 2, dimensions], seed, dtype=dtype)
    params = {"theta": init_scale * draws[0]}
    return params, {"w": draws[2:], "y": draws[1]}

  def loss(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    del seed  # f is deterministic
    residual = tf.linalg.matvec(task["w"], params["theta"]) - task["y"]
    return tf.reduce_sum(residual**2)

  def lifted_loss(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    del seeds
    residual = tf.linalg.matvec(tasks["w"], params["theta"]) - tasks["y"]
    return tf.reduce_sum(residual**2, axis=-1)

  return base.Problem(init, loss, lifted_loss)


def bowl(dimensions: int = 10, dtype: Any = tf.float32) -> base.Problem:
  """A convex toy, f(theta) = mean((theta - c)^2) with theta_0 and the centre c Gaussian.

  Every instance is solved by following the negative gradient, so a meta-training that cannot learn
  this one is broken.

  Args:
    dimensions: size of theta.
    dtype: float type of everything.
  """
  if dimensions < 1:
    raise ValueError(f"dimensions must be at least 1, got {dimensions}.")

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    draws = tf.random.stateless_normal([2, dimensions], seed, dtype=dtype)
    return {"theta": draws[0]}, {"centre": draws[1]}

  def loss(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    del seed
    return tf.reduce_mean((params["theta"] - task["centre"]) ** 2)

  def lifted_loss(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    del seeds
    return tf.reduce_mean((params["theta"] - tasks["centre"]) ** 2, axis=-1)

  return base.Problem(init, loss, lifted_loss)
