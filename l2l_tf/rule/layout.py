"""Where L parameters lie in vectors that hold them all, and sums over each of them.

n coordinates of L parameters, of B instances. A call for each of some hundred parameters would
cost more than their numbers: those of one size are summed together, and small ones that follow each
other are spread together.
"""

from collections.abc import Sequence
import functools
import itertools
import math
from typing import Any

import numpy as np

from l2l_tf.rule.ops import Fixed

SAMPLE = 2**14  # coordinates of a parameter, at most, that its statistics are of
MOST_TAKEN = 2**11  # of one that is spread with its neighbours: a compiler takes them one by one

Shape = tuple[int, ...]


class Layout:
  """Parameters of these shapes, one after the other; those without numbers count for none.

  Attributes:
    shapes: of the L parameters that have numbers.
    all_shapes: of these and of those that have none.
    sizes: their numbers of coordinates.
    n: the sum of these.
    log_sizes: their logarithms.
    taken: the coordinates of the sample, in slices that follow each other.
  """

  def __init__(self, shapes: Sequence[Shape]):
    self.all_shapes = [tuple(shape) for shape in shapes]
    self.shapes = [shape for shape in self.all_shapes if math.prod(shape)]
    self.sizes = [math.prod(shape) for shape in self.shapes]
    self.n = sum(self.sizes)
    self._whole = _Pieces(self.sizes)
    self.log_sizes = Fixed(np.log(np.array(self.sizes, np.float32)))
    steps = [_step(size) for size in self.sizes]
    self._sampled = _Pieces([-(-size // step) for size, step in zip(self.sizes, steps)])
    starts = np.cumsum([0, *self.sizes]).tolist()
    self.taken = [
      slice(starts[run[0]], starts[run[-1] + 1], steps[run[0]]) for run in _runs(self.sizes, SAMPLE)
    ]
    self._runs = [
      Fixed(np.repeat(np.array(run, np.int32), [self.sizes[k] for k in run])) if run[1:] else run[0]
      for run in _runs(self.sizes, MOST_TAKEN)
    ]

  def sample(self, ops: Any, x: Any) -> Any:
    """The coordinates of `[B, n]` that statistics are of, or of `[B, 1]`, which spreads itself.

    Those are all, but of large parameters each s-th. s has no divisor in common with the size, so
    that no row or column is passed over.
    """
    if x.shape[1] == 1 or all(piece.step == 1 for piece in self.taken):
      return x
    pieces = [x[:, piece] for piece in self.taken]
    return pieces[0] if len(pieces) == 1 else ops.concatenate(pieces, 1)

  def products(self, ops: Any, rows: Any) -> Any:
    """Mean products over each parameter of `[B, K, n]`, K vectors of the sample: `[B, L, K, K]`."""
    pieces = self._sampled.of(ops, rows)  # [B, K, c, n_l]
    grams = [ops.gram(_swapped(ops, x)) / x.shape[-1] for x in pieces]
    return self._sampled.in_order(ops, grams)

  def means(self, ops: Any, x: Any) -> Any:
    """The mean over each parameter: `[B, n]` to `[B, L]`."""
    return self._whole.in_order(ops, [ops.mean(piece, -1) for piece in self._whole.of(ops, x)])

  def rms(self, ops: Any, x: Any) -> Any:
    """The RMS over each parameter, `[B, L]`, of numbers whose squares may be none."""
    pieces = self._whole.of(ops, ops.abs(x))
    largest = self._whole.in_order(ops, [ops.max(piece, -1) for piece in pieces])
    scaled = x * self.spread(ops, inverse(ops, largest))
    return largest * ops.sqrt(self.means(ops, scaled**2))

  def spread(self, ops: Any, values: Any) -> Any:
    """A number a parameter for each of its coordinates: `[B, L]` to `[B, n]`."""
    if len(self.sizes) == 1:
      return values  # which spreads itself
    pieces = [
      ops.broadcast_to(values[:, run : run + 1], [values.shape[0], self.sizes[run]])
      if isinstance(run, int)
      else ops.take(values, run, 1)
      for run in self._runs
    ]
    return pieces[0] if len(pieces) == 1 else ops.concatenate(pieces, 1)

  def cut(self, ops: Any, x: Any) -> list[Any]:
    """`[B, n]` as tensors `[B, *shape]`, for `all_shapes`."""
    starts = itertools.accumulate(map(math.prod, self.all_shapes), initial=0)
    return [
      ops.reshape(x[:, k : k + math.prod(shape)], [x.shape[0], *shape])
      for k, shape in zip(starts, self.all_shapes)
    ]


@functools.lru_cache(maxsize=64)
def of(shapes: tuple[Shape, ...]) -> Layout:
  """The layout of these shapes, made once: eager loops ask for it at every step."""
  return Layout(shapes)


class _Pieces:
  """Vectors of all parameters, cut into those of one size, and put in order again."""

  def __init__(self, sizes: Sequence[int]):
    starts = np.cumsum([0, *sizes])
    self._groups = []  # what is taken of a vector, how many parameters, their size
    order: list[int] = []
    for group in _of_one_size(sizes):
      size, first = sizes[group[0]], group[0]
      taken: Any = slice(int(starts[first]), int(starts[first + len(group)]))
      if group != list(range(first, first + len(group))):
        places = starts[group][:, np.newaxis] + np.arange(size)
        taken = Fixed(places.ravel().astype(np.int32))
      self._groups.append((taken, len(group), size))
      order += group
    self._back = None if order == sorted(order) else Fixed(np.argsort(order).astype(np.int32))

  def of(self, ops: Any, x: Any) -> list[Any]:
    """`[..., n]` in pieces `[..., c, size]`."""
    axis = len(x.shape) - 1
    parts = [
      x[..., taken] if isinstance(taken, slice) else ops.take(x, taken, axis)
      for taken, _, _ in self._groups
    ]
    return [
      ops.reshape(part, [*x.shape[:-1], count, size])
      for part, (_, count, size) in zip(parts, self._groups)
    ]

  def in_order(self, ops: Any, parts: Sequence[Any]) -> Any:
    """What was made of these pieces, `[B, c, ...]` each, as `[B, L, ...]`."""
    whole = parts[0] if len(parts) == 1 else ops.concatenate(parts, 1)
    return whole if self._back is None else ops.take(whole, self._back, 1)


def inverse(ops: Any, x: Any) -> Any:
  """1 / x, and 0 for 0."""
  is_0 = x == 0
  return ops.where(is_0, x, 1 / ops.where(is_0, ops.ones_like(x), x))


def _swapped(ops: Any, x: Any) -> Any:
  """`[B, K, c, n]` as `[B, c, K, n]`."""
  if x.shape[2] == 1:  # which costs nothing
    return ops.reshape(x, [x.shape[0], 1, x.shape[1], x.shape[3]])
  return ops.swapaxes(x, 1, 2)


def _of_one_size(sizes: Sequence[int]) -> list[list[int]]:
  """The parameters by their size; large ones each for itself."""
  groups: dict[Any, list[int]] = {}
  for k, size in enumerate(sizes):
    groups.setdefault(size if size <= SAMPLE else ("large", k), []).append(k)
  return list(groups.values())


def _runs(sizes: Sequence[int], most: int) -> list[list[int]]:
  """Parameters of at most so many that follow each other, and larger ones each for itself."""
  runs: list[list[int]] = []
  for k, size in enumerate(sizes):
    if size <= most and k and sizes[k - 1] <= most:
      runs[-1].append(k)
    else:
      runs.append([k])
  return runs


def _step(size: int) -> int:
  step = -(-size // SAMPLE) or 1
  while math.gcd(step, size) > 1:
    step += 1
  return step
