"""The LSTM layer inside the learned optimizers."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sonnet as snt
import tensorflow as tf

from l2l_tf.optimizers import lstm_kernel


class LSTMState(NamedTuple):
  """State of one layer for every coordinate; features come first, which is faster on a CPU."""

  hidden: tf.Tensor  # [units, rows], the outgoing activation
  cell: tf.Tensor  # [units, rows]


def lstm_cell(
  inputs: tf.Tensor, state: LSTMState, w_gates: tf.Tensor, b_gates: tf.Tensor
) -> LSTMState:
  """One step of an LSTM without peepholes (Hochreiter and Schmidhuber 1997, Zaremba et al. 2015).

    i, f, g, o = split(W^T [x, h] + b)
    c' = sigmoid(f + 1) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')

  Args:
    inputs: x `[features, rows]`, a column a coordinate.
    state: h and c, `[units, rows]` each.
    w_gates: W `[features + units, 4 units]`; its rows are the features, then h.
    b_gates: b `[4 units]`. The 1 on the forget gate is added here, not stored.

  Returns:
    The next state; its `hidden` is the output.
  """
  cell = compiled_cell if lstm_kernel.serves(inputs, state.cell.shape[0]) else plain_cell
  return LSTMState(*cell(inputs, state.hidden, state.cell, w_gates, b_gates))


@tf.custom_gradient
def plain_cell(inputs: Any, hidden: Any, cell: Any, w_gates: Any, b_gates: Any) -> Any:
  """`lstm_cell`, with its gradient by hand: autodiff keeps and visits far more."""
  features, units = inputs.shape[0], cell.shape[0]
  scale, forget_bias = _scale_and_forget_bias(units, w_gates.dtype)
  weights = tf.concat([w_gates, [b_gates + forget_bias]], axis=0) * scale
  xh1 = tf.concat([inputs, hidden, tf.ones_like(hidden[:1])], axis=0)
  t = tf.tanh(tf.matmul(weights, xh1, transpose_a=True))
  i, f, g, o = tf.split(t, 4, axis=0)
  next_cell = 0.5 * ((1 + f) * cell + (1 + i) * g)
  squashed = tf.tanh(next_cell)

  def gradient(d_hidden: Any, d_next_cell: Any) -> tuple[Any, ...]:
    half = 0.5 * d_hidden
    d_cell = 0.5 * (d_next_cell + _d_tanh(squashed, half * (1 + o)))  # halved
    d_t = tf.concat([g * d_cell, cell * d_cell, (1 + i) * d_cell, squashed * half], axis=0)
    d_z = _d_tanh(t, d_t)
    d_inputs, d_state = tf.split(tf.matmul(weights[:-1], d_z), [features, units], axis=0)
    # On a CPU this einsum takes less than half the time of the same matmul.
    d_weights = tf.einsum("fr,gr->fg", xh1, d_z) * scale
    return d_inputs, d_state, (1 + f) * d_cell, d_weights[:-1], d_weights[-1]

  return (0.5 * (1 + o) * squashed, next_cell), gradient


@tf.custom_gradient
def compiled_cell(*arguments: Any) -> Any:
  """`plain_cell` by `lstm_kernel`."""
  return lstm_kernel.cell(*arguments), lambda *d_outputs: _gradient(*arguments, *d_outputs)


@tf.custom_gradient
def _gradient(*arguments: Any) -> Any:
  """The gradient of `compiled_cell`; its own derivatives, seldom asked for, are `plain_cell`'s."""

  def second(*d_outputs: Any) -> Any:
    with tf.GradientTape() as tape:
      tape.watch(arguments)
      with tf.GradientTape() as inner:
        inner.watch(arguments[:5])
        outputs = plain_cell(*arguments[:5])
      first = inner.gradient(outputs, arguments[:5], output_gradients=arguments[5:])
    return tape.gradient(first, arguments, output_gradients=d_outputs)

  return lstm_kernel.gradient(*arguments), second


class InstancesState(NamedTuple):
  """State of one layer for B instances that have weights of their own: products batch over B."""

  hidden: tf.Tensor  # [B, units, n]
  cell: tf.Tensor  # [B, units, n]

  if not TYPE_CHECKING:  # type: ignore[misc]  # mypy knows fields and methods only
    AXES = {"hidden": "B.n", "cell": "B.n"}


def lstm_cells(
  inputs: tf.Tensor, state: InstancesState, w_gates: tf.Tensor, b_gates: tf.Tensor
) -> InstancesState:
  """Does what `lstm_cell` does, with weights for each of B instances.

  Args:
    inputs: x `[B, features, n]`.
    state: h and c.
    w_gates: W `[B, features + units, 4 units]`.
    b_gates: b `[B, 4 units]`.
  """
  units = state.cell.shape[1]
  scale, forget_bias = _scale_and_forget_bias(units, w_gates.dtype)
  xh = tf.concat([inputs, state.hidden], axis=1)
  biases = (b_gates + forget_bias)[..., tf.newaxis] * scale[:, tf.newaxis]
  t = tf.tanh(tf.matmul(w_gates * scale, xh, transpose_a=True) + biases)
  i, f, g, o = tf.split(t, 4, axis=1)
  next_cell = 0.5 * ((1 + f) * state.cell + (1 + i) * g)
  return InstancesState(0.5 * (1 + o) * tf.tanh(next_cell), next_cell)


def _scale_and_forget_bias(units: int, dtype: Any) -> tuple[tf.Tensor, tf.Tensor]:
  """What one tanh for all gates asks for, `[4 units]` each.

  sigmoid(z) = (1 + tanh(z / 2)) / 2: a tanh takes half the time of sigmoids.
  """
  scale = tf.constant(np.repeat([0.5, 0.5, 1.0, 0.5], units), dtype)
  return scale, tf.constant(np.repeat([0.0, 1.0, 0.0, 0.0], units), dtype)


def _d_tanh(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
  """The gradient behind y = tanh(x), d_y (1 - y^2), in one visit of both."""
  return tf.raw_ops.TanhGrad(y=y, dy=d_y)


class LSTM(snt.Module):
  """One LSTM layer: the variables `w_gates` and `b_gates` of `lstm_cell`."""

  def __init__(self, num_features: int, units: int, seed: tf.Tensor, dtype: Any, name: str):
    """Samples W from a normal truncated at two sigma, sigma = 1 / sqrt(fan in), as Sonnet does."""
    super().__init__(name)
    self.units = units
    fan_in = num_features + units
    shape = [fan_in, 4 * units]
    init = tf.random.stateless_truncated_normal(shape, seed, stddev=fan_in**-0.5, dtype=dtype)
    self.w_gates = tf.Variable(init, name="w_gates")
    self.b_gates = tf.Variable(tf.zeros([4 * units], dtype), name="b_gates")

  def __call__(self, inputs: tf.Tensor, state: LSTMState) -> LSTMState:
    # Read here: under a strategy an eager `custom_gradient` would ask for the variables.
    w_gates, b_gates = tf.convert_to_tensor(self.w_gates), tf.convert_to_tensor(self.b_gates)
    return lstm_cell(inputs, state, w_gates, b_gates)
