"""The external memories of NTM-BFGS and NTM-L-BFGS (paper appendix B, Figure 11).

A memory is an n x n matrix M for each of B instances that starts as the identity, takes sums of
outer products, and is read by multiplication with vectors:

  read(M, r) = M r,  write(M, a, b) = M + sum_heads a b^T

Both kinds have the same three methods. They hold sizes alone; the contents go in and out as nests
of tensors, so a memory can be the state of a loop. Vectors are `[heads, B, n]`.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class FullMemory:
  """The matrix itself: O(n^2) numbers, and as many operations a read or write."""

  def initial(self, num_tasks: int, num_coordinates: int, dtype: Any) -> tf.Tensor:
    """Returns the identity for each instance, `[B, n, n]`."""
    return tf.eye(num_coordinates, batch_shape=[num_tasks], dtype=dtype)

  def read(self, memory: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Returns M r for each of the vectors r, `[heads, B, n]`."""
    return _from_columns(tf.matmul(memory, _to_columns(vectors)))

  def write(self, memory: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Returns M + sum_heads a b^T with a the `left` and b the `right` vectors, `[heads, B, n]`."""
    return memory + tf.matmul(_to_columns(left), _to_rows(right))


MAX_PAIRS = 2**16  # of vectors in a `LimitedMemory`: sizes may come from a hostile file


class History(NamedTuple):
  """Contents of a `LimitedMemory`: the write vectors, oldest first, zeros before the first."""

  left: tf.Tensor  # [B, history * heads, n]
  right: tf.Tensor  # [B, history * heads, n]

  if not TYPE_CHECKING:  # type: ignore[misc]  # mypy knows fields and methods only
    AXES = {"left": "B.n", "right": "B.n"}


@dataclasses.dataclass(frozen=True)
class LimitedMemory:
  """The identity plus the outer products of the last `history` writes; older ones are forgotten.

  Keeps the vectors, never the matrix: O(n history heads) numbers, and as many operations a read or
  write. Equal to `FullMemory` up to the first `history` writes.

  Attributes:
    history: how many writes are kept.
    num_heads: outer products of one write; `history * num_heads` is at most `MAX_PAIRS`.
  """

  history: int
  num_heads: int = 1

  def __post_init__(self) -> None:
    for field in ("history", "num_heads"):
      value = getattr(self, field)
      if type(value) is not int or value < 1:
        raise ValueError(f"{field} must be an integer of at least 1, got {value!r}.")
    pairs = self.history * self.num_heads
    if pairs > MAX_PAIRS:
      raise ValueError(f"The memory would keep {pairs} pairs of vectors, more than {MAX_PAIRS}.")

  def initial(self, num_tasks: int, num_coordinates: int, dtype: Any) -> History:
    """Returns the empty history, which reads as the identity."""
    zeros = tf.zeros([num_tasks, self.history * self.num_heads, num_coordinates], dtype)
    return History(zeros, zeros)

  def read(self, memory: History, vectors: tf.Tensor) -> tf.Tensor:
    """Returns r + sum a (b^T r) over the history, for each of the vectors r, `[heads, B, n]`."""
    products = tf.matmul(memory.right, _to_columns(vectors))  # b^T r, [B, history * heads, heads]
    return vectors + _from_columns(tf.matmul(memory.left, products, transpose_a=True))

  def write(self, memory: History, left: tf.Tensor, right: tf.Tensor) -> History:
    """Appends a write of `num_heads` pairs, `[heads, B, n]` each, and drops the oldest."""
    written = History(_to_rows(left), _to_rows(right))
    return History(
      *(tf.concat([old[:, self.num_heads :], new], axis=1) for old, new in zip(memory, written))
    )


def _to_rows(vectors: tf.Tensor) -> tf.Tensor:
  """`[heads, B, n] -> [B, heads, n]`."""
  return tf.transpose(vectors, [1, 0, 2])


def _to_columns(vectors: tf.Tensor) -> tf.Tensor:
  """`[heads, B, n] -> [B, n, heads]`."""
  return tf.transpose(vectors, [1, 2, 0])


def _from_columns(columns: tf.Tensor) -> tf.Tensor:
  """The inverse of `_to_columns`."""
  return tf.transpose(columns, [2, 0, 1])
