"""A general rule: Adam directions, units of the parameters, and a learned controller of the step.

Nothing in it has a unit: multiplying the loss, or a weight matrix with its place in the network,
by a constant changes nothing but the last bits. It needs neither the loss nor the number of steps.
"""

from collections.abc import Callable, Sequence
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from l2l_tf.optimizers import base
from l2l_tf.optimizers import segments

BETAS = (0.0, 0.9, 0.99)  # of the averages of the gradient; 0 is the gradient itself
BETA_2 = 0.99  # of the average of its square
SMOOTHING = 0.9  # of what the controller sees
TIME_SCALES = tuple(10 ** (k / 2) for k in range(11))  # 1, 3.2, 10 ... 10^5 steps
EPSILON = 1e-10  # beside v, in units of its mean over the tensor
TINY = 1e-36  # beside v, where all of it is 0
MATRIX_FLOOR = 0.03  # of the unit of a matrix that is zero, times 1 / sqrt(fan-in)
VECTOR_FLOOR = 0.3  # of that of a vector
FIRST_STEP = 0.01  # of an untrained controller, in units
LARGEST_STEP = 0.5
PACE = 0.03  # of the memory of the step: its change in a step, in the logarithm, is at most this
REACH = 3.0  # of that memory
HUGE = 1e15  # of a gradient, in units of the first one's RMS: its square is still a number
_STATISTICS = 13
_STATIC = 5


class GeneralState(NamedTuple):
  """n coordinates and L parameters of B instances."""

  averages: tuple[tf.Tensor, ...]  # [B, n] each, of the scaled gradient, for BETAS above 0
  v: tf.Tensor  # [B, n], of its square
  theta_0: tf.Tensor  # [B, n]; 0 before the first step, where it is seen
  scale: tf.Tensor  # [B, L], RMS of the first gradient that is not zero; 0 before
  statistics: tf.Tensor  # [B, L, 13], averages of what the controller sees
  memory: tf.Tensor  # [B, L], what the controller has added to the logarithm of the step
  t: tf.Tensor  # int32 scalar, steps taken

  if not TYPE_CHECKING:  # type: ignore[misc]  # mypy knows fields and methods only
    AXES = {"scale": "BL", "statistics": "BL.", "memory": "BL"}


