"""The coordinatewise LSTM optimizer (paper section 2.1, Figure 3)."""

from collections.abc import Callable, Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from l2l_tf.optimizers import base
from l2l_tf.optimizers import lstm
from l2l_tf.optimizers import preprocessing as preprocessing_lib

MAX_PHI = 2**24  # numbers in phi: as many as a file of weights may hold (storage.files)


class CoordinatewiseLSTM(base.Optimizer):
  """One small LSTM, shared by all coordinates, each coordinate with its own hidden state.

  The update of a coordinate is `output_scale * (h W + b)` with h the activation of the last layer,
  so the result does not depend on the order of the coordinates.
  """

  coordinatewise = True
  divisible = True
  outgoing: Callable[[tf.Tensor], tf.Tensor] | None = None
  """What `run_layers` does to the activations of each layer."""

  def __init__(
    self,
    layer_sizes: Sequence[int] = (20, 20),
    preprocessing: Any = preprocessing_lib.LogAndSign(),
    output_scale: float = 0.1,
    seed: int = 0,
    dtype: Any = tf.float32,
    name: str = "coordinatewise_lstm",
  ):
    """Samples phi.

    Args:
      layer_sizes: units of each LSTM layer; two layers of 20 in the paper.
      preprocessing: `LogAndSign` or `Rescale` of `l2l_tf.preprocessing`.
      output_scale: constant on the output (postprocessing); 0.1 for MNIST in the paper, 1 is none.
      seed: of the initial phi.
      dtype: float type of phi and of the states.
      name: of the module.

    Raises:
      ValueError: for no layers or a layer without units.
    """
    super().__init__(name)
    check_sizes(layer_sizes, output_scale)
    self.layer_sizes = tuple(layer_sizes)
    self.preprocessing = preprocessing
    self.output_scale = output_scale
    seeds = tf.random.split([seed, 0], len(layer_sizes) + 1)
    self.layers = make_layers(preprocessing.num_features, layer_sizes, seeds, dtype)
    self.linear = Linear(layer_sizes[-1], 1, seeds[-1], dtype)

  def config(self) -> dict[str, Any]:
    """Returns what builds this optimizer again, in JSON types."""
    return {
      "kind": "lstm",
      "layer_sizes": list(self.layer_sizes),
      "preprocessing": preprocessing_lib.to_config(self.preprocessing),
      "output_scale": self.output_scale,
      **base.dtype_config(self.linear.b),
    }

  def with_phi(self, phi: Sequence[tf.Tensor]) -> base.Optimizer:
    """Returns this optimizer with values for its phi: `[B, ...]` each, one an instance."""
    values = {v.ref(): value for v, value in zip(self.trainable_variables, phi, strict=True)}
    layers = [(values[x.w_gates.ref()], values[x.b_gates.ref()]) for x in self.layers]
    return _WithPhi(self, layers, (values[self.linear.w.ref()], values[self.linear.b.ref()]))

  def initial_state(self, params: base.Params) -> tuple[lstm.LSTMState, ...]:
    """Returns zeros: for each layer `hidden` and `cell`, `[units, B, n]` each."""
    return initial_layers(self.layer_sizes, params, self.linear.b.dtype)

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    flat = base.flatten(gradients)  # [B, n]
    activation = self.preprocessing(tf.reshape(flat, [-1]))  # [features, B n]
    activation, next_state = run_layers(self.layers, activation, state, self.outgoing)
    outputs = self.output_scale * self.linear(activation)  # [1, B n]
    return base.unflatten(tf.reshape(outputs, flat.shape), gradients), next_state


@snt.allow_empty_variables
class _WithPhi(base.Optimizer):
  """A `CoordinatewiseLSTM` with values in place of its variables, other ones for each instance."""

  def __init__(
    self,
    optimizer: CoordinatewiseLSTM,
    layers: Sequence[tuple[tf.Tensor, tf.Tensor]],
    linear: tuple[tf.Tensor, tf.Tensor],
  ):
    """Takes W and b of each layer and of the linear map, `[B, ...]`."""
    super().__init__(optimizer.name)
    self.coordinatewise = optimizer.coordinatewise
    self.divisible = optimizer.divisible
    self._layer_sizes = optimizer.layer_sizes
    self._preprocessing = optimizer.preprocessing
    self._output_scale = optimizer.output_scale
    self._outgoing = optimizer.outgoing
    self._layers, self._linear = layers, linear

  def initial_state(self, params: base.Params) -> tuple[lstm.InstancesState, ...]:
    """Returns zeros: for each layer `hidden` and `cell`, `[B, units, n]` each."""
    num_tasks, n = base.flatten(params).shape
    dtype = self._linear[1].dtype
    zeros = [tf.zeros([num_tasks, units, n], dtype) for units in self._layer_sizes]
    return tuple(lstm.InstancesState(zero, zero) for zero in zeros)

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    flat = base.flatten(gradients)  # [B, n]
    features = tf.reshape(self._preprocessing(tf.reshape(flat, [-1])), [-1, *flat.shape])
    activation, next_state = _exchanged(features), []
    for (w_gates, b_gates), layer_state in zip(self._layers, state):
      layer_state = lstm.lstm_cells(activation, layer_state, w_gates, b_gates)
      if self._outgoing is not None:
        hidden = _exchanged(self._outgoing(_exchanged(layer_state.hidden)))
        layer_state = layer_state._replace(hidden=hidden)
      activation = layer_state.hidden
      next_state.append(layer_state)
    w, b = self._linear
    outputs = tf.matmul(w, activation, transpose_a=True)[:, 0] + b
    return base.unflatten(self._output_scale * outputs, gradients), tuple(next_state)


