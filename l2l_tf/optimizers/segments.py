"""Numbers a parameter, of vectors that hold all parameters one after the other.

n coordinates of L parameters, `sizes` of them each, of B instances.
"""

from collections.abc import Sequence
import math

import numpy as np
import tensorflow as tf

SAMPLE = 2**14  # coordinates of a parameter, at most, that its statistics are of


class Sample:
  """The coordinates that statistics are of: all, but of large parameters each s-th.

  s has no divisor in common with the size, so that no row or column is passed over.
  """

  def __init__(self, shapes: Sequence[tuple[int, ...]]):
    sizes = [math.prod(shape) for shape in shapes]
    steps = [_step(size) for size in sizes]
    self._counts = [-(-size // step) for size, step in zip(sizes, steps)]
    self._taken = None
    if max(steps, default=1) > 1:
      starts = np.cumsum([0, *sizes[:-1]])
      pieces = [np.arange(a, a + n, s) for a, n, s in zip(starts, sizes, steps)]
      self._taken = np.concatenate(pieces).astype(np.int32)

  def __call__(self, x: tf.Tensor) -> tf.Tensor:
    """Those of `[B, n]`, or of `[B, 1]`, which spreads itself."""
    return x if self._taken is None or x.shape[1] == 1 else tf.gather(x, self._taken, axis=1)

  def products(self, rows: Sequence[tf.Tensor]) -> tf.Tensor:
    """Mean products over each parameter of K vectors of this sample: `[B, L, K, K]`."""
    parts = tf.split(tf.stack(rows, 1), self._counts, -1)  # [B, K, n_l]
    return tf.stack([tf.matmul(x, x, transpose_b=True) / n for x, n in zip(parts, self._counts)], 1)


def _step(size: int) -> int:
  step = -(-size // SAMPLE) or 1
  while math.gcd(step, size) > 1:
    step += 1
  return step


def inverse(x: tf.Tensor) -> tf.Tensor:
  """1 / x, and 0 for 0."""
  return tf.math.divide_no_nan(tf.ones_like(x), x)


def sums(x: tf.Tensor, sizes: Sequence[int]) -> tf.Tensor:
  """The sum over each parameter: `[B, n]` to `[B, L]`."""
  return tf.stack([tf.reduce_sum(part, -1) for part in tf.split(x, sizes, -1)], -1)


def rms(x: tf.Tensor, sizes: Sequence[int]) -> tf.Tensor:
  """The RMS over each parameter, `[B, L]`, of numbers whose squares may be none."""
  parts = tf.split(x, sizes, -1)
  largest = tf.stack([tf.reduce_max(tf.abs(part), -1) for part in parts], -1)
  return largest * tf.sqrt(sums((x * spread(inverse(largest), sizes)) ** 2, sizes) / sizes)


def spread(values: tf.Tensor, sizes: Sequence[int]) -> tf.Tensor:
  """A number a parameter for each of its coordinates: `[B, L]` to `[B, n]`."""
  if len(sizes) == 1:
    return values  # which spreads itself
  parts = tf.split(values, len(sizes), -1)
  return tf.concat([tf.broadcast_to(x, [x.shape[0], n]) for x, n in zip(parts, sizes)], -1)
