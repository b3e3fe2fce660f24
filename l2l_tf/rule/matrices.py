"""Updates of matrices with all singular values alike, after Muon (Jordan et al. 2024).

As gradients of a matrix have few large singular values, so has a step along them: most of it goes
in directions that many examples share. With singular values alike all directions get their share.
"""

from collections.abc import Sequence
import math
from typing import Any

from l2l_tf.rule.layout import Shape
from l2l_tf.rule.layout import inverse

QUINTIC = (3.4445, -4.7750, 2.0315)  # of Newton and Schulz's iteration, as Muon has it
ROUNDS = 3  # as good as five; two have two thirds of the gain at 100 steps
MOST_COLUMNS = 64  # of the shorter side: beyond it a step costs many times Adam's
MOST_NUMBERS = 2**16


def sides(shape: Shape) -> tuple[int, int]:
  """All axes but the last, and the last: a kernel's inputs and outputs; `(1, n)` of a vector."""
  return (math.prod(shape[:-1]), shape[-1]) if len(shape) > 1 else (1, math.prod(shape))


def is_small(shape: Shape) -> bool:
  """Whether it is of a matrix whose updates are made orthogonal."""
  return 1 < min(sides(shape)) <= MOST_COLUMNS and math.prod(shape) <= MOST_NUMBERS


def all_orthogonal(ops: Any, updates: Sequence[Any]) -> list[Any]:
  """`orthogonal` of updates `[B, ...]` of small matrices, those of one shape together."""
  found = list(updates)
  groups: dict[Shape, list[int]] = {}
  for k, update in enumerate(updates):
    groups.setdefault(sides(tuple(update.shape[1:])), []).append(k)
  for shape, group in groups.items():
    together = ops.stack([ops.reshape(updates[k], [-1, *shape]) for k in group], 0)
    together = orthogonal(ops, together)
    for i, k in enumerate(group):
      found[k] = ops.reshape(together[i], updates[k].shape)
  return found


def orthogonal(ops: Any, x: Any, rounds: int = ROUNDS) -> Any:
  """Matrices with the singular vectors of these, singular values near each other, the same RMS.

  X p(X'X), p by Newton and Schulz's iteration with QUINTIC, on the product of the shorter side with
  itself: only that product and the last one know the longer side. A matrix of zeros, and each zero
  in a matrix, stays as it is.

  Args:
    ops: of the framework.
    x: `[..., r, c]`.
    rounds: of the iteration; 5 bring all singular values above a thousandth of the norm near 1.
  """
  largest = ops.max(ops.max(ops.abs(x), -1), -1)[..., None, None]
  x = x * inverse(ops, largest)  # whose squares are numbers
  square = _square(ops, x)
  is_wide = x.shape[-2] < x.shape[-1]
  product = ops.gram(x if is_wide else ops.swapaxes(x, -1, -2)) * inverse(ops, square)
  factor, rest = _polynomial(product, rounds)
  y = factor * x + (rest @ x if is_wide else x @ rest)
  y = ops.where(x != 0, y, ops.zeros_like(y))
  return largest * ops.sqrt(square * inverse(ops, _square(ops, y))) * y


def _polynomial(product: Any, rounds: int) -> tuple[float, Any]:
  """The polynomial of the product, as a multiple of the identity and what is added to it."""
  a, b, c = QUINTIC
  factor, total = 1.0, None
  for k in range(rounds):
    change = b * product + c * (product @ product)  # a round multiplies by a + this
    total = change if total is None else factor * change + a * total + total @ change
    factor *= a
    if k < rounds - 1:  # that of what the round leaves: once for X', once for X
      product = a * product + product @ change
      product = a * product + product @ change
  return factor, total


def _square(ops: Any, x: Any) -> Any:
  return ops.sum(x**2, (-2, -1))[..., None, None]
