"""The general rule with orthogonal updates of matrices, after Muon (Jordan et al. 2024)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.optimizers import base
from l2l_tf.optimizers import general
from l2l_tf.rule import matrices
from l2l_tf.rule import ops

POWER = 2  # rounds of subspace iteration
ABOVE = 2.0  # times the RMS of the other singular values


class Orthogonal(general.General):
  """The general rule, whose updates of matrices are made orthogonal, their RMS kept.

  update <- (1 - share) update + share * RMS(update) / RMS(O) * O, where O has the singular vectors
  of the update and singular values near 1. Zeros stay zeros: a coordinate that the general rule
  does not move rests here, too. Vectors keep their updates.
  """

  def __init__(
    self,
    share: float | Sequence[float] = 1.0,
    rounds: int = 5,
    rank: int | None = None,
    **options: Any,
  ):
    """Makes the rule.

    Args:
      share: of the orthogonal part; a number, or one for each instance.
      rounds: of the iteration.
      rank: in place of all this, bring down this many of the largest singular values (`flattened`).
      **options: of the general rule.
    """
    super().__init__(**options)
    self._share = np.array(share, np.float32)
    self._rounds, self._rank = rounds, rank

  def step(
    self, phi: Sequence[tf.Tensor], gradients: base.Params, state: base.State, params: Any
  ) -> tuple[base.Params, base.State]:
    updates, state = super().step(phi, gradients, state, params)
    for name, update in updates.items():
      shape = matrices.sides(tuple(update.shape[1:]))
      if min(shape) > 1:
        updates[name] = self._turned(update, shape)
    return updates, state

  def _turned(self, update: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    matrix = tf.reshape(update, [update.shape[0], *shape])
    if self._rank:
      found = flattened(matrix, self._rank)
    else:
      found = matrices.orthogonal(ops.of("tensorflow"), matrix, self._rounds)
    share = tf.reshape(self._share, [-1] + [1] * (len(update.shape) - 1))
    return update + share * (tf.reshape(found, update.shape) - update)


def flattened(x: tf.Tensor, rank: int) -> tf.Tensor:
  """Matrices whose largest singular values are brought down, the same RMS.

  Those above twice the RMS of all that are left become so much. The singular vectors are those of
  two rounds of subspace iteration from fixed vectors: 16 `rank` operations a number, where
  `matrices.orthogonal` takes at least four times the shorter side.

  Args:
    x: `[B, r, c]`.
    rank: how many singular values, at most.
  """

  def function(y: tf.Tensor) -> tf.Tensor:
    count, columns = min(rank, y.shape[2] - 1), y.shape[2]
    first = tf.random.stateless_normal([columns, count], [1, 2], dtype=y.dtype)
    right = tf.broadcast_to(first, [y.shape[0], columns, count])
    for _ in range(POWER):
      right = tf.linalg.qr(tf.matmul(y, y @ right, transpose_a=True)).q
    left = tf.linalg.qr(y @ right).q
    scaled = tf.matmul(left, y, transpose_a=True)  # [B, count, columns]: singular values included
    values = tf.sqrt(tf.reduce_sum(scaled**2, 2, keepdims=True))
    rest = y - left @ scaled
    others = tf.reduce_sum(rest**2, [1, 2], keepdims=True) / (columns - count)
    kept = tf.minimum(1.0, ABOVE * tf.sqrt(others) * _inverse(values))
    return rest + left @ (kept * scaled)

  return _of_tall(function, x)


def _of_tall(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
  """A function of `[B, r, c]`, r >= c, whose RMS and zeros become those of x; of any r and c."""
  largest = tf.reduce_max(tf.abs(x), [1, 2], keepdims=True)
  x = x * _inverse(largest)  # whose squares are numbers
  turned = x.shape[1] < x.shape[2]
  y = function(tf.transpose(x, [0, 2, 1]) if turned else x)
  y = tf.transpose(y, [0, 2, 1]) if turned else y
  return largest * _with_rms_of(tf.where(x != 0, y, tf.zeros_like(y)), x)


def _with_rms_of(y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
  own, other = (tf.reduce_sum(z**2, [1, 2], keepdims=True) for z in (y, x))
  return y * tf.sqrt(other * _inverse(own))


def _inverse(x: tf.Tensor) -> tf.Tensor:
  """1 / x, and 0 for 0."""
  return tf.math.divide_no_nan(tf.ones_like(x), x)
