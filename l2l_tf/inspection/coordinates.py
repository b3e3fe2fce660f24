"""Single coordinates of parameters: names such as `hidden_1/w[3,7]`, and a choice of some."""

from collections.abc import Mapping, Sequence
import math
import re
from typing import NamedTuple

import numpy as np

Shapes = Mapping[str, Sequence[int]]  # of the parameters of one instance, in their order
FEWEST, MOST = 3, 4  # coordinates that `spread` chooses


class Coordinate(NamedTuple):
  """One number in the parameters of a problem."""

  parameter: str
  index: tuple[int, ...]  # type: ignore[assignment]  # hides a method; () of a scalar

  def __str__(self) -> str:
    return f"{self.parameter}[{','.join(map(str, self.index))}]"


def parse(text: str, shapes: Shapes) -> list[Coordinate]:
  """Reads coordinates separated by commas: "hidden_1/w[3,7],output/b[0]".

  Raises:
    ValueError: for anything else, an unknown parameter, or an index that is not there.
  """
  return [_parse_one(part.strip(), shapes) for part in re.split(r",(?![^\[]*\])", text)]


def _parse_one(text: str, shapes: Shapes) -> Coordinate:
  match = re.fullmatch(r"(.+)\[([\d\s,]*)\]", text)
  if not match:
    raise ValueError(f"PARAMETER[INDEX] expected, as in {_example(shapes)}, got {text!r}.")
  name, index = match[1], tuple(int(k) for k in match[2].split(",") if k.strip())
  if name not in shapes:
    raise ValueError(f"There is no parameter {name!r}; there are {', '.join(shapes)}.")
  shape = tuple(shapes[name])
  if len(index) != len(shape) or any(k >= size for k, size in zip(index, shape)):
    raise ValueError(f"{name} has the shape {list(shape)}; it has no element {list(index)}.")
  return Coordinate(name, index)


def _example(shapes: Shapes) -> str:
  name, shape = next(iter(shapes.items()))
  return str(Coordinate(name, tuple(size - 1 for size in shape)))


def positions(coordinates: Sequence[Coordinate], shapes: Shapes) -> np.ndarray:
  """Returns where each coordinate is among the n flattened ones (`base.flatten`), int32 `[C]`."""
  starts, total = {}, 0
  for name, shape in shapes.items():
    starts[name], total = total, total + math.prod(shape)
  flat = lambda c: int(np.ravel_multi_index(c.index, shapes[c.parameter])) if c.index else 0  # noqa: E731
  return np.array([starts[c.parameter] + flat(c) for c in coordinates], np.int32)


def spread(magnitudes: Mapping[str, np.ndarray]) -> list[Coordinate]:
  """Chooses three or four coordinates, spread over the parameters and over small and large.

  Each parameter gets one, in their order, at most four of them; of fewer than three parameters the
  first ones get more. Of the m coordinates of a parameter whose gradient is not always 0, ordered
  by magnitude, those at the middles of equal parts are taken: the median of one, or the quantiles
  1/4 and 3/4 of two.

  Args:
    magnitudes: of the gradients of each coordinate along some trajectory, shaped as one instance
      of the parameters. Where all are 0 in a parameter, all of its coordinates count.
  """
  names = list(magnitudes)[:MOST]
  sizes = {name: max(int(np.count_nonzero(magnitudes[name])), 1) for name in names}
  counts = dict.fromkeys(names, 1)
  while sum(counts.values()) < FEWEST and any(counts[n] < sizes[n] for n in names):
    counts[min((n for n in names if counts[n] < sizes[n]), key=counts.__getitem__)] += 1
  return [c for name in names for c in _quantiles(name, magnitudes[name], counts[name])]


def _quantiles(name: str, magnitudes: np.ndarray, count: int) -> list[Coordinate]:
  flat = magnitudes.ravel()
  candidates = np.flatnonzero(flat) if np.any(flat) else np.arange(flat.size)
  ordered = candidates[np.argsort(-flat[candidates], kind="stable")]
  chosen = sorted(ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count))
  return [
    Coordinate(name, tuple(int(k) for k in np.unravel_index(position, magnitudes.shape)))
    for position in chosen
  ]
