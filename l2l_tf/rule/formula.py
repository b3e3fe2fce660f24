"""A general rule: Adam directions, units of the parameters, and a learned controller of the step.

Nothing in it has a unit: multiplying the loss, or a weight matrix with its place in the network,
by a constant changes nothing but the last bits. It needs neither the loss nor the number of steps.
"""

from collections.abc import Callable, Sequence
import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2l_tf.rule import layout as layouts
from l2l_tf.rule import matrices
from l2l_tf.rule.layout import Layout
from l2l_tf.rule.layout import Part
from l2l_tf.rule.layout import inverse
from l2l_tf.rule.ops import Fixed

BETAS = (0.0, 0.9, 0.99)  # of the averages of the gradient; 0 is the gradient itself
BETA_2 = 0.99  # of the average of its square
SMOOTHING = 0.9  # of what the controller sees
TIME_SCALES = [10 ** (k / 2) for k in range(11)]  # 1, 3.2, 10 ... 10^5 steps
EPSILON = 1e-10  # beside v, in units of its mean over the tensor
TINY = 1e-36  # beside v, where all of it is 0
MATRIX_FLOOR = 0.03  # of the unit of a matrix that is zero, times 1 / sqrt(fan-in)
VECTOR_FLOOR = 0.3  # of that of a vector
FIRST_STEP = 0.01  # of an untrained controller, in units
LARGEST_STEP = 0.5
PACE = 0.03  # of the memory of the step: its change in a step, in the logarithm, is at most this
REACH = 3.0  # of that memory
HUGE = 1e15  # of a gradient, in units of the first one's RMS: its square is still a number
FAR = 1e16  # of a parameter: squares of larger numbers cannot be summed, and they do not count
INFINITY = float("inf")
STATISTICS = 13
INPUTS = 2 * STATISTICS + 5 + len(TIME_SCALES) + 1  # of the controller
OUTPUTS = len(BETAS) + 2


class GeneralState(NamedTuple):
  """n coordinates and L parameters of B instances."""

  averages: tuple[Any, ...]  # [B, n] each, of the scaled gradient, for BETAS above 0
  v: Any  # [B, n], of its square
  theta_0: Any  # [B, n]; 0 before the first step, where it is seen
  scale: Any  # [B, L], RMS of the first gradient that is not zero; 0 before
  statistics: Any  # [B, L, 13], averages of what the controller sees
  memory: Any  # [B, L], what the controller has added to the logarithm of the step
  t: Any  # int32 scalar, steps taken

  if not TYPE_CHECKING:  # type: ignore[misc]  # mypy knows fields and methods only
    AXES = {"scale": "BL", "statistics": "BL.", "memory": "BL"}

  def leaves(self) -> list[Any]:
    """Its tensors, the counter last."""
    averages, *others = self
    return [*averages, *others]

  @classmethod
  def of(cls, leaves: Sequence[Any]) -> "GeneralState":
    """The inverse of `leaves`."""
    count = len(BETAS) - 1
    return cls(tuple(leaves[:count]), *leaves[count:])


def initial_state(
  layout: Layout, batch: int, zeros: Callable[[Sequence[int], str | None], Any]
) -> GeneralState:
  """Returns the state before the first step; `zeros(shape, dtype)` makes its tensors.

  The dtype is "int32" or, for that of theta, None.
  """
  of_n, of_parameters = [batch, layout.n], [batch, len(layout.sizes)]
  return GeneralState(
    averages=tuple(zeros(of_n, None) for _ in BETAS[1:]),
    v=zeros(of_n, None),
    theta_0=zeros(of_n, None),
    scale=zeros(of_parameters, None),
    statistics=zeros([*of_parameters, STATISTICS], None),
    memory=zeros(of_parameters, None),
    t=zeros([], "int32"),
  )


