"""The state of some of the parameters, as when others are frozen, and putting it back."""

from collections.abc import Iterator, Sequence
import itertools
import math
from typing import Any

from l2l_tf.rule.formula import GeneralState
from l2l_tf.rule.layout import Shape


class Partial:
  """Some of the parameters: what rests keeps its state, and is in no average."""

  def __init__(self, shapes: Sequence[Shape], active: Sequence[bool]):
    """Takes the shapes of all parameters, and whether each of them takes part."""
    sizes = [math.prod(shape) for shape in shapes]
    counts = [min(size, 1) for size in sizes]  # without numbers it counts for none
    self._runs = {"n": list(_runs(sizes, active)), "L": list(_runs(counts, active))}

  def select(self, ops: Any, state: GeneralState) -> GeneralState:
    """Returns the state of those that take part."""

    def of(x: Any, axis: str) -> Any:
      return ops.concatenate([x[:, run] for is_active, run in self._runs[axis] if is_active], 1)

    return _each(of, state)

  def merge(self, ops: Any, whole: GeneralState, part: GeneralState) -> GeneralState:
    """Returns `whole` with `part`, as `select` gives it, in its place."""

    def of(old: Any, new: Any, axis: str) -> Any:
      pieces, start = [], 0
      for is_active, run in self._runs[axis]:
        stop = start + (run.stop - run.start) * is_active
        pieces.append(new[:, start:stop] if is_active else old[:, run])
        start = stop
      return ops.concatenate(pieces, 1)

    return _each(of, whole, part)._replace(t=part.t)


def _each(function: Any, *states: GeneralState) -> GeneralState:
  """Applies it to all tensors of states that have coordinates or parameters, with the axis."""
  fields = {
    name: function(*(getattr(state, name) for state in states), "n") for name in ("v", "theta_0")
  }
  for name in ("scale", "statistics", "memory"):
    fields[name] = function(*(getattr(state, name) for state in states), "L")
  averages = zip(*(state.averages for state in states))
  return states[0]._replace(averages=tuple(function(*x, "n") for x in averages), **fields)


def _runs(sizes: Sequence[int], active: Sequence[bool]) -> Iterator[tuple[bool, slice]]:
  """Pieces of the axis that take part, or rest, together."""
  start = 0
  for is_active, group in itertools.groupby(zip(active, sizes), lambda pair: pair[0]):
    stop = start + sum(size for _, size in group)
    yield bool(is_active), slice(start, stop)
    start = stop
