"""Runs an optimizer on one instance to see what it proposes: what a file of proposals says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l_tf import optimizers
from l2l_tf.inspection import proposal_files
from l2l_tf.inspection import proposals as proposals_lib
from l2l_tf.inspection.coordinates import Coordinate
from l2l_tf.inspection.coordinates import spread
from l2l_tf.problems.base import Problem


def choose(
  problem: Problem,
  optimizer: optimizers.Optimizer,
  seed: np.ndarray,
  num_steps: int,
  coordinates: Sequence[Coordinate] | None = None,
  max_gradient: float = 0.0,
) -> dict[Coordinate, float]:
  """Runs `optimizer` on one instance, and returns what to show and how far its sweeps go.

  Args:
    problem: what is optimized.
    optimizer: what optimizes it.
    seed: int32 `[2]`, of the instance.
    num_steps: the steps whose gradients are looked at.
    coordinates: to show; None for those that `coordinates.spread` chooses.
    max_gradient: sweeps go from -max_gradient to max_gradient; 0 for ranges that fit the gradients
      that each coordinate sees.

  Raises:
    VisualizationError: if a gradient becomes NaN or infinite on the way.
  """
  seen = proposals_lib.gradients_along(problem, optimizer, seed, num_steps)
  for name, largest in seen.largest.items():
    if not np.isfinite(largest).all():
      raise proposal_files.VisualizationError(_diverged(f"a gradient of {name}", num_steps))
  chosen = coordinates or spread(seen.rms)
  largest = np.array([seen.largest[c.parameter][c.index] for c in chosen])
  limits = np.full(len(chosen), max_gradient) if max_gradient else proposals_lib.limits(largest)
  return dict(zip(chosen, limits.tolist()))


def compute(
  problem: Problem,
  optimizer: optimizers.Optimizer,
  rates: dict[str, float],
  seed: np.ndarray,
  num_steps: int,
  steps: Sequence[int],
  num_values: int,
  ranges: Mapping[Coordinate, float],
) -> dict[str, Any]:
  """Runs `optimizer` on one instance, and returns what a file says of its proposals.

  Args:
    problem: what is optimized.
    optimizer: what optimizes it.
    rates: the learning rates of its rivals by their names in `optimizers.HAND_DESIGNED`.
    seed: int32 `[2]`, of the instance.
    num_steps: T, of the histories.
    steps: those whose gradient is swept, of 1..T.
    num_values: V, of a sweep; odd, so that 0 is one of them.
    ranges: how far the sweeps of each of C coordinates go, as `choose` says.

  Raises:
    VisualizationError: if something becomes NaN or infinite on the way.
  """
  chosen = list(ranges)
  values = proposals_lib.sweeps([*ranges.values()], num_values)
  rivals = {name: optimizers.HAND_DESIGNED[name](rate) for name, rate in rates.items()}
  recorder = proposals_lib.Recorder(problem, optimizer, rivals, chosen, num_steps, steps)
  found = recorder(seed, values)
  for what, numbers in (("the loss", found.losses), *found.updates.items(), *found.swept.items()):
    if not np.isfinite(numbers).all():
      raise proposal_files.VisualizationError(_diverged(what, num_steps))
  return {
    "num_steps": num_steps,
    "steps": list(steps),
    "rivals": {name: {"learning_rate": rate} for name, rate in rates.items()},
    "losses": proposal_files.rounded(found.losses),
    "coordinates": proposal_files.rounded(found.entries(chosen, values)),
  }


def _diverged(what: str, num_steps: int) -> str:
  return (
    f"Not finite within {num_steps} steps: {what}. The optimizer diverges on this problem; take"
    " fewer `num_steps`, another `max_gradient`, or a problem like those it was trained on."
  )