class _Own(NamedTuple):
  """What a step begins with of a part of the parameters, in R rows."""

  g: Any  # gradient, [R, n_part]
  averages: tuple[Any, ...]  # as in the state
  v: Any
  place: Any  # the parameters, of the sample
  origin: Any  # theta_0, of the sample

  @classmethod
  def of(
    cls,
    ops: Any,
    part: Part,
    gradients: Sequence[Any],
    params: Sequence[Any],
    state: GeneralState,
    theta_0: Any,
  ) -> "_Own":
    """Takes rows of the L parameters, and the state of all."""
    return cls(
      g=part.of_rows(ops, gradients),
      averages=tuple(part.of(ops, m) for m in state.averages),
      v=part.of(ops, state.v),
      place=part.of_sampled_rows(ops, params),
      origin=part.of_sampled(ops, theta_0),
    )


class _Piece(NamedTuple):
  """What a step finds of a part, in units of the RMS of its first gradient."""

  rows: tuple[Any, ...]  # [R, n_part] each, the gradient and its averages
  v: Any  # [R, n_part], average of its square
  floor: Any  # [R, n_part] or [R, 1], beside v
  mean_v: Any  # [R, c]
  products: Any  # [R, c, 5, 5], of the directions, the way from theta_0 and theta


class Rule:
  """Updates each parameter by -step * unit * direction, on tensors of a framework.

  The direction is a mixture of three Adam directions, m_b / sqrt(v) for b = 0, 0.9 and 0.99, of RMS
  1 at most. The unit of a parameter is the RMS of its numbers. (Of large parameters an RMS is that
  of a sample, `Part.sample`.) The logarithm of the step and the mixture come from a small
  network, one for all parameters, that sees what has no unit: how the directions agree with each
  other and with the way from theta_0, their RMS, the number of steps on eleven time scales, the
  parameter's rank, size, fan-in and depth, and the mean of all this over the parameters. Updates of
  small matrices may be made orthogonal at the end (`l2l_tf.rule.matrices`). A coordinate whose
  gradient is always 0 never moves.
  """

  def __init__(self, ops: Any, orthogonal: bool = False, in_calls: bool = False):
    """Makes the rule.

    Args:
      ops: of the framework: `l2l_tf.rule.ops.of`, or keras.ops and more.
      orthogonal: whether updates of small matrices are.
      in_calls: whether a compiler makes a call of all that a step does with each part.
    """
    self._ops = ops
    call = ops.in_one_call if in_calls else lambda function: function
    self._piece, self._update = call(self._find), call(self._mix_part)
    self._decide = call(self._decide_all)
    self._averaged = _where_large(self._average, ops)
    self._mixed = _where_large(self._mix, ops)
    self._orthogonal = orthogonal
    self._all_orthogonal = ops.in_one_call(functools.partial(matrices.all_orthogonal, ops))

  def units(self, square: Any, layout: Layout) -> Any:
    """In what a step is counted: RMS of each parameter, of one that is 0 by its shape; `[B, L]`.

    Args:
      square: mean square of each parameter, `[B, L]`.
      layout: of the parameters.
    """
    least = self._ops.constant(_floors(layout), square)
    return self._ops.maximum(self._ops.sqrt(square), least)

  def mixture(self, logits: Any) -> Any:
    """What each of the directions weighs, from what the controller says of it; `[B, L, 3]` both."""
    return self._ops.softmax(logits)

  def step(
    self,
    phi: Sequence[Any],
    gradients: Sequence[Any],
    state: GeneralState,
    params: Sequence[Any],
    layout: Layout,
    scale: Any = 1.0,
  ) -> tuple[list[Any], GeneralState]:
    """Takes a step.

    Args:
      phi: w `[inputs, outputs]` and b `[outputs]` of each layer of the controller, or `[B, ...]`.
      gradients: `[B, ...]` for each of the layout's parameters.
      state: what the step before returned, or `initial_state`.
      params: the parameters, likewise.
      layout: of the parameters, with at least one number.
      scale: constant on the update.

    Returns:
      The updates, `[B, ...]` for each of the layout's parameters, and the next state.
    """
    ops = self._ops
    rows, places = layout.rows(ops, gradients), layout.rows(ops, params)
    theta_0 = ops.cond(state.t == 0, lambda: _end_to_end(ops, places), lambda: state.theta_0)
    t = ops.cast(state.t + 1, state.v.dtype)
    start = 1 - ops.constant(_DECAYS, t) ** t  # of the averages, which begin at 0
    corrections = ops.sqrt(start[-1]) / start[: len(BETAS)]
    parts = [_Own.of(ops, part, rows, places, state, theta_0) for part in layout.parts]
    first = self._first_rms(state.scale, [own.g for own in parts], layout)
    to_scale = inverse(ops, first)
    pieces = [
      self._piece(part, own, part.of_each(ops, to_scale), corrections)
      for part, own in zip(layout.parts, parts)
    ]
    mean_v = layout.in_order(ops, [piece.mean_v for piece in pieces])
    products = layout.in_order(ops, [piece.products for piece in pieces])  # [B, L, 5, 5]
    found = products, mean_v / start[-1], first, state.statistics, state.memory, t
    amounts, smoothed, memory = self._decide(layout, phi, *found)
    factors = -scale * corrections * amounts
    updates = [
      self._update(part, piece, [part.of_each(ops, factors[..., k]) for k in range(len(BETAS))])
      for part, piece in zip(layout.parts, pieces)
    ]
    tensors = layout.tensors(ops, updates)
    if self._orthogonal:
      tensors = self._turned(tensors)
    averages = zip(*(piece.rows[1:] for piece in pieces))
    return tensors, GeneralState(
      averages=tuple(layout.joined(ops, one) for one in averages),
      v=layout.joined(ops, [piece.v for piece in pieces]),
      theta_0=theta_0,
      scale=first,
      statistics=smoothed,
      memory=memory,
      t=state.t + 1,
    )

  def _find(self, part: Part, own: _Own, to_scale: Any, corrections: Any) -> _Piece:
    """What the step finds of a part of the parameters before it knows how far to go.

    Args:
      part: which.
      own: its own gradient and state.
      to_scale: what its gradients are multiplied with, `[R, c]`.
      corrections: of the directions, `[3]`.
    """
    ops = self._ops
    g, averages, v = self._averaged(own.g, part.spread(ops, to_scale), own.averages, own.v)
    mean_v = part.means(ops, v)
    floor = part.spread(ops, EPSILON * mean_v + TINY)
    rows = ops.stack([part.sample(x) for x in (g, *averages)], 1)  # [R, 3, n]
    sample_v, sample_floor = (part.sample(x)[:, None] for x in (v, floor))
    directions = ops.rsqrt(sample_v + sample_floor) * (corrections[:, None] * rows)
    place, origin = (self._weights(x)[:, None] for x in (own.place, own.origin))
    rows = ops.concatenate([directions, place - origin, place], 1)
    return _Piece((g, *averages), v, floor, mean_v, part.products(ops, rows))

  def _weights(self, x: Any) -> Any:
    """Numbers of parameters; 0 for what is not finite or stands for that, as -1e30 in a mask."""
    return self._ops.where(self._ops.abs(x) < FAR, x, self._ops.zeros_like(x))

  def _decide_all(
    self,
    layout: Layout,
    phi: Sequence[Any],
    products: Any,
    mean_v: Any,
    first: Any,
    statistics: Any,
    memory: Any,
    t: Any,
  ) -> tuple[Any, Any, Any]:
    """What the controller says: how much of each direction, `[B, L, 3]`, and the next state of it.

    Args:
      layout: of the parameters.
      phi: of the controller.
      products: of the directions, the way from theta_0 and theta, `[B, L, 5, 5]`.
      mean_v: without the bias of its start, `[B, L]`.
      first: RMS of the first gradient, `[B, L]`.
      statistics: averages of what it saw.
      memory: what it has added to the logarithm of the step.
      t: the number of the step, from 1.
    """
    ops = self._ops
    unit = self.units(products[..., 4, 4], layout)
    found = self._statistics(products, mean_v, first, unit, layout)
    smoothed = SMOOTHING * statistics + (1 - SMOOTHING) * found
    seen = smoothed / (1 - SMOOTHING**t)
    output = self._control(phi, self._inputs(seen, memory, t, layout))

    memory = ops.clip(memory + PACE * ops.tanh(output[..., 1]), -REACH, REACH)
    step = ops.clip(FIRST_STEP * ops.exp(output[..., 0] + memory), 0.0, LARGEST_STEP)
    weights = self.mixture(output[..., 2:])
    pairs = weights[..., None] * weights[..., None, :]
    square = ops.sum(pairs * products[..., :3, :3], (-2, -1))
    amount = step * unit * ops.rsqrt(ops.clip(square, 1.0, INFINITY))  # of an RMS of 1 at most
    return amount[..., None] * weights, smoothed, memory

  def _mix_part(self, part: Part, piece: _Piece, factors: Sequence[Any]) -> Any:
    """The update of a part, `[R, n_part]`, from the factor of each of its directions, `[R, c]`."""
    spread = [part.spread(self._ops, one) for one in factors]
    return self._mixed(piece.v, piece.floor, spread, list(piece.rows))

  def _first_rms(self, scale: Any, gradients: Sequence[Any], layout: Layout) -> Any:
    """`scale`, and where that is still 0 the RMS of the gradient, `[B, L]`."""
    ops = self._ops

    def begin() -> Any:
      finite = [ops.where(ops.isfinite(g), g, ops.zeros_like(g)) for g in gradients]
      rms = [part.rms(ops, g) for part, g in zip(layout.parts, finite)]
      return ops.where(scale > 0, scale, layout.in_order(ops, rms))

    return ops.cond(ops.all(scale > 0), lambda: scale, begin)

  def _average(self, g: Any, to_scale: Any, averages: Any, v: Any) -> Any:
    """The gradient in units of its first RMS, `[B, n]`, and the next averages and v."""
    ops = self._ops
    g = ops.where(ops.isfinite(g), g, ops.zeros_like(g))
    g = ops.clip(g * to_scale, -HUGE, HUGE)
    averages = tuple(m + (1 - b) * (g - m) for b, m in zip(BETAS[1:], averages))
    return g, averages, v + (1 - BETA_2) * (g**2 - v)

  def _mix(self, v: Any, floor: Any, factors: Any, averages: Any) -> Any:
    """The update, `[B, n]`: the averages in units of sqrt(v), times their factors."""
    mixed = sum(f * m for f, m in zip(factors, averages))
    return self._ops.rsqrt(v + floor) * mixed

  def _turned(self, updates: list[Any]) -> list[Any]:
    """The updates, those of small matrices orthogonal."""
    small = [k for k, x in enumerate(updates) if matrices.is_small(tuple(x.shape[1:]))]
    turned = self._all_orthogonal([updates[k] for k in small]) if small else []
    found = dict(zip(small, turned))
    return [found.get(k, x) for k, x in enumerate(updates)]

  def _statistics(self, products: Any, mean_v: Any, scale: Any, unit: Any, layout: Layout) -> Any:
    """What is seen of each parameter at this step, without units: `[B, L, 13]`."""
    ops = self._ops
    flat = ops.reshape(products, [*products.shape[:2], 25])
    rms = ops.sqrt(ops.clip(flat[..., ::6], 0.0, INFINITY))  # [B, L, 5]
    inverses = inverse(ops, rms)
    cosines = ops.take(flat, _PAIRS, 2) * ops.take(inverses, _FIRST, 2)
    cosines = cosines * ops.take(inverses, _SECOND, 2)
    place, size = rms[..., 3], rms[..., 4]
    ratios = [rms[..., 1], rms[..., 2], place / unit, mean_v, size / unit, unit]
    logs = ops.log(ops.clip(ops.stack(ratios, -1), 1e-6, 1e6))
    to_scale = ops.log(ops.where(scale > 0, scale, ops.ones_like(scale)))
    share = 0.5 * logs[..., 3] + to_scale + logs[..., 5] + 0.5 * ops.constant(layout.log_sizes, rms)
    share = share - ops.mean(share, 1)[:, None]  # of the gradient, among the parameters
    found = [
      cosines,
      ops.tanh(rms[..., :1] - 1),
      logs[..., :5] * ops.constant(_WEIGHTS, rms),
      0.2 * ops.clip(share, -10.0, 10.0)[..., None],
    ]
    return ops.concatenate(found, -1)

  def _inputs(self, seen: Any, memory: Any, t: Any, layout: Layout) -> Any:
    """What the network sees: `[B, L, inputs]`."""
    ops = self._ops
    like = ops.zeros_like(memory)[..., None]
    time = ops.tanh(t / ops.constant(_TIME_SCALES, seen) - 1)
    parts = [
      seen,
      ops.mean(seen, 1)[:, None] + like,
      ops.constant(_known(layout), seen) + like,
      time + like,
      memory[..., None],
    ]
    return ops.concatenate(parts, -1)

  def _control(self, phi: Sequence[Any], x: Any) -> Any:
    """The network: log step, change of the memory, logits of the mixture; `[B, L, 5]`."""
    for k, (w, b) in enumerate(zip(phi[::2], phi[1::2])):
      x = x @ w + (b if len(b.shape) == 1 else b[:, None])
      x = self._ops.tanh(x) if 2 * k + 2 < len(phi) else x
    return x


