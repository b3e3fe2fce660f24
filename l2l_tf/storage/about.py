"""What the files of a trained optimizer tell of its training."""

from typing import Any


class About(dict):
  """The "about" of a `config.json`: JSON types, of which none need be there.

  Attributes:
    problem: the name of the problem that it was trained on; None where that is not told.
    horizon: how many steps it was trained to make; None where that is not told.
  """

  problem: str | None
  horizon: int | None

  def __init__(self, told: Any = None):
    """Takes what a file holds; what is no object tells nothing."""
    super().__init__(told if isinstance(told, dict) else {})
    options = self.get("experiment") or self.get("imitation")
    name, steps = _at(options, "problem", "name"), _at(options, "training", "num_steps")
    self.problem = name if isinstance(name, str) else None
    self.horizon = steps if type(steps) is int and steps > 0 else None


def _at(value: Any, *keys: str) -> Any:
  """The value in objects within objects; None if there is none."""
  for key in keys:
    value = value.get(key) if isinstance(value, dict) else None
  return value