def _exchanged(x: tf.Tensor) -> tf.Tensor:
  """`[units, B, n]` from `[B, units, n]`, and back."""
  return tf.transpose(x, [1, 0, 2])


def check_sizes(layer_sizes: Sequence[int], output_scale: float) -> None:
  """Raises ValueError unless these can make a learned optimizer of at most `MAX_PHI` numbers."""
  if not layer_sizes or any(type(k) is not int or not 0 < k <= 1024 for k in layer_sizes):
    raise ValueError(f"layer_sizes must be one or more integers of 1..1024, got {layer_sizes}.")
  size = sum(4 * units * (below + units) for below, units in zip([0, *layer_sizes], layer_sizes))
  if size > MAX_PHI:  # before anything is allocated: sizes may come from a hostile file
    raise ValueError(f"layer_sizes call for {size} weights, more than {MAX_PHI}.")
  if type(output_scale) not in (int, float) or not 0 < abs(output_scale) <= 1e30:
    raise ValueError(f"output_scale must be a number other than 0, got {output_scale!r}.")


def make_layers(
  num_features: int, layer_sizes: Sequence[int], seeds: tf.Tensor, dtype: Any
) -> list[lstm.LSTM]:
  """Returns the layers `lstm_1`, `lstm_2`, ... on `num_features` inputs, a seed each."""
  sizes = [num_features, *layer_sizes]
  return [
    lstm.LSTM(sizes[i], sizes[i + 1], seeds[i], dtype, name=f"lstm_{i + 1}")
    for i in range(len(layer_sizes))
  ]


def initial_layers(
  layer_sizes: Sequence[int], params: base.Params, dtype: Any
) -> tuple[lstm.LSTMState, ...]:
  """Returns zeros: for each layer `hidden` and `cell`, `[units, B, n]` each."""
  shape = [next(iter(params.values())).shape[0], base.num_coordinates(params)]
  zeros = [tf.zeros([units, *shape], dtype) for units in layer_sizes]
  return tuple(lstm.LSTMState(zero, zero) for zero in zeros)


def run_layers(
  layers: Sequence[lstm.LSTM],
  inputs: tf.Tensor,
  state: tuple[lstm.LSTMState, ...],
  outgoing: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tuple[lstm.LSTMState, ...]]:
  """One step of a stack of layers for all coordinates.

  Args:
    layers: bottom first.
    inputs: `[features, B n]`.
    state: for each layer `[units, B, n]`.
    outgoing: maps the activations `[units, B, n]` of each layer to what leaves it, upwards and into
      its own next step; None leaves them as they are.

  Returns:
    What leaves the last layer, `[units, B n]`, and the next state.
  """
  activation, next_state = inputs, []
  for layer, layer_state in zip(layers, state):
    rows = lstm.LSTMState(*(tf.reshape(s, [layer.units, -1]) for s in layer_state))
    rows = layer(activation, rows)
    activation = rows.hidden
    shape = layer_state.hidden.shape
    hidden, cell = (tf.reshape(s, shape) for s in rows)
    if outgoing is not None:
      hidden = outgoing(hidden)
      activation = tf.reshape(hidden, activation.shape)
    next_state.append(lstm.LSTMState(hidden, cell))
  return activation, tuple(next_state)


class Linear(snt.Module):
  """A linear map of the last activation of a coordinate, `[units, rows] -> [outputs, rows]`."""

  def __init__(
    self,
    units: int,
    outputs: int,
    seed: tf.Tensor,
    dtype: Any,
    gain: float = 1.0,
    name: str = "linear",
  ):
    """Samples w from a normal truncated at two sigma, sigma = gain / sqrt(units); b is zero."""
    super().__init__(name)
    sigma = gain * units**-0.5
    init = tf.random.stateless_truncated_normal([units, outputs], seed, stddev=sigma, dtype=dtype)
    self.w = tf.Variable(init, name="w")
    self.b = tf.Variable(tf.zeros([outputs], dtype), name="b")

  def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
    return tf.matmul(self.w, inputs, transpose_a=True) + self.b[:, tf.newaxis]
