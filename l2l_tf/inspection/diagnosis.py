"""Why does an optimizer not learn on a problem? Measures a few runs, and says what follows.

`diagnose` runs a learned optimizer, SGD and Adam at a few learning rates, and the one for any model
on the same instances; `l2l_tf.advise` turns the numbers into words.
"""

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf import unroll
from l2l_tf.evaluation import protocol
from l2l_tf.optimizers import base
from l2l_tf.optimizers import preprocessing as preprocessing_lib
from l2l_tf.problems import base as problem_lib
from l2l_tf.storage import optimizer_files

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of SGD and Adam
SMALL_INPUT, LARGE_INPUT = 1e-4, 10.0  # what an LSTM takes for nothing, and what saturates it
LARGE_GRADIENT = 1.0  # where log|g| / p of Appendix A turns positive
HIDDEN, CELL, GATE = 0.95, 0.99, 0.99  # |h|, |tanh c|, sigmoid (or 1 - it): beyond is saturated


class Record(NamedTuple):
  """What B runs of T steps of one optimizer were like; step t goes from theta_t to theta_{t+1}."""

  losses: np.ndarray  # f(theta_0), ..., f(theta_T), [T+1, B]
  gradients: dict[str, np.ndarray]  # by parameter: root mean square over its coordinates, [T]
  updates: dict[str, np.ndarray]  # likewise
  gradient: np.ndarray  # root mean square over all coordinates and instances, [T]
  update: np.ndarray  # likewise
  median_gradient: np.ndarray  # of |g| over the coordinates that are not zero, [T]
  downhill: np.ndarray  # cosine between the update and the negative gradient, [T]
  shares: dict[str, np.ndarray]  # of coordinates or units in a state, by its name; [T] each
  """`zero`: coordinates whose gradient is 0. `small`, `large`: of the others, those in the linear
  branch of Appendix A, |g| < e^-p, and those of |g| > 1; after `rescale` inputs below 1e-4 and
  above 10. (Between them, the sign of Appendix A is at its clip.) `hidden`, `cells`, `gates`:
  saturated units, |h| > 0.95, |tanh c| > 0.99, gates within 0.01 of 0 or 1. A partition has the
  means over its groups, each by its coordinates; optimizers without an LSTM have `zero` alone."""


class Diagnosis(NamedTuple):
  """All that `diagnose` measures."""

  record: Record  # of the learned optimizer
  rival: Record  # of the best rival
  rival_name: str  # "sgd" or "adam"
  rival_rate: float
  grid: dict[str, list[float]]  # mean final losses of the rivals by name at `RATES`
  preprocessing: Any  # of the learned optimizer, of a partition's first group; None if it has none
  horizon: int | None  # how many steps it was trained for, if that is known
  general: np.ndarray | None  # losses of `pretrained.GENERAL`, [T+1, B]
  """None if it is what is diagnosed, or the problem computes in another type than it does."""


def diagnose(
  problem: problem_lib.Problem,
  optimizer: optimizers.Optimizer,
  seeds: np.ndarray,
  num_steps: int = 100,
  horizon: int | None = None,
) -> Diagnosis:
  """Runs `optimizer`, its simplest rivals and the general optimizer on the same instances.

  Args:
    problem: what to optimize.
    optimizer: one of `optimizers.LEARNED`, or of your own.
    seeds: int32 `[B, 2]`, an instance each; two to ten are enough.
    num_steps: T.
    horizon: how many steps the optimizer was trained for.

  Raises:
    TypeError: if `optimizer` is not a learned one.
    LabelError: if it is a partition that the problem's parameters do not fit.
  """
  if not (isinstance(optimizer, optimizers.Optimizer) and optimizer.trainable_variables):
    raise TypeError(f"diagnose takes a learned optimizer, got {type(optimizer).__name__}.")
  shapes = problem_lib.shapes(problem)
  optimizer.check(shapes)
  first, *_ = _parts(optimizer, {n: tf.zeros([1, *s]) for n, s in shapes.items()})
  grid = {}
  for name, kind in (("sgd", optimizers.SGD), ("adam", optimizers.Adam)):
    curves = protocol.grid_curves(problem, kind, seeds, num_steps, RATES)  # [K, B, T+1]
    grid[name] = protocol.final_losses(curves).mean(axis=1).tolist()
  rival_name, best = min(
    ((name, k) for name in grid for k in range(len(RATES))), key=lambda key: grid[key[0]][key[1]]
  )
  rival = optimizers.HAND_DESIGNED[rival_name](RATES[best])
  return Diagnosis(
    record(problem, optimizer, seeds, num_steps),
    record(problem, rival, seeds, num_steps),
    rival_name,
    RATES[best],
    grid,
    getattr(first[0], "preprocessing", None),
    horizon,
    None if isinstance(optimizer, optimizers.General) else _general(problem, seeds, num_steps),
  )