class General(base.Optimizer):
  """Updates each parameter by -step * unit * direction.

  The direction is a mixture of three Adam directions, m_b / sqrt(v) for b = 0, 0.9 and 0.99, of RMS
  1 at most. The unit of a parameter is the RMS of its numbers. (Of large parameters an RMS is that
  of a sample, `segments.Sample`.) The logarithm of the step and the
  mixture come from a small network, one for all parameters, that sees what has no unit: how the
  directions agree with each other and with the way from theta_0, their RMS, the number of steps on
  eleven time scales, the parameter's rank, size, fan-in and depth, and the mean of all this over
  the parameters. A coordinate whose gradient is always 0 never moves.
  """

  sees_params = True
  scale_free = True

  def __init__(self, hidden: Sequence[int] = (24, 24), seed: int = 0, name: str = "general"):
    """Makes the network; its last layer is 0: the step is 0.01 and the directions weigh the same.

    Args:
      hidden: units of its layers.
      seed: of its first values.
      name: of the module.

    Raises:
      ValueError: for layers that are not 1 to 4 of 1 to 256 units.
    """
    super().__init__(name)
    hidden = tuple(hidden)
    if not 0 < len(hidden) <= 4 or any(type(h) is not int or not 0 < h <= 256 for h in hidden):
      raise ValueError(f"hidden must be 1 to 4 layers of 1 to 256 units, got {hidden!r:.80}.")
    self.hidden = hidden
    sizes = [2 * _STATISTICS + _STATIC + len(TIME_SCALES) + 1, *hidden, len(BETAS) + 2]
    phi = []
    for k, (fan_in, fan_out) in enumerate(zip(sizes[:-1], sizes[1:])):
      last = k == len(hidden)
      w = tf.random.stateless_normal([fan_in, fan_out], [seed, k]) / math.sqrt(fan_in)
      phi.append(tf.Variable(0 * w if last else w, name=f"layer_{k + 1}/w"))
      phi.append(tf.Variable(tf.zeros([fan_out]), name=f"layer_{k + 1}/b"))
    self._phi = phi

  def config(self) -> dict[str, Any]:
    """Returns what builds this optimizer again, in JSON types."""
    return {"kind": "general", "hidden": list(self.hidden)}

  def with_phi(self, phi: Sequence[tf.Tensor]) -> base.Optimizer:
    """Returns the rule with other values of phi: `[...]`, or `[B, ...]`, one an instance."""
    return _WithPhi(self, phi)

  def units(self, square: tf.Tensor, shapes: Sequence[tuple[int, ...]]) -> tf.Tensor:
    """In what a step is counted: RMS of each parameter, of one that is 0 by its shape; `[B, L]`.

    Args:
      square: mean square of each parameter, `[B, L]`.
      shapes: of the parameters.
    """
    floors = [MATRIX_FLOOR / math.sqrt(_fan_in(s)) if len(s) >= 2 else VECTOR_FLOOR for s in shapes]
    return tf.maximum(tf.sqrt(square), tf.constant(floors, square.dtype))

  def mixture(self, logits: tf.Tensor) -> tf.Tensor:
    """What each of the directions weighs, from what the controller says of it; `[B, L, 3]` both."""
    return tf.nn.softmax(logits)

  def initial_state(self, params: base.Params) -> base.State:
    flat, count = base.flatten(params), len(_with_numbers(params))
    zeros, per_tensor = tf.zeros_like(flat), tf.zeros([flat.shape[0], count], flat.dtype)
    statistics = tf.zeros([*per_tensor.shape, _STATISTICS], flat.dtype)
    averages = tuple(zeros for _ in BETAS[1:])
    t = tf.zeros([], tf.int32)
    return GeneralState(averages, zeros, zeros, per_tensor, statistics, per_tensor, t)

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    """Returns the updates and the next state.

    Raises:
      ValueError: without `params`.
    """
    return self.step(self._phi, gradients, state, params)

  def step(
    self, phi: Sequence[tf.Tensor], gradients: base.Params, state: base.State, params: Any
  ) -> tuple[base.Params, base.State]:
    """Does what a call does, with this phi in place of its own."""
    if params is None:
      raise ValueError("General needs the parameters beside their gradients: pass `params`.")
    if len(some := _with_numbers(gradients)) < len(gradients):
      theta = {name: params[name] for name in some}
      updates, state = self.step(phi, some, state, theta) if some else ({}, state)
      return {name: updates.get(name, g) for name, g in gradients.items()}, state
    shapes = [tuple(x.shape[1:]) for x in gradients.values()]
    sizes = [math.prod(shape) for shape in shapes]
    g, theta = base.flatten(gradients), base.flatten(params)
    theta_0 = tf.cond(state.t == 0, lambda: theta, lambda: state.theta_0)
    t = tf.cast(state.t + 1, g.dtype)

    scale = _first_rms(state.scale, g, sizes)
    to_scale = segments.spread(segments.inverse(scale), sizes)
    g, averages, v = _averaged(g, to_scale, state.averages, state.v)
    mean_v = segments.sums(v, sizes) / sizes
    floor = segments.spread(EPSILON * mean_v + TINY, sizes)
    corrections = [tf.sqrt(1 - BETA_2**t) / (1 - b**t) for b in BETAS]  # of the averages' start
    sample = segments.Sample(shapes)
    inverse, place = tf.math.rsqrt(sample(v) + sample(floor)), sample(theta)
    directions = [c * inverse * sample(m) for c, m in zip(corrections, (g, *averages))]
    products = sample.products([*directions, place - sample(theta_0), place])  # [B, L, 5, 5]

    unit = self.units(products[..., 4, 4], shapes)
    statistics = _statistics(products, mean_v / (1 - BETA_2**t), scale, unit, sizes)
    smoothed = SMOOTHING * state.statistics + (1 - SMOOTHING) * statistics
    seen = smoothed / (1 - SMOOTHING**t)
    output = _control(phi, _inputs(seen, state.memory, t, shapes, sizes))

    memory = tf.clip_by_value(state.memory + PACE * tf.tanh(output[..., 1]), -REACH, REACH)
    step = tf.minimum(FIRST_STEP * tf.exp(output[..., 0] + memory), LARGEST_STEP)
    weights = self.mixture(output[..., 2:])
    square = tf.einsum("bli,blij,blj->bl", weights, products[..., :3, :3], weights)
    amount = step * unit / tf.maximum(tf.sqrt(tf.maximum(square, 0.0)), 1.0)
    factors = [-amount * weights[..., k] * c for k, c in enumerate(corrections)]
    update = _mixed(v, floor, [segments.spread(f, sizes) for f in factors], [g, *averages])
    state = GeneralState(averages, v, theta_0, scale, smoothed, memory, state.t + 1)
    return base.unflatten(update, gradients), state


@snt.allow_empty_variables
class _WithPhi(base.Optimizer):
  """A rule with values in place of its variables."""

  sees_params = True
  scale_free = True

  def __init__(self, rule: General, phi: Sequence[tf.Tensor]):
    super().__init__(rule.name)
    self._rule = [rule]  # in a list that no module looks into: its variables are not ours
    self._values = phi

  def initial_state(self, params: base.Params) -> base.State:
    return self._rule[0].initial_state(params)

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    return self._rule[0].step(self._values, gradients, state, params)


def _with_numbers(tensors: base.Params) -> base.Params:
  """Those that have any: a parameter of shape [0] is nothing to have a mean of."""
  return {name: x for name, x in tensors.items() if math.prod(x.shape[1:])}


