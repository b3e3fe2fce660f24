"""The phi of the general rule as NumPy arrays, and what a file of one must hold."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from l2l_tf.rule import formula

KIND = "general"  # its name in files
MOST_UNITS, MOST_LAYERS = 256, 4


class Phi(NamedTuple):
  """What tells one general rule from another.

  Attributes:
    layers: w `[inputs, outputs]` and b `[outputs]` of each layer of the controller.
    orthogonal: whether updates of small matrices are (`l2l_tf.rule.matrices`).
  """

  layers: list[np.ndarray]
  orthogonal: bool = False


def checked(hidden: Any) -> tuple[int, ...]:
  """Returns the units of the controller's layers as a tuple.

  Raises:
    ValueError: for layers that are not 1 to 4 of 1 to 256 units.
  """
  units = tuple(hidden) if isinstance(hidden, Sequence) else ()
  good = all(type(n) is int and 0 < n <= MOST_UNITS for n in units[:MOST_LAYERS])
  if not 0 < len(units) <= MOST_LAYERS or not good:
    raise ValueError(f"hidden must be 1 to 4 layers of 1 to 256 units, got {hidden!r:.80}.")
  return units


def shapes(hidden: Sequence[int]) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of phi by its names in files, layer by layer, w before b."""
  sizes = [formula.INPUTS, *hidden, formula.OUTPUTS]
  found: dict[str, tuple[int, ...]] = {}
  for k, (fan_in, fan_out) in enumerate(zip(sizes[:-1], sizes[1:]), start=1):
    found[f"layer_{k}/w"], found[f"layer_{k}/b"] = (fan_in, fan_out), (fan_out,)
  return found


def in_order(config: Any, weights: Mapping[str, np.ndarray]) -> Phi:
  """Returns phi, its layers in the order of `Rule.step`, float32.

  Args:
    config: {"kind": "general", "hidden": [...], "orthogonal": ...}; without the second (24, 24),
      without the third false.
    weights: by the names of `shapes`, float32 or shorter.

  Raises:
    ValueError: if they are not of one general rule.
  """
  known = {"kind", "hidden", "orthogonal"}
  if not isinstance(config, dict) or config.get("kind") != KIND or not config.keys() <= known:
    raise ValueError(f"a general rule has kind, hidden and orthogonal alone, got {config!r:.200}.")
  orthogonal = config.get("orthogonal", False)
  if not isinstance(orthogonal, bool):
    raise ValueError(f"orthogonal must be true or false, got {orthogonal!r:.80}.")
  expected = shapes(checked(config.get("hidden", (24, 24))))
  received = {name: w.shape for name, w in weights.items()}
  if received != expected:
    raise ValueError(f"the config calls for {expected}, got {received!r:.1000}.")
  for name, w in weights.items():
    if w.dtype.itemsize > 4:
      raise ValueError(f"{name} is of {w.dtype}, which is longer than float32.")
    if not np.isfinite(w.astype(np.float32)).all():
      raise ValueError(f"{name} holds weights that are not finite.")
  return Phi([weights[name].astype(np.float32) for name in expected], orthogonal)
