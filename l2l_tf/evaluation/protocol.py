"""The paper's protocol: tune the rivals on a grid, then compare everybody on fresh instances.

Learning rates are picked by the best final loss on tuning seeds; what is reported runs on test
seeds. Every optimizer meets the same instances, theta_0 and minibatches, by construction: they are
functions of the seeds alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import concurrent.futures
import functools
import itertools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.optimizers import Optimizer
from l2l_tf.problems import base as problem_lib

LEARNING_RATES = tuple(1e-6 * 2.0**k for k in range(30))  # section 3
COORDINATES_AT_ONCE = 80_000  # of a batch of instances: on a CPU as fast as more
MAX_BATCH = 1000
PROGRAMS_AT_ONCE = 2  # one of them alone leaves cores idle between its operations
APART = 3  # of so many neighbouring rates the middle one is tried first


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


class Grid:
  """Runs of hand-designed optimizers on one problem, at many rates side by side.

  The loss is traced once for all optimizers: use one grid for all rivals.
  """

  def __init__(self, problem: problem_lib.Problem):
    self._problem, self._shared = problem, _sharing_seed(problem)

  def runner(
    self, make_optimizer: Callable[[Sequence[float]], Optimizer]
  ) -> Callable[[Iterable[np.ndarray], Sequence[float], int], np.ndarray]:
    """Returns a function of R seeds, int32 `[2]` each, K rates and T: the curves `[K, R, T+1]`.

    All K rates run side by side as instances that share their seed. It is traced once for every K,
    whatever T.
    """

    @functools.cache
    def trace(num_rates):
      def rollout(seed, rates, num_steps):
        seeds = tf.tile([seed], [num_rates, 1])
        return unroll.rollout(self._shared, make_optimizer(rates), seeds, num_steps)

      types = tf.TensorSpec([2], tf.int32), tf.TensorSpec([num_rates], tf.float64)
      run = tf.function(rollout, autograph=False)
      return run.get_concrete_function(*types, tf.TensorSpec([], tf.int32))

    def run(seeds, rates, num_steps):
      program = trace(len(rates))
      rates, num_steps = tf.constant(rates, tf.float64), tf.constant(num_steps)
      one = lambda seed: program(tf.constant(seed), rates, num_steps).numpy().T  # noqa: E731
      return np.stack(list(_run_each(self._problem, one, seeds)), axis=1, dtype=np.float64)

    return run


def _run_each(problem: problem_lib.Problem, run: Callable, seeds: Iterable) -> Iterator[Any]:
  """`run` of each of the seeds, `PROGRAMS_AT_ONCE` at a time.

  A serial problem has large operations, which fill all cores, and activations: it goes one by one.
  """
  at_once, rest = 1 if problem.serial else PROGRAMS_AT_ONCE, iter(seeds)
  with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
    while some := list(itertools.islice(rest, at_once)):
      yield from threads.map(run, some)


def grid_curves(
  problem: problem_lib.Problem,
  make_optimizer: Callable[[Sequence[float]], Optimizer],
  seeds: Iterable[np.ndarray],
  num_steps: int,
  rates: Sequence[float] = LEARNING_RATES,
) -> np.ndarray:
  """Runs a hand-designed optimizer at every rate from every seed, float64 `[K, R, T+1]`."""
  return Grid(problem).runner(make_optimizer)(seeds, rates, num_steps)


def _sharing_seed(problem: problem_lib.Problem) -> problem_lib.Problem:
  """`problem` lifted to instances with one common seed: their minibatch is drawn once.

  A serial problem stays as it is: it holds the activations of one instance at a time.
  """
  if problem.serial:
    return problem

  def lifted_loss(params, tasks, seeds):
    task = tf.nest.map_structure(lambda x: x[0], tasks)
    return problem_lib.lift(lambda p: problem.loss(p, task, seeds[0]), params)

  return problem._replace(lifted_loss=tf.function(lifted_loss, autograph=False))


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


def tuning(
  problem: problem_lib.Problem, run: Callable[[Sequence[float], int], np.ndarray], num_steps: int
) -> np.ndarray:
  """The final losses of the rates of the grid that can be the best.

  Small instances run at all rates side by side in the time of one. Others go from coarse to fine.

  Args:
    problem: what the rates are for.
    run: of rates and a number of steps T, gives the curves `[K, R, T+1]`.
    num_steps: T.

  Returns:
    The mean final losses, float64 `[K]`; of what diverged or was not run infinity.
  """
  if _all_at_once(problem):
    return mean_final_losses(run(LEARNING_RATES, num_steps))
  final_losses_of = lambda rates: mean_final_losses(run(rates, num_steps))  # noqa: E731
  return coarse_to_fine(final_losses_of, LEARNING_RATES)


def least_to_run(problem: problem_lib.Problem) -> int:
  """How many rates `tuning` runs, where no neighbour of the first winner beats it."""
  everybody = len(LEARNING_RATES)
  return everybody if _all_at_once(problem) else everybody // APART + 2


def _all_at_once(problem: problem_lib.Problem) -> bool:
  return len(LEARNING_RATES) <= batch_size(problem) and not problem.serial


def coarse_to_fine(
  final_losses_of: Callable[[Sequence[float]], np.ndarray], rates: Sequence[float]
) -> np.ndarray:
  """The final losses of a third of the rates, and from their best on of neighbours.

  The middle one of every `APART` rates runs first, so that each other rate is a neighbour of
  one that has run. Neighbours of the best follow until it is better than both of its own: a local
  minimum of the whole grid. If all of the first diverge, all others run.

  Args:
    final_losses_of: of some rates, gives their mean final losses, `[K]`.
    rates: of the grid, in order.

  Returns:
    As `tuning`.
  """
  final = np.full(len(rates), np.inf)
  finished: set[int] = set()

  def finish(numbers):
    left = sorted(set(numbers) - finished)
    if left:
      final[left] = final_losses_of([rates[k] for k in left])
    finished.update(left)
    return bool(left)

  finish(range(APART // 2, len(rates), APART))
  if not np.isfinite(final).any():
    finish(range(len(rates)))
  around = lambda k: {max(k - 1, 0), min(k + 1, len(rates) - 1)}  # noqa: E731
  while finish(around(int(np.argmin(final)))):
    pass
  return final


def lost(num_runs: int, num_steps: int) -> np.ndarray:
  """The curves, `[R, T+1]`, of a rival that has no rate: infinite."""
  return np.full([num_runs, num_steps + 1], np.inf)