_DECAYS = Fixed(np.array([*BETAS, BETA_2], np.float32))
_TIME_SCALES = Fixed(np.array(TIME_SCALES, np.float32))
_FIRST = Fixed(np.array([0, 0, 1, 0, 1, 2], np.int32))  # of which two directions are compared;
_SECOND = Fixed(np.array([1, 2, 2, 3, 3, 3], np.int32))  # 3 is the way from theta_0
_PAIRS = Fixed(5 * _FIRST.array + _SECOND.array)
_WEIGHTS = Fixed(np.array([0.3, 0.3, 0.2, 0.1, 0.2], np.float32))  # of logarithms that are seen


@functools.lru_cache(maxsize=64)
def _known(layout: Layout) -> Fixed:
  """What is seen of parameters that never changes: `[L, 5]`."""
  last = max(len(layout.shapes) - 1, 1)
  known = [
    [
      float(len(shape) >= 2),
      math.log(_fan_in(shape)) / 5,
      math.log(size) / 10,
      k / last,
      math.log(len(layout.shapes)) / 5,
    ]
    for k, (shape, size) in enumerate(zip(layout.shapes, layout.sizes))
  ]
  return Fixed(np.array(known, np.float32))


@functools.lru_cache(maxsize=64)
def _floors(layout: Layout) -> Fixed:
  """The unit of a parameter that is 0: `[L]`."""
  floors = [
    MATRIX_FLOOR / math.sqrt(_fan_in(shape)) if len(shape) >= 2 else VECTOR_FLOOR
    for shape in layout.shapes
  ]
  return Fixed(np.array(floors, np.float32))


def _fan_in(shape: Sequence[int]) -> int:
  return math.prod(shape[:-1]) if len(shape) >= 2 else 1


def _end_to_end(ops: Any, rows: Sequence[Any]) -> Any:
  """A copy of all rows, `[B, n]`."""
  return rows[0] + 0.0 if len(rows) == 1 else ops.concatenate(rows, 1)


def _where_large(function: Callable[..., Any], ops: Any) -> Callable[..., Any]:
  """Lets a compiler make one loop of many numbers: each operation costs memory alone."""
  compiled = ops.in_one_loop(function)
  return lambda x, *more: (compiled if x.shape[1] > layouts.SAMPLE else function)(x, *more)
