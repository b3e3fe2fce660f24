"""What the axes of an optimizer's state count, a letter each.

B independent instances, n coordinates and L parameters of one instance, and . anything else. A
tensor of a state is `[..., B, n]`, `[B]`, or a scalar that all instances share. Where one is not,
the NamedTuple that holds it says so: `AXES = {"scale": "BL"}` for its field `scale`.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def of(state: Any, said: str | None = None) -> list[str]:
  """Returns the axes of each tensor, "..Bn" of four, in the order of `tf.nest.flatten`.

  Args:
    state: of any optimizer.
    said: the axes, if `state` is a tensor and what holds it says them.
  """
  if isinstance(state, dict):
    return [axes for key in sorted(state) for axes in of(state[key])]
  if isinstance(state, (tuple, list)):
    own, fields = getattr(state, "AXES", {}), getattr(state, "_fields", range(len(state)))
    return [axes for field, x in zip(fields, state) for axes in of(x, own.get(field))]
  rank = state.shape.rank
  return [said or "Bn"[:rank].rjust(rank, ".")]


def along(letter: str, function: Callable[..., tf.Tensor], state: Any) -> Any:
  """Returns the state after `function(tensor, axis)` for each axis that counts this."""
  leaves = tf.nest.flatten(state)
  for i, axes in enumerate(of(state)):
    for axis in (k for k, counted in enumerate(axes) if counted == letter):
      leaves[i] = function(leaves[i], axis)
  return tf.nest.pack_sequence_as(state, leaves)
