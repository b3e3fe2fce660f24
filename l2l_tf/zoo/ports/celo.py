"""Celo and Celo-Adam, published general learned optimizers, with their trained weights.

Moudgil et al. 2025, "Celo: Training Versatile Learned Optimizers on a Compute Diet", TMLR,
arXiv 2501.12670; repository amoudgl/celo, commit 66d9761 (MIT; zoo/celo/LICENSE.txt). The formulas
were written anew from the original's behaviour; tests hold them against its trajectories.
"""

import functools
import math
import os

import keras
import numpy as np
import tensorflow as tf

from l2l_tf.zoo.ports.flat import recorded_loss

BETAS = (0.9, 0.99, 0.999)  # of momenta and of factored second moments
BETA_V = 0.999
MAX_GRADIENT = 1000.0
STEP = 1e-3
NUM_DECAYS = 10
FAR = 999999999999.0  # above every loss
KNEES = (0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1)  # of the run, for features of progress


@functools.cache
def weights(name: str) -> dict[str, np.ndarray]:
  """The trained weights, "celo" or "celo_adam", float32 by their names in the original."""
  path = os.path.join(os.path.dirname(__file__), os.pardir, "celo", f"{name}.npz")
  with np.load(path, allow_pickle=False) as archive:
    return {key: archive[key] for key in archive}


class Scheduled(keras.optimizers.Optimizer):
  """An optimizer whose rate an LSTM of 64 units sets, from the loss and the progress of the run."""

  weights_name = ""

  def __init__(self, num_steps: int, learning_rate=1.0, name=None, **kwargs):
    """Takes the horizon.

    Args:
      num_steps: T, how many steps it is to make; trained for 100 to 2,000.
      learning_rate: a factor on the updates, 1 in the original.
      name: Keras's.
      **kwargs: Keras's.

    Raises:
      ValueError: if `num_steps` is less than 1.
    """
    if num_steps < 1:
      raise ValueError(f"num_steps must be at least 1, got {num_steps}.")
    super().__init__(learning_rate, name=name, **kwargs)
    self.num_steps = num_steps
    self._weights = weights(self.weights_name)
    self._loss = None

  def get_config(self):
    """Keras's config and the horizon."""
    return {**super().get_config(), "num_steps": self.num_steps}

  def build(self, variables):
    """Creates the states."""
    if self.built:
      return
    super().build(variables)
    w = self._weights
    starts = {
      "averages": np.zeros(NUM_DECAYS),
      "lowest": np.full(NUM_DECAYS, FAR),
      "hidden": w["lstm_init_state/hidden"][0],
      "cell": w["lstm_init_state/cell"][0],
    }
    self._schedule = {
      name: self.add_variable(value.shape, lambda *_, x=value, **__: x, "float32", name=name)
      for name, value in starts.items()
    }
    self.build_states(variables)

  def build_states(self, variables):
    """Creates the states of the variables."""
    raise NotImplementedError

  def scale_loss(self, loss):
    """Takes the loss in passing: Keras's `fit` calls it just before differentiation."""
    self._loss = tf.cast(loss, tf.float32)
    return super().scale_loss(loss)

  def _backend_update_step(self, grads, trainable_variables, learning_rate):
    """Keras's hook: sets the rate, then updates variable by variable."""
    rate = tf.cast(learning_rate, tf.float32) * self.schedule(recorded_loss(self))
    super()._backend_update_step(grads, trainable_variables, rate)

  def schedule(self, loss: tf.Tensor) -> tf.Tensor:
    """Takes one step of the scheduler; returns the factor on the updates, `[]`."""
    state = {name: variable.value for name, variable in self._schedule.items()}
    n = tf.cast(self.iterations.value, tf.float32)
    features = tf.concat([self._progress(n), self._loss_features(loss, n, state)], 0)[tf.newaxis]
    w = self._weights
    u = _linear(w, "linear_2", features) + tf.nn.relu(_linear(w, "linear_1", features))
    z = _linear(w, "rnn/linear", tf.concat([u, state["hidden"][tf.newaxis]], 1))
    i, g, f, o = tf.split(z[0], 4)
    cell = tf.sigmoid(f + 1) * state["cell"] + tf.sigmoid(i) * tf.tanh(g)
    hidden = tf.sigmoid(o) * tf.tanh(cell)
    state["cell"].assign(cell)
    state["hidden"].assign(hidden)
    return 0.1 * tf.exp(_linear(w, "step_size", hidden[tf.newaxis])[0, 0])

  def _progress(self, n) -> tf.Tensor:
    return tf.tanh(10 * (n / self.num_steps - tf.constant(KNEES)))

  def _loss_features(self, loss, n, state) -> tf.Tensor:
    """Where the averaged losses lie between their minima and the slower averages: `[9]`."""
    scales = 10 ** np.linspace(1, math.log10(self.num_steps), NUM_DECAYS)
    decays = tf.constant(np.exp(-1 / scales), tf.float32)
    correction = 1 - decays ** (n + 1)
    averages, lowest = state["averages"], state["lowest"]
    cap = tf.where(n == 0, loss, tf.reduce_max(averages / correction))
    new = decays * averages + (1 - decays) * tf.minimum(2 * tf.abs(cap), loss)
    corrected = new / correction
    low = tf.minimum(lowest, corrected)
    averages.assign(new)
    lowest.assign(low)
    span = tf.maximum(corrected[1:] - low[:-1], 1e-8)
    features = tf.clip_by_value((corrected[:-1] - low[:-1]) / span - 1, -1, 1)
    return tf.where(n < 2, tf.zeros_like(features), features)


