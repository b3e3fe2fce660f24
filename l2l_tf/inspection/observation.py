"""What is looked at after epochs of a meta-training, on one held-out instance; once compiled."""

from collections.abc import Mapping, Sequence
import math
import statistics
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.inspection import coordinates
from l2l_tf.inspection import diagnosis
from l2l_tf.inspection import proposal_files
from l2l_tf.inspection import proposals
from l2l_tf.problems.base import Problem

MOST_STEPS = 100  # of the run that is measured
SWEPT = (1, 2, 4, 8, 16, 32)  # steps of the pictures
NUM_VALUES = 41


class Observation(NamedTuple):
  """How the optimizer is at one phi."""

  scalars: dict[str, float]  # means of `diagnosis.Record`, medians of `proposal_files.measures`
  proposed: dict[str, Any]  # `proposal_files.Proposed` with arrays; empty without Adam


class Observer:
  """Measures magnitudes of gradients and updates, saturation, and update against gradient.

  Coordinates and ranges of the sweeps follow from the trajectory of the tuned Adam, so that they
  are the same for all epochs.
  """

  def __init__(
    self,
    problem: Problem,
    optimizer: optimizers.Optimizer,
    rates: Mapping[str, float],
    seed: np.ndarray,
    num_steps: int,
  ):
    """Chooses what to look at.

    Args:
      problem: what is optimized.
      optimizer: a copy of the one that is trained, which each observation sets to another phi.
      rates: learning rates of the rivals by name; without "adam" no updates against gradients.
      seed: of the instance, int32 `[2]`.
      num_steps: of the run, of which at most `MOST_STEPS` are measured.
    """
    self._optimizer = optimizer
    self._rivals = {name: {"learning_rate": rate} for name, rate in rates.items()}
    self._seed = seed
    self._num_steps = min(num_steps, MOST_STEPS)
    self._record = diagnosis.recorder(problem, optimizer)
    self._steps = tuple(t for t in SWEPT if t <= num_steps)
    self._recorder = None
    if "adam" in rates:
      rivals = {name: optimizers.HAND_DESIGNED[name](rate) for name, rate in rates.items()}
      last = self._steps[-1]
      seen = proposals.gradients_along(problem, rivals["adam"], seed, last)
      self._coordinates = coordinates.spread(seen.rms)
      largest = [seen.largest[c.parameter][c.index] for c in self._coordinates]
      self._values = proposals.sweeps(proposals.limits(np.array(largest)), NUM_VALUES)
      self._recorder = proposals.Recorder(
        problem, optimizer, rivals, self._coordinates, last, self._steps
      )

  def __call__(self, phi: Sequence[tf.Tensor]) -> Observation:
    """Looks at the optimizer with these values of its variables."""
    for variable, value in zip(self._optimizer.trainable_variables, phi):
      variable.assign(value)
    record = self._record(self._seed[np.newaxis], self._num_steps)
    means = {"gradient": record.gradient, "update": record.update, **record.shares}
    scalars = {name: float(np.mean(values)) for name, values in means.items()}
    if not self._recorder:
      return Observation(scalars, {})
    found = self._recorder(self._seed, self._values)
    entries = found.entries(self._coordinates, self._values)
    proposed = {
      "num_steps": self._steps[-1],
      "steps": list(self._steps),
      "rivals": self._rivals,
      "losses": found.losses,
      "coordinates": entries,
    }
    return Observation(scalars | _medians(entries, self._steps), proposed)


def _medians(entries: Mapping[str, dict[str, Any]], steps: Sequence[int]) -> dict[str, float]:
  """Each of the measures of a sweep, its median over coordinates and steps."""
  rows = [
    proposal_files.measures(entry, k, step)
    for entry in entries.values()
    for k, step in enumerate(steps)
  ]
  finite = {name: [row[name] for row in rows if math.isfinite(row[name])] for name in rows[0]}
  return {name: statistics.median(values or [math.nan]) for name, values in finite.items()}
