"""Tuned rivals: hand-designed optimizers with the best of 30 learning rates (section 3)."""

from typing import Mapping, NamedTuple, Sequence

import numpy as np

from l2l_tf import optimizers
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import seeds_of
from l2l_tf.problems.base import Stream


class NoRival(RuntimeError):
  """There is nothing to compare with: every learning rate diverged."""


class Rival(NamedTuple):
  """A tuned rival on the held-out instances."""

  learning_rate: float
  curve: np.ndarray  # mean losses, [T+1]


def tune(
  problem: Problem, names: Sequence[str], seed: int, num_steps: int, num_runs: int
) -> dict[str, float]:
  """Returns the learning rate of each rival with the best final loss on the tuning instances.

  Args:
    problem: what is optimized.
    names: of rivals in `optimizers.HAND_DESIGNED`.
    seed: of the experiment.
    num_steps: T.
    num_runs: tuning instances.

  Raises:
    NoRival: if every learning rate of one of them diverged.
  """
  seeds = seeds_of(problem, seed, Stream.TUNING, count=num_runs)
  rates = {}
  for name in names:
    grid = protocol.grid_curves(problem, optimizers.HAND_DESIGNED[name], seeds, num_steps)
    try:
      rates[name] = protocol.best_rate(grid)
    except ValueError as error:
      raise NoRival(f"There is no rival to compare with: {name} diverged. {error}") from error
  return rates


def validate(
  problem: Problem, rates: Mapping[str, float], seed: int, num_steps: int, num_runs: int
) -> dict[str, Rival]:
  """Runs each rival at its rate on the validation instances of the experiment's `seed`."""
  seeds = seeds_of(problem, seed, Stream.VALIDATION, count=num_runs)
  found = {}
  for name, rate in rates.items():
    curves = protocol.curves(problem, optimizers.HAND_DESIGNED[name](rate), seeds, num_steps)
    found[name] = Rival(rate, curves.mean(axis=0))
  return found
