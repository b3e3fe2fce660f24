"""What the examples of one run allow: python -m benchmarks.many_passes [--out=...]

In 100 steps on MNIST an optimizer sees 100 minibatches, once. Here the same network is trained from
the same theta_0 on the minibatches of the same run again and again, in a new order each time, and
evaluated where the protocol takes the final loss: on those of the last ten steps, which it has not
seen. So a learned optimizer's single pass is held against many passes of a tuned one, and against
what the examples allow at all.

It trains by NAdamW with a cosine, the best of `benchmarks.modern_rivals` there, with and without a
penalty on the squares of the weights. For each number of passes the rate of the protocol's 30 is
picked on tuning instances, from coarse to fine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import modern_rivals
from benchmarks import reports
from l2l_tf import pretrained
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import problems
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.problems import base
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
from l2l_tf.storage import optimizer_files

OURS = "mnist_lstm"
SEED = 0  # of the experiment, as in results/mnist_*.json
PENALTIES = (0.0, 1e-4)


def again(problem: Problem, order: np.ndarray, penalty: float = 0.0) -> Problem:
  """`problem`, whose step t has the minibatch of its own step `order[t]`.

  Args:
    problem: whose minibatches are taken.
    order: int32 `[T+1]`, for f(theta_0), ..., f(theta_T).
    penalty: times the sum of the squares of all matrices is added to f.
  """
  order = tf.constant(order, tf.int32)

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    params, task = problem.init(seed)
    return params, (task, seed)

  def lifted_loss(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    tasks, first = tasks
    step = seeds[0, 1] - first[0, 1] - 1  # `base.at_step` from back to front
    values = base.losses(problem, params, tasks, base.at_step(first, tf.gather(order, step)))
    matrices = [x for x in params.values() if x.ndim == 3]
    return values + penalty * sum(tf.reduce_sum(x**2, [1, 2]) for x in matrices)

  def loss(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    one = tf.nest.map_structure(lambda x: x[tf.newaxis], (params, task, seed))
    return lifted_loss(*one)[0]

  return Problem(init, loss, lifted_loss, digest=problem.digest)


def orders(num_passes: int, num_steps: int) -> np.ndarray:
  """Minibatches 0, ..., `num_steps` - 1 as they come, then in a new order for each other pass."""
  random = np.random.default_rng(0)
  passes = [random.permutation(num_steps) for _ in range(num_passes - 1)]
  return np.concatenate([np.arange(num_steps), *passes])


class ManyPasses:
  """Training on the minibatches of a run of T steps before its last ten points, pass after pass."""

  def __init__(self, problem: Problem, num_steps: int, num_passes: int, penalty: float):
    self._problem, self._num_steps = problem, num_steps
    self._seen = num_steps + 1 - unroll.FINAL_STEPS
    order = orders(num_passes, self._seen)
    self._total = len(order)
    # f(theta_T) belongs to the unroll, but nothing is learned from it.
    self._again = again(problem, np.append(order, 0), penalty)

  @functools.cached_property
  def _run(self):
    def run(seeds, rates):
      optimizer = modern_rivals.NAdamW(rates, self._total)
      carry, losses = unroll.start(self._again, optimizer, seeds)
      carry, _ = unroll.unroll(self._again, optimizer, carry, self._total)
      tasks, _ = carry.task
      at = lambda t: base.losses(  # noqa: E731
        self._problem, carry.params, tasks, base.at_step(seeds, t)
      )
      unseen = tf.range(self._seen, self._num_steps + 1)
      return tf.reduce_mean(tf.map_fn(at, unseen, fn_output_signature=losses.dtype), 0)

    return tf.function(run, autograph=False)

  def final_losses(self, seeds: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The losses after training from each of the seeds `[B, 2]` at its own rate, `[B]`."""
    found = self._run(tf.constant(seeds), tf.constant(rates, tf.float64)).numpy()
    return np.where(np.isfinite(found), found, np.inf).astype(np.float64)


def tuned(training: ManyPasses, seeds: np.ndarray) -> float | None:
  """The rate of the grid with the least mean loss; None if all diverge."""

  def mean_losses(rates: Sequence[float]) -> np.ndarray:
    runs = [training.final_losses(np.tile(seed, [len(rates), 1]), rates) for seed in seeds]
    return np.mean(runs, axis=0)

  final = protocol.coarse_to_fine(mean_losses, protocol.LEARNING_RATES)
  return protocol.least(final)


def measured(
  problem: Problem,
  num_steps: int,
  passes: Sequence[int],
  num_runs: int,
  tuning_runs: int,
  penalties: Sequence[float] = PENALTIES,
) -> list[dict[str, Any]]:
  """A row for each penalty and number of passes: rate, final loss, and that of `OURS` over it."""
  tuning = problem.seeds(SEED, Stream.TUNING, count=tuning_runs)
  seeds = problem.seeds(SEED, Stream.TEST, count=num_runs)
  optimizer, _ = optimizer_files.load_optimizer(pretrained.find(OURS))
  ours = protocol.final_losses(protocol.curves(problem, optimizer, seeds, num_steps))
  batch, rows = protocol.batch_size(problem), []
  for penalty in penalties:
    for num_passes in passes:
      training = ManyPasses(problem, num_steps, num_passes, penalty)
      rate = tuned(training, tuning)
      final = np.full(num_runs, np.inf)
      if rate is not None:
        batches = [seeds[i : i + batch] for i in range(0, num_runs, batch)]
        final = np.concatenate([training.final_losses(b, np.full(len(b), rate)) for b in batches])
      row = {"penalty": penalty, "passes": num_passes, "learning_rate": rate}
      row |= reports.finite("final", intervals.interval(final))
      row |= reports.finite(f"{OURS}_over_it", intervals.ratio_interval(ours, final))
      rows.append(row)
      print(reports.table([row]), flush=True)
  return rows


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  problem, data = problems.Mnist().build()
  rows = measured(problem, flags.num_steps, flags.passes, flags.num_runs, flags.tuning_runs)
  reports.report(
    __file__, flags, rows, data=data, num_steps=flags.num_steps, num_runs=flags.num_runs, seed=SEED
  )
  return 0


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "the results file")
  flags.add(int, "num_steps", 100, "of the run whose minibatches are seen", bounds=(10, 10**4))
  flags.add(tuple[int, ...], "passes", (1, 2, 4, 8, 16, 32), "over them")
  flags.add(int, "num_runs", 50, "fresh instances", bounds=(2, 10**5))
  flags.add(int, "tuning_runs", 5, "instances that pick the rates", bounds=(1, 10**4))
  return flags


if __name__ == "__main__":
  experiment_flags.run(main)
