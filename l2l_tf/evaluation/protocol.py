"""The paper's protocol: tune the rivals on a grid, then compare everybody on fresh instances.

Learning rates are picked by the best final loss on tuning seeds; what is reported runs on test
seeds. Every optimizer meets the same instances, theta_0 and minibatches, by construction: they are
functions of the seeds alone.
"""

from collections.abc import Callable, Iterable, Sequence
import functools
import math

import numpy as np
import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.optimizers import Optimizer
from l2l_tf.problems import base as problem_lib

LEARNING_RATES = tuple(1e-6 * 2.0**k for k in range(30))  # section 3
COORDINATES_AT_ONCE = 80_000  # of a batch of instances: on a CPU as fast as more
MAX_BATCH = 1000
LOOK = 8  # the first round of a race has an eighth of the steps,
FINALISTS = 10  # and so many rates reach its end


def runner(
  problem: problem_lib.Problem, optimizer: Optimizer, num_steps: int
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns a function of seeds, int32 `[R, 2]`, that runs them side by side: losses `[R, T+1]`.

  It is traced once for every R, so use one runner for all the seeds there are.
  """

  @functools.cache
  def trace(num_runs):
    rollout = lambda seeds: unroll.rollout(problem, optimizer, seeds, num_steps)  # noqa: E731
    run = tf.function(rollout, autograph=False)
    return run.get_concrete_function(tf.TensorSpec([num_runs, 2], tf.int32))

  return lambda seeds: trace(len(seeds))(tf.constant(seeds)).numpy().T


def batch_size(problem: problem_lib.Problem) -> int:
  """How many instances of `problem` to run side by side; bounds the memory."""
  num_coordinates = sum(math.prod(shape) for shape in problem_lib.shapes(problem).values())
  return int(np.clip(COORDINATES_AT_ONCE // num_coordinates, 1, MAX_BATCH))


def curves(
  problem: problem_lib.Problem, optimizer: Optimizer, seeds: np.ndarray, num_steps: int
) -> np.ndarray:
  """Runs `optimizer` from each seed: f(theta_0), ..., f(theta_T), float64 `[R, T+1]`.

  Args:
    problem: what to optimize.
    optimizer: what optimizes it.
    seeds: int32 `[R, 2]`.
    num_steps: T.
  """
  run, batch = runner(problem, optimizer, num_steps), batch_size(problem)
  return np.concatenate(
    [run(seeds[i : i + batch]) for i in range(0, len(seeds), batch)], dtype=np.float64
  )


def grid_runner(
  problem: problem_lib.Problem,
  make_optimizer: Callable[[Sequence[float]], Optimizer],
  num_steps: int,
) -> Callable[[np.ndarray, Sequence[float]], np.ndarray]:
  """Returns a function of one seed, int32 `[2]`, and K rates that runs it at each: `[K, T+1]`.

  All K rates run side by side as instances that share their seed. It is traced once for every K.
  """
  problem = _sharing_seed(problem)

  @functools.cache
  def trace(num_rates):
    def rollout(seed, rates):
      seeds = tf.tile([seed], [num_rates, 1])
      return unroll.rollout(problem, make_optimizer(rates), seeds, num_steps)

    types = tf.TensorSpec([2], tf.int32), tf.TensorSpec([num_rates], tf.float64)
    return tf.function(rollout, autograph=False).get_concrete_function(*types)

  def run(seed, rates):
    return trace(len(rates))(tf.constant(seed), tf.constant(rates, tf.float64)).numpy().T

  return run


def grid_curves(
  problem: problem_lib.Problem,
  make_optimizer: Callable[[Sequence[float]], Optimizer],
  seeds: Iterable[np.ndarray],
  num_steps: int,
  rates: Sequence[float] = LEARNING_RATES,
) -> np.ndarray:
  """Runs a hand-designed optimizer at every rate from every seed, float64 `[K, R, T+1]`."""
  run = grid_runner(problem, make_optimizer, num_steps)
  return np.stack([run(seed, rates) for seed in seeds], axis=1, dtype=np.float64)


def _sharing_seed(problem: problem_lib.Problem) -> problem_lib.Problem:
  """`problem` lifted to instances with one common seed: their minibatch is drawn once.

  A serial problem stays as it is: it holds the activations of one instance at a time.
  """
  if problem.serial:
    return problem

  def lifted_loss(params, tasks, seeds):
    task = tf.nest.map_structure(lambda x: x[0], tasks)
    return problem_lib.lift(lambda p: problem.loss(p, task, seeds[0]), params)

  return problem._replace(lifted_loss=lifted_loss)


def final_losses(losses: np.ndarray) -> np.ndarray:
  """The final loss of curves `[..., T+1]`: the mean of the last ten points; not finite is inf."""
  final = np.mean(losses[..., -unroll.FINAL_STEPS :], axis=-1)
  return np.where(np.isfinite(final), final, np.inf)


def best_rate(losses: np.ndarray, rates: Sequence[float] = LEARNING_RATES) -> float | None:
  """The rate whose curves, of `[K, R, T+1]`, have the least mean final loss.

  A run that diverged counts as infinite: a rate wins with all of its runs or not at all. None if
  every rate diverged: such a rival has no rate, is not run (`lost`), and loses to all that end.
  """
  return least(mean_final_losses(losses), rates)


def mean_final_losses(losses: np.ndarray) -> np.ndarray:
  """The final loss of each rate over its runs, `[K]` of curves `[K, R, T+1]`."""
  return final_losses(losses).mean(axis=1)


def least(final: np.ndarray, rates: Sequence[float] = LEARNING_RATES) -> float | None:
  """The rate of the least of K final losses; None if none is finite."""
  return float(rates[int(np.argmin(final))]) if np.isfinite(final).any() else None


def has_first_round(num_steps: int) -> bool:
  """Whether a race over so many steps begins with a look at all rates."""
  return num_steps // LOOK >= unroll.FINAL_STEPS


def race(
  run: Callable[[Sequence[float], int], np.ndarray],
  num_steps: int,
  rates: Sequence[float] = LEARNING_RATES,
) -> np.ndarray:
  """The final losses of the rates that can be the best, in less than half of the grid's steps.

  One round of successive halving (Jamieson and Talwalkar 2016, section 3): all rates run for
  T / `LOOK` steps, then the `FINALISTS` best of them from the beginning for T. Neighbours of the
  winner follow until it is better than both of its own, so that it is a local minimum of
  the whole grid.
  Where an eighth of the steps is too few for a final loss, all rates run for T.

  Args:
    run: of rates and a number of steps T, gives the curves `[K, R, T+1]`.
    num_steps: T.
    rates: of the grid, in order.

  Returns:
    The mean final losses, float64 `[K]`; of what diverged or is out of the race infinity.
  """
  final, everybody = np.full(len(rates), np.inf), list(range(len(rates)))
  finished: set[int] = set()

  def finish(numbers):
    left = sorted(set(numbers) - finished)
    if left:
      final[left] = mean_final_losses(run([rates[k] for k in left], num_steps))
    finished.update(left)
    return bool(left)

  if has_first_round(num_steps):
    early = mean_final_losses(run(rates, num_steps // LOOK))
    finish([int(k) for k in np.argsort(early, kind="stable")[:FINALISTS] if np.isfinite(early[k])])
  if not np.isfinite(final).any():
    finish(everybody)
  around = lambda k: [n for n in (k - 1, k + 1) if n in everybody]  # noqa: E731
  while finish(around(int(np.argmin(final)))):
    pass
  return final


def lost(num_runs: int, num_steps: int) -> np.ndarray:
  """The curves, `[R, T+1]`, of a rival that has no rate: infinite."""
  return np.full([num_runs, num_steps + 1], np.inf)
