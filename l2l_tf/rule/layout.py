"""Where L parameters lie in vectors that hold them all, and sums over each of them.

n coordinates of L parameters, of B instances. A call for each of some hundred parameters would
cost more than their numbers: those of one size are summed together, and small ones that follow each
other are spread together. Of a large one the numbers cost more than the calls: it is computed by
itself, or beside those of its size, where a number for all of it needs no copy a coordinate.
"""

from collections.abc import Sequence
import functools
import math
from typing import Any

import numpy as np

from l2l_tf.rule.ops import Fixed

SAMPLE = 2**14  # coordinates of a parameter, at most, that its statistics are of
MOST_APART = 8  # large parameters that are computed each by itself: a part is much to compile
MOST_SIZES = 16  # of parameters that XLA compiles in seconds, on TensorFlow; 60 take half a minute
SMALLEST = float(np.finfo(np.float32).tiny)  # below, a processor may take a number for 0
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
    parts: of the parameters; each is computed by itself.
    in_one_call: whether a compiler makes one call of a whole step in seconds.
  """

  def __init__(self, shapes: Sequence[Shape]):
    self.all_shapes = [tuple(shape) for shape in shapes]
    self.shapes = [shape for shape in self.all_shapes if math.prod(shape)]
    self.sizes = [math.prod(shape) for shape in self.shapes]
    self.n = sum(self.sizes)
    self.log_sizes = Fixed(np.log(np.array(self.sizes, np.float32)))
    groups = _apart(self.sizes)
    self.parts = [Part(self.sizes, group) for group in groups]
    self._back = _back([k for group in groups for k in group])
    in_rows = any(part.count > 1 for part in self.parts)
    self.in_one_call = not in_rows and len(set(self.sizes)) <= MOST_SIZES
    places = {k: (i, part.place(k)) for i, part in enumerate(self.parts) for k in part.numbers}
    self._places = [places[k] for k in range(len(self.sizes))]

  def cut(self, ops: Any, x: Any) -> list[Any]:
    """`[B, n]` as the coordinates of each part, `[R, n_part]`."""
    return [part.of(ops, x) for part in self.parts]

  def rows(self, ops: Any, tensors: Sequence[Any]) -> list[Any]:
    """Tensors `[B, *shape]` of `all_shapes` as rows `[B, size]` of those that have numbers."""
    pairs = zip(tensors, self.all_shapes, strict=True)
    return [ops.reshape(x, [x.shape[0], -1]) for x, shape in pairs if math.prod(shape)]

  def joined(self, ops: Any, pieces: Sequence[Any]) -> Any:
    """The inverse of `cut`."""
    if len(self.parts) == 1 and self.parts[0].count == 1:
      return pieces[0]
    found: list[tuple[int, slice]] = []  # of pieces, those that follow each other together
    for number, place in self._places:
      if found and found[-1][0] == number and found[-1][1].stop == place.start:
        place = slice(found.pop()[1].start, place.stop)
      found.append((number, place))
    flat = [part.flat(ops, piece) for part, piece in zip(self.parts, pieces)]
    cut = [flat[number][:, place] for number, place in found]
    return cut[0] if len(cut) == 1 else ops.concatenate(cut, 1)

  def in_order(self, ops: Any, values: Sequence[Any]) -> Any:
    """What was found of each part's parameters, `[R, c, ...]`, as `[B, L, ...]`."""
    own = [part.of_instances(ops, x) for part, x in zip(self.parts, values)]
    return _in_order(ops, own, self._back)

  def tensors(self, ops: Any, pieces: Sequence[Any]) -> list[Any]:
    """The coordinates of each part, `[R, n_part]`, as tensors `[B, *shape]` of `all_shapes`."""
    flat = [part.flat(ops, piece) for part, piece in zip(self.parts, pieces)]
    places, batch = iter(self._places), flat[0].shape[0]
    found = []
    for shape in self.all_shapes:
      number, place = next(places) if math.prod(shape) else (0, slice(0, 0))
      found.append(ops.reshape(flat[number][:, place], [batch, *shape]))
    return found