def _general(problem, seeds, num_steps) -> np.ndarray | None:
  optimizer, _ = optimizer_files.load_optimizer(pretrained.directory(pretrained.GENERAL))
  types = {spec.dtype for spec in problem_lib.specs(problem)[0].values()}
  if types != {optimizer.trainable_variables[0].dtype}:
    return None
  return protocol.curves(problem, optimizer, seeds, num_steps).T


def record(
  problem: problem_lib.Problem, optimizer: optimizers.Optimizer, seeds: np.ndarray, num_steps: int
) -> Record:
  """Runs `optimizer` for `num_steps` from each seed, int32 `[B, 2]`, and keeps statistics."""
  return recorder(problem, optimizer)(seeds, num_steps)


def recorder(
  problem: problem_lib.Problem, optimizer: optimizers.Optimizer
) -> Callable[[np.ndarray, int], Record]:
  """Returns `record` of a problem and an optimizer as a function of the rest, compiled once."""

  @tf.function(autograph=False)
  def step(carry):
    after, losses = unroll.unroll(problem, optimizer, carry, 1)
    updates = {name: after.params[name] - theta for name, theta in carry.params.items()}
    return after, losses[0], _statistics(optimizer, carry, updates, after.state)

  start = tf.function(lambda seeds: unroll.start(problem, optimizer, seeds), autograph=False)

  def run(seeds, num_steps):
    carry, first = start(tf.constant(seeds))
    losses, rows = [first.numpy()], []
    for _ in range(num_steps):
      carry, loss, row = step(carry)
      losses.append(loss.numpy())
      rows.append(tf.nest.map_structure(lambda x: x.numpy(), row))
    columns = tf.nest.map_structure(lambda *values: np.stack(values), *rows)
    return Record(np.stack(losses), **columns)

  return run