class CeloAdam(Scheduled):
  """Adam whose rate the scheduler sets."""

  weights_name = "celo_adam"

  def build_states(self, variables):
    """Creates momentum and second moment of each variable."""
    self._m, self._v = self.add_optimizer_variables(variables, ["m", "v"])

  def update_step(self, gradient, variable, learning_rate):
    """Keras's hook for one variable."""
    index = self._get_variable_index(variable)
    m, v = self._m[index].value, self._v[index].value
    g = _clipped(gradient)
    t = tf.cast(self.iterations.value + 1, tf.float32)
    m.assign(BETAS[0] * m + (1 - BETAS[0]) * g)
    v.assign(BETA_V * v + (1 - BETA_V) * tf.square(g))
    m_hat, v_hat = m / (1 - BETAS[0] ** t), v / (1 - BETA_V**t)
    step = STEP * learning_rate * m_hat / (1e-8 + tf.sqrt(v_hat + 1e-10))
    variable.assign_sub(tf.cast(step, variable.dtype))


class Celo(Scheduled):
  """A perceptron on 30 normalized statistics of each parameter, scaled by the scheduler."""

  weights_name = "celo"

  def build_states(self, variables):
    """Creates three momenta, a second moment and factored ones of each variable."""
    self._m, self._v, self._rows, self._columns = [], [], [], []
    for variable in variables:
      shape = tuple(variable.shape)
      row, column = _factored_shapes(shape)
      kept = [("m", (*shape, 3), self._m), ("v", (*shape, 1), self._v)]
      kept += [("row", (*row, 3), self._rows)]
      kept += [("column", (*column, 3), self._columns)] if len(shape) > 1 else []
      for name, size, states in kept:
        states.append(self.add_variable(size, "zeros", "float32", name=name))
      if len(shape) < 2:
        self._columns.append(None)

  def update_step(self, gradient, variable, learning_rate):
    """Keras's hook for one variable."""
    k = self._get_variable_index(variable)
    g, betas = _clipped(gradient)[..., tf.newaxis], tf.constant(BETAS)
    x = tf.cast(variable, tf.float32)[..., tf.newaxis]
    m, v = self._m[k].value, self._v[k].value
    m.assign(betas * m + (1 - betas) * g)
    v.assign(BETA_V * v + (1 - BETA_V) * tf.square(g))
    row, column, factor, momentum_factor = self._factored(k, g, betas)
    rsqrt_v = tf.math.rsqrt(v + 1e-6)
    inputs = [g, tf.clip_by_value(g, -0.1, 0.1), x, m, v, m * rsqrt_v, rsqrt_v, g * factor]
    inputs += [g * rsqrt_v, row, column, tf.math.rsqrt(row + 1e-8), tf.math.rsqrt(column + 1e-8)]
    inputs += [m * momentum_factor]
    shape = tf.shape(x)[:-1]
    inputs = [tf.broadcast_to(i, tf.concat([shape, [i.shape[-1]]], 0)) for i in inputs]
    features = tf.reshape(tf.concat(inputs, -1), [-1, 30])
    features *= tf.math.rsqrt(1e-5 + tf.reduce_mean(tf.square(features), 0))
    direction, log_size = self._network(features)
    unit = tf.sqrt(tf.reduce_mean(tf.square(x)) + 1e-9)
    step = STEP * learning_rate * unit * direction * tf.exp(STEP * log_size)
    variable.assign_sub(tf.cast(tf.reshape(step, shape), variable.dtype))

  def _factored(self, k: int, g, betas):
    """Updates the factored second moments; returns them and what they divide g and m by."""
    q = tf.square(g) + 1e-30
    row = self._rows[k].value
    if self._columns[k] is None:
      row.assign(betas * row + (1 - betas) * q)
      d = tf.convert_to_tensor(row)
      return d, d, tf.math.rsqrt(tf.maximum(d + 1e-9, 1e-9)), tf.math.rsqrt(d)
    column = self._columns[k].value
    a, b = _factored_axes(tuple(g.shape[:-1]))
    row.assign(betas * row + (1 - betas) * tf.reduce_mean(q, b, keepdims=True))
    column.assign(betas * column + (1 - betas) * tf.reduce_mean(q, a, keepdims=True))
    share = row / (tf.reduce_mean(row, a, keepdims=True) + 1e-9)
    factor = tf.math.rsqrt(tf.maximum(share, 1e-9)) * tf.math.rsqrt(tf.maximum(column, 1e-9))
    return tf.convert_to_tensor(row), tf.convert_to_tensor(column), factor, factor

  def _network(self, features):
    """A perceptron 30-4-4-3; returns two of its three outputs, `[n]` each."""
    w = {name.removeprefix("ff_mod_stack/~/"): value for name, value in self._weights.items()}
    first = np.concatenate([w[f"w0__{j}"][0] for j in range(14)], 0)
    y = tf.nn.relu(tf.matmul(features, first) + w["b0"][0])
    y = tf.nn.relu(tf.matmul(y, w["w1"][0]) + w["b1"][0])
    y = tf.matmul(y, w["w2"][0]) + w["b2"][0]
    return y[:, 0], y[:, 1]


def _linear(w, name: str, x: tf.Tensor) -> tf.Tensor:
  return tf.matmul(x, w[f"rnn_params/{name}/w"]) + w[f"rnn_params/{name}/b"]


def _clipped(gradient) -> tf.Tensor:
  g = tf.cast(tf.convert_to_tensor(gradient), tf.float32)
  return tf.clip_by_value(g, -MAX_GRADIENT, MAX_GRADIENT)


def _factored_axes(shape: tuple[int, ...]) -> tuple[int, int]:
  """The second longest axis and the longest; of equal ones the later counts as longer."""
  order = np.argsort(shape, kind="stable")
  return int(order[-2]), int(order[-1])


def _factored_shapes(shape: tuple[int, ...]) -> tuple[tuple, tuple]:
  """Shapes of the means over the longest axis and over the second longest, which are kept as 1."""
  if len(shape) < 2:
    return shape, shape
  a, b = _factored_axes(shape)
  return tuple(1 if i == b else s for i, s in enumerate(shape)), tuple(
    1 if i == a else s for i, s in enumerate(shape)
  )