class Part:
  """Some of the parameters of a layout, in R rows: small ones in one row for each instance.

  Large ones of one size have a row each, as if they were instances: R = B * count.

  Attributes:
    numbers: which of the L parameters.
    count: of rows an instance.
    sizes: of the c parameters of a row.
    step: statistics are of each so many-th coordinate.
  """

  def __init__(self, sizes: Sequence[int], numbers: Sequence[int]):
    """Takes the sizes of all parameters, and which of them it has, in order."""
    self.numbers = list(numbers)
    own = [sizes[k] for k in numbers]
    self.count = len(own) if len(set(own)) == 1 and own[0] > SAMPLE else 1
    self.sizes = own[: len(own) // self.count]
    starts = np.cumsum([0, *sizes]).tolist()
    self._each = [slice(starts[k], starts[k + 1]) for k in self.numbers]
    self._has_all = self.count == 1 and len(own) == len(sizes)
    self._numbers = Fixed(np.array(self.numbers, np.int32))
    self._starts = np.cumsum([0, *own]).tolist()
    self._whole = _Pieces(self.sizes)
    self.step = _step(max(own))
    self._sampled = _Pieces([-(-size // self.step) for size in self.sizes])
    self._runs = [
      Fixed(np.repeat(np.array(run, np.int32), [self.sizes[k] for k in run])) if run[1:] else run[0]
      for run in _runs(self.sizes, MOST_TAKEN)
    ]

  def place(self, number: int) -> slice:
    """Where among its coordinates those of one of its parameters are."""
    k = self.numbers.index(number)
    return slice(self._starts[k], self._starts[k + 1])

  def of(self, ops: Any, x: Any) -> Any:
    """Its coordinates of `[B, n]`: `[R, n_part]`."""
    return x if self._has_all else self._laid(ops, [x[:, place] for place in self._together()])

  def of_rows(self, ops: Any, rows: Sequence[Any]) -> Any:
    """Its coordinates of `[B, size]` of each of the L parameters: `[R, n_part]`."""
    return self._laid(ops, [rows[k] for k in self.numbers])

  def of_sampled(self, ops: Any, x: Any) -> Any:
    """`sample` of its coordinates of `[B, n]`."""
    if self.step == 1:
      return self.of(ops, x)
    return self._laid(ops, [x[:, place.start : place.stop : self.step] for place in self._each])

  def of_sampled_rows(self, ops: Any, rows: Sequence[Any]) -> Any:
    """`sample` of its coordinates of `[B, size]` of each of the L parameters."""
    return self._laid(ops, [self.sample(rows[k]) for k in self.numbers])

  def of_each(self, ops: Any, values: Any) -> Any:
    """Its numbers of `[B, L]`: `[R, c]`."""
    if len(self.numbers) == 1:
      return values[:, self.numbers[0] : self.numbers[0] + 1]
    own = values if self._has_all else ops.take(values, self._numbers, 1)
    return ops.reshape(own, [-1, 1]) if self.count > 1 else own

  def flat(self, ops: Any, x: Any) -> Any:
    """`[R, n_part]` as `[B, count * n_part]`."""
    return ops.reshape(x, [x.shape[0] // self.count, -1]) if self.count > 1 else x

  def of_instances(self, ops: Any, x: Any) -> Any:
    """`[R, c, ...]` as `[B, count * c, ...]`."""
    if self.count == 1:
      return x
    return ops.reshape(x, [x.shape[0] // self.count, self.count, *x.shape[2:]])

  def sample(self, x: Any) -> Any:
    """The coordinates of `[R, n_part]` that statistics are of; `[R, 1]` stays as it is.

    Those are all, but of large parameters each s-th. s has no divisor in common with the size, so
    that no row or column is passed over.
    """
    return x if x.shape[1] == 1 or self.step == 1 else x[:, :: self.step]

  def products(self, ops: Any, rows: Any) -> Any:
    """Mean products over each parameter of `[R, K, n]`, K vectors of the sample: `[R, c, K, K]`."""
    pieces = self._sampled.of(ops, rows)  # [R, K, count, size]
    grams = [ops.gram(_swapped(ops, x)) / x.shape[-1] for x in pieces]
    return self._sampled.in_order(ops, grams)

  def means(self, ops: Any, x: Any) -> Any:
    """The mean over each parameter: `[R, n_part]` to `[R, c]`."""
    return self._whole.in_order(ops, [ops.mean(piece, -1) for piece in self._whole.of(ops, x)])

  def rms(self, ops: Any, x: Any) -> Any:
    """The RMS over each parameter, `[R, c]`, of numbers whose squares may be none.

    One too small to divide by is 0.
    """
    pieces = self._whole.of(ops, ops.abs(x))
    largest = self._whole.in_order(ops, [ops.max(piece, -1) for piece in pieces])
    scaled = x * self.spread(ops, inverse(ops, largest))
    found = largest * ops.sqrt(self.means(ops, scaled**2))
    return ops.where(found < SMALLEST, ops.zeros_like(found), found)

  def spread(self, ops: Any, values: Any) -> Any:
    """A number a parameter for each of its coordinates: `[R, c]` to `[R, n_part]`."""
    if len(self.sizes) == 1:
      return values  # which spreads itself
    pieces = [
      ops.broadcast_to(values[:, run : run + 1], [values.shape[0], self.sizes[run]])
      if isinstance(run, int)
      else ops.take(values, run, 1)
      for run in self._runs
    ]
    return pieces[0] if len(pieces) == 1 else ops.concatenate(pieces, 1)

  def _together(self) -> list[slice]:
    """Where its coordinates are among all; in one slice what follows each other in a row."""
    found: list[slice] = []
    for place in self._each:
      if self.count == 1 and found and found[-1].stop == place.start:
        place = slice(found.pop().start, place.stop)
      found.append(place)
    return found

  def _laid(self, ops: Any, pieces: Sequence[Any]) -> Any:
    """`[B, size]` each as `[R, n_part]`."""
    if len(pieces) == 1:
      return pieces[0]
    if self.count == 1:
      return ops.made(ops.concatenate(pieces, 1))
    return ops.made(ops.reshape(ops.stack(pieces, 1), [-1, pieces[0].shape[1]]))


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
    self._back = _back(order)

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
    return _in_order(ops, parts, self._back)


def inverse(ops: Any, x: Any) -> Any:
  """1 / x of a number x >= 0, and 0 for 0 and what is too small."""
  is_0 = x < SMALLEST
  return ops.where(is_0, ops.zeros_like(x), 1 / ops.where(is_0, ops.ones_like(x), x))


def _back(order: Sequence[int]) -> Fixed | None:
  """Where each of them stands in this order; None if they are in order."""
  order = list(order)
  return None if order == sorted(order) else Fixed(np.argsort(order).astype(np.int32))


def _in_order(ops: Any, parts: Sequence[Any], back: Fixed | None) -> Any:
  whole = parts[0] if len(parts) == 1 else ops.concatenate(parts, 1)
  return whole if back is None else ops.take(whole, back, 1)


def _swapped(ops: Any, x: Any) -> Any:
  """`[B, K, c, n]` as `[B, c, K, n]`."""
  if x.shape[2] == 1:  # which costs nothing
    return ops.reshape(x, [x.shape[0], 1, x.shape[1], x.shape[3]])
  return ops.swapaxes(x, 1, 2)


def _apart(sizes: Sequence[int]) -> list[list[int]]:
  """All small parameters, then large ones: each by itself, or many of them by their size."""
  large = [k for k, size in enumerate(sizes) if size > SAMPLE]
  groups: dict[Any, list[int]] = {}
  for k, size in enumerate(sizes):
    key = (0, 0) if size <= SAMPLE else (size, k if len(large) <= MOST_APART else 0)
    groups.setdefault(key, []).append(k)
  return [groups[key] for key in sorted(groups)]


def _of_one_size(sizes: Sequence[int]) -> list[list[int]]:
  """The parameters by their size."""
  groups: dict[int, list[int]] = {}
  for k, size in enumerate(sizes):
    groups.setdefault(size, []).append(k)
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