def _statistics(optimizer, carry: unroll.Carry, updates, state) -> dict[str, Any]:
  """The fields of `Record` but for the losses, at one step."""
  g, u = base.flatten(carry.gradients), base.flatten(updates)  # [B, n]
  magnitude = tf.sort(tf.abs(tf.reshape(g, [-1])))
  num_zero = tf.math.count_nonzero(magnitude == 0, dtype=tf.int32)
  middle = tf.minimum((num_zero + tf.size(magnitude)) // 2, tf.size(magnitude) - 1)
  product = tf.norm(g) * tf.norm(u)
  shares = {"zero": num_zero / tf.size(magnitude)}
  parts = _parts(optimizer, carry.gradients, carry.state, state)
  if hasattr(parts[0][0], "preprocessing"):
    own = [_shares(part, base.flatten(x), *states) for part, x, *states in parts]
    weights = [base.num_coordinates(x) / g.shape[1] for _, x, *_ in parts]
    shares |= tf.nest.map_structure(lambda *s: sum(w * x for w, x in zip(weights, s)), *own)
  return {
    "gradients": {name: _rms(x) for name, x in carry.gradients.items()},
    "updates": {name: _rms(x) for name, x in updates.items()},
    "gradient": _rms(g),
    "update": _rms(u),
    "median_gradient": magnitude[middle],
    "downhill": -tf.math.divide_no_nan(tf.reduce_sum(g * u), product),
    "shares": shares,
  }


def _parts(optimizer, gradients: base.Params, *states) -> list[tuple]:
  """The parts; of an odd one the side that sees the gradients as they are."""
  return [
    (part.optimizer, x, *(state.positive for state in own))
    if isinstance(part, optimizers.OddPart)
    else (part, x, *own)
    for part, x, *own in optimizer.parts(gradients, *states)
  ]


def _shares(optimizer, gradients: tf.Tensor, state, next_state) -> dict[str, tf.Tensor]:
  """The shares of inputs `[B, n]` and units of a learned optimizer that is no partition."""
  shares = _input_shares(optimizer.preprocessing, tf.abs(tf.reshape(gradients, [-1])))
  return shares | _unit_shares(optimizer, gradients, state, next_state)


def input_limits(preprocessing: Any) -> tuple[float, float]:
  """The magnitudes of a gradient below which it is small, and above which large, for the LSTM."""
  if isinstance(preprocessing, preprocessing_lib.LogAndSign):
    return math.exp(-preprocessing.p), LARGE_GRADIENT
  return SMALL_INPUT / preprocessing.factor, LARGE_INPUT / preprocessing.factor


def _input_shares(preprocessing, magnitude: tf.Tensor) -> dict[str, tf.Tensor]:
  small, large = input_limits(preprocessing)
  some = magnitude > 0
  return {"small": _share(magnitude < small, some), "large": _share(magnitude > large, some)}


def _unit_shares(optimizer, gradients: tf.Tensor, state, next_state) -> dict[str, tf.Tensor]:
  """Saturation of the LSTM layers in the step from `state` to `next_state`."""
  inputs = optimizer.preprocessing(tf.reshape(gradients, [-1]))  # [features, B n]
  if hasattr(state, "read_results"):  # NTM-BFGS
    inputs = tf.concat([inputs, _rows(state.read_results)], axis=0)
    state, next_state = state.controller, next_state.controller
  hidden, cells, gates = [], [], []
  for layer, before, after in zip(optimizer.layers, state, next_state):
    xh = tf.concat([inputs, _rows(before.hidden)], axis=0)
    z = tf.matmul(layer.w_gates, xh, transpose_a=True) + layer.b_gates[:, tf.newaxis]
    i, f, _, o = tf.split(z, 4, axis=0)
    gates.append(tf.sigmoid(tf.concat([i, f + 1, o], axis=0)))
    hidden.append(tf.abs(after.hidden))
    cells.append(tf.abs(tf.tanh(after.cell)))
    inputs = _rows(after.hidden)
  return {
    "hidden": _mean([_share(h > HIDDEN) for h in hidden]),
    "cells": _mean([_share(c > CELL) for c in cells]),
    "gates": _mean([_share(tf.abs(2 * s - 1) > 2 * GATE - 1) for s in gates]),
  }


def _rows(values: tf.Tensor) -> tf.Tensor:
  """`[units, B, n]` as `[units, B n]`."""
  return tf.reshape(values, [values.shape[0], -1])


def _rms(values: tf.Tensor) -> tf.Tensor:
  return tf.sqrt(tf.reduce_mean(values**2))


def _share(where: tf.Tensor, among: tf.Tensor | None = None) -> tf.Tensor:
  """The share of True in `where`, or in those of it where `among`; 0 of nothing."""
  where = tf.cast(where, tf.float32)
  among = tf.ones_like(where) if among is None else tf.cast(among, tf.float32)
  return tf.math.divide_no_nan(tf.reduce_sum(where * among), tf.reduce_sum(among))


def _mean(values: Sequence[tf.Tensor]) -> tf.Tensor:
  return tf.add_n(values) / len(values)
