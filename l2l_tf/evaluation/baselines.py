"""Tuned rivals: hand-designed optimizers with the best of 30 learning rates (section 3)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from l2l_tf import optimizers
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream


class Rival(NamedTuple):
  """A tuned rival on the held-out instances."""

  learning_rate: float | None  # None if every one diverged
  curve: np.ndarray  # mean losses, [T+1]; infinite if every rate diverged


def tune(
  problem: Problem,
  names: Sequence[str],
  seed: int,
  num_steps: int,
  num_runs: int,
  progress: Callable[[int], None] = lambda runs: None,
) -> dict[str, float | None]:
  """Returns the learning rate of each rival with the best final loss on the tuning instances.

  None for a rival that diverges at every rate.

  Args:
    problem: what is optimized.
    names: of rivals in `optimizers.HAND_DESIGNED`.
    seed: of the experiment.
    num_steps: T.
    num_runs: tuning instances.
    progress: called with how many runs have just finished, `protocol.least_to_run` a rival and
      instance or some more.
  """
  seeds, grid = problem.seeds(seed, Stream.TUNING, count=num_runs), protocol.Grid(problem)

  def counted(runs):
    for instance in seeds:
      yield instance
      progress(runs)

  found = {}
  for name in names:
    run = grid.runner(optimizers.HAND_DESIGNED[name])
    curves = lambda rates, steps, run=run: run(counted(len(rates)), rates, steps)  # noqa: E731
    found[name] = protocol.least(protocol.tuning(problem, curves, num_steps))
  return found


def validate(
  problem: Problem, rates: Mapping[str, float | None], seed: int, num_steps: int, num_runs: int
) -> dict[str, Rival]:
  """Runs each rival at its rate on the validation instances of the experiment's `seed`."""
  seeds = problem.seeds(seed, Stream.VALIDATION, count=num_runs)
  found = {}
  for name, rate in rates.items():
    found[name] = Rival(rate, curves_at(problem, name, rate, seeds, num_steps).mean(axis=0))
  return found


def curves_at(
  problem: Problem, name: str, rate: float | None, seeds: np.ndarray, num_steps: int
) -> np.ndarray:
  """The curves of a rival at a rate from each seed, `[R, T+1]`; infinite without a rate."""
  if rate is None:
    return protocol.lost(len(seeds), num_steps)
  return protocol.curves(problem, optimizers.HAND_DESIGNED[name](rate), seeds, num_steps)