def _inputs(
  seen: tf.Tensor, memory: tf.Tensor, t: tf.Tensor, shapes: Sequence[Any], sizes: Sequence[int]
) -> tf.Tensor:
  """What the network sees: `[B, L, inputs]`."""
  last = max(len(shapes) - 1, 1)
  static = [
    [
      float(len(shape) >= 2),
      math.log(_fan_in(shape)) / 5,
      math.log(size) / 10,
      k / last,
      math.log(len(shapes)) / 5,
    ]
    for k, (shape, size) in enumerate(zip(shapes, sizes))
  ]
  like = tf.zeros_like(memory)[..., tf.newaxis]
  time = tf.tanh(t / tf.constant(TIME_SCALES, seen.dtype) - 1)
  parts = [
    seen,
    tf.reduce_mean(seen, 1, keepdims=True) + like,
    tf.constant(static, seen.dtype) + like,
    time + like,
    memory[..., tf.newaxis],
  ]
  return tf.concat(parts, -1)


def _control(phi: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
  """The network: log step, change of the memory, logits of the mixture; `[B, L, 5]`."""
  layers = list(zip(phi[::2], phi[1::2]))
  for k, (w, b) in enumerate(layers):
    x = x @ w + (b if len(b.shape) == 1 else b[:, tf.newaxis])
    x = tf.tanh(x) if k < len(layers) - 1 else x
  return x


def _fan_in(shape: tuple[int, ...]) -> int:
  return math.prod(shape[:-1]) if len(shape) >= 2 else 1


def _statistics(
  products: tf.Tensor,
  mean_v: tf.Tensor,
  scale: tf.Tensor,
  unit: tf.Tensor,
  sizes: Sequence[int],
) -> tf.Tensor:
  """What is seen of each parameter at this step, without units: `[B, L, 13]`."""
  squares = tf.linalg.diag_part(products)  # [B, L, 5]
  rms = tf.sqrt(tf.maximum(squares, 0.0))
  inverse = segments.inverse(rms)
  cosines = products * inverse[..., tf.newaxis] * inverse[..., tf.newaxis, :]
  pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
  growth = 0.5 * _log(mean_v)
  gradient = growth + tf.math.log(tf.where(scale > 0, scale, tf.ones_like(scale)))
  share = gradient + _log(unit) + 0.5 * tf.math.log(tf.constant(sizes, rms.dtype))
  share = share - tf.reduce_mean(share, 1, keepdims=True)  # of the gradient, among the parameters
  found = [cosines[..., i, j] for i, j in pairs]
  found += [tf.tanh(rms[..., 0] - 1), *(0.3 * _log(rms[..., k]) for k in (1, 2))]
  found += [0.2 * _log(rms[..., 3] * segments.inverse(unit)), 0.2 * growth]
  found += [0.2 * _log(rms[..., 4] / unit), 0.2 * tf.clip_by_value(share, -10.0, 10.0)]
  return tf.stack(found, -1)


def _log(x: tf.Tensor) -> tf.Tensor:
  """The logarithm within 10^-6..10^6."""
  return tf.math.log(tf.clip_by_value(x, 1e-6, 1e6))


def _in_one_loop(function: Callable[..., Any]) -> Callable[..., Any]:
  """Lets XLA make one loop of element-wise operations on many numbers: each costs memory alone."""
  compiled = tf.function(function, autograph=False, jit_compile=True)
  return lambda x, *more: (compiled if x.shape[1] > segments.SAMPLE else function)(x, *more)


@_in_one_loop
def _averaged(g: Any, inverse_scale: Any, averages: Any, v: Any) -> Any:
  """The gradient in units of its first RMS, `[B, n]`, and the next averages and v."""
  g = tf.where(tf.math.is_finite(g), g, tf.zeros_like(g))
  g = tf.clip_by_value(g * inverse_scale, -HUGE, HUGE)
  averages = tuple(m + (1 - b) * (g - m) for b, m in zip(BETAS[1:], averages))
  return g, averages, v + (1 - BETA_2) * (g**2 - v)


@_in_one_loop
def _mixed(v: Any, floor: Any, factors: Any, averages: Any) -> Any:
  """The update, `[B, n]`: the averages in units of sqrt(v), times their factors."""
  return tf.math.rsqrt(v + floor) * sum(f * m for f, m in zip(factors, averages))


def _first_rms(scale: tf.Tensor, g: tf.Tensor, sizes: Sequence[int]) -> tf.Tensor:
  """`scale`, and where that is still 0 the RMS of the gradient, `[B, L]`."""

  def begin() -> tf.Tensor:
    finite = tf.where(tf.math.is_finite(g), g, tf.zeros_like(g))
    return tf.where(scale > 0, scale, segments.rms(finite, sizes))

  return tf.cond(tf.reduce_all(scale > 0), lambda: scale, begin)
