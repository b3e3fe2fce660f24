"""The paper's protocol: tune the rivals on a grid, then compare everybody on fresh instances.

Learning rates are picked by the best final loss on tuning seeds; what is reported runs on test
seeds. Every optimizer meets the same instances, theta_0 and minibatches, by construction: they are
functions of the seeds alone.
"""

from typing import Callable, NamedTuple, Sequence

import numpy as np
import scipy.stats
import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.optimizers import Optimizer
from problems import base as problem_lib

LEARNING_RATES = tuple(1e-6 * 2.0**k for k in range(30))  # section 3
FINAL_STEPS = 10  # the final loss of a run is the mean over its last ten steps


class Interval(NamedTuple):
  """A mean with its 95 % confidence interval, mean - half .. mean + half."""

  mean: float
  half: float

  def __str__(self) -> str:
    return f"{self.mean:.4g} ± {self.half:.2g}"


def interval(values: np.ndarray) -> Interval:
  """The mean of independent values `[R]` and Student's t interval; half is NaN for one value."""
  values = np.asarray(values, np.float64)
  if len(values) < 2:
    return Interval(float(values.mean()), float("nan"))
  error = values.std(ddof=1) / np.sqrt(len(values))
  return Interval(float(values.mean()), float(error * scipy.stats.t.ppf(0.975, len(values) - 1)))


def curves(
  problem: problem_lib.Problem,
  optimizer: Optimizer,
  seeds: np.ndarray,
  num_steps: int,
  batch: int = 10,
) -> np.ndarray:
  """Runs `optimizer` from each seed: f(theta_0), ..., f(theta_T), float64 `[R, T+1]`.

  Args:
    problem: what to optimize.
    optimizer: what optimizes it.
    seeds: int32 `[R, 2]`.
    num_steps: T.
    batch: how many instances run side by side; bounds the memory.
  """
  run = tf.function(
    lambda s: unroll.rollout(problem, optimizer, s, num_steps), reduce_retracing=False
  )
  parts = [run(tf.constant(seeds[i : i + batch])).numpy() for i in range(0, len(seeds), batch)]
  return np.concatenate(parts, axis=1, dtype=np.float64).T


def grid_curves(
  problem: problem_lib.Problem,
  make_optimizer: Callable[[Sequence[float]], Optimizer],
  seeds: np.ndarray,
  num_steps: int,
  rates: Sequence[float] = LEARNING_RATES,
) -> np.ndarray:
  """Runs a hand-designed optimizer at every rate from every seed, float64 `[K, R, T+1]`.

  All K rates run side by side as instances that share their seed.
  """
  optimizer = make_optimizer(rates)

  @tf.function
  def run(seed):
    return unroll.rollout(
      _sharing_seed(problem), optimizer, tf.tile(seed, [len(rates), 1]), num_steps
    )

  results = [run(tf.constant(seeds[i : i + 1])).numpy() for i in range(len(seeds))]  # [T+1, K] each
  return np.stack(results).astype(np.float64).transpose(2, 0, 1)


def _sharing_seed(problem: problem_lib.Problem) -> problem_lib.Problem:
  """`problem` lifted to instances with one common seed: their minibatch is drawn once."""

  def lifted_loss(params, tasks, seeds):
    task = tf.nest.map_structure(lambda x: x[0], tasks)
    return tf.vectorized_map(lambda p: problem.loss(p, task, seeds[0]), params)

  return problem._replace(lifted_loss=lifted_loss)


def final_losses(losses: np.ndarray) -> np.ndarray:
  """The final loss of curves `[..., T+1]`: the mean of the last ten points; not finite is inf."""
  final = np.mean(losses[..., -FINAL_STEPS:], axis=-1)
  return np.where(np.isfinite(final), final, np.inf)


def best_rate(losses: np.ndarray, rates: Sequence[float] = LEARNING_RATES) -> float:
  """The rate whose curves, of `[K, R, T+1]`, have the least mean final loss.

  A run that diverged counts as infinite: a rate wins with all of its runs or not at all.

  Raises:
    ValueError: if every rate diverged.
  """
  final = final_losses(losses).mean(axis=1)
  if not np.isfinite(final).any():
    raise ValueError(f"Every one of the {len(rates)} learning rates diverged.")
  return float(rates[int(np.argmin(final))])
