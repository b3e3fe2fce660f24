"""The paper's LSTM with a controller of the length of its steps, as an optimizer of one's own.

python bin/evaluate.py --optimizer=results/step_control \\
  --user_optimizer=benchmarks.step_control:lstm

The updates are those of `mnist_lstm`, whose phi stays as it is, times a factor for each tensor of
parameters. The factor follows from two cosines: of the last update with the descent direction now
(hypergradient descent, Baydin et al. 2018), and of the last gradient with this one. Six numbers say
how; `benchmarks.step_control_search` finds them.
"""

from typing import Any, NamedTuple

import numpy as np
import sonnet as snt
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.optimizers import base
from l2l_tf.storage import optimizer_files

# Units of the six numbers, and where the search begins. In order: the logarithm of the factor at
# first; what a cosine of the update, one of the gradient, and each step add to it; what a mean of
# each cosine adds for the moment.
UNITS = (0.25, 0.5, 0.2, 0.012, 0.6, 0.8)
START = (-0.36, 1.5, 0.0, 0.01, 0.0, 0.0)
LOWEST, HIGHEST = -4.0, 1.0  # logarithms of the factor
DECAY = 0.8  # of the means of the cosines


class State(NamedTuple):
  """What is remembered; the dictionaries are by name, `[B]` each."""

  inner: Any  # of the LSTM
  updates: tf.Tensor  # [B, n], the last
  gradients: tf.Tensor  # [B, n], the last
  level: dict[str, tf.Tensor]  # the logarithm of the factor, without what means add
  along: dict[str, tf.Tensor]  # mean cosine of update and descent
  alike: dict[str, tf.Tensor]  # mean cosine of gradients


@snt.allow_empty_variables
class StepControl(base.Optimizer):
  """Another optimizer, whose updates of each tensor are made longer or shorter."""

  def __init__(self, optimizer: base.Optimizer, numbers: Any = START):
    """Takes the optimizer, whose phi is not trained here, and six numbers or `[6, B]`."""
    super().__init__("step_control")
    self._inner = lambda: optimizer  # out of sight of `trainable_variables`
    self._units = tf.constant(UNITS)
    self.numbers = numbers
    if not tf.is_tensor(numbers):
      self.numbers = tf.Variable(np.divide(numbers, UNITS), dtype=tf.float32, name="numbers")

  def initial_state(self, params: base.Params) -> State:
    flat = base.flatten(params)
    zeros = {name: tf.zeros_like(flat[:, 0]) for name in params}
    still = tf.zeros_like(flat)
    return State(self._inner().initial_state(params), still, still, zeros, zeros, zeros)

  def __call__(
    self, gradients: base.Params, state: State, params: base.Params | None = None
  ) -> tuple[base.Params, State]:
    proposed, inner = self._inner()(gradients, state.inner, params)
    units = tf.reshape(self._units, [-1] + [1] * (self.numbers.shape.rank - 1))
    start, by_along, by_alike, drift, for_along, for_alike = tf.unstack(units * self.numbers)
    last_updates = base.unflatten(state.updates, gradients)
    last_gradients = base.unflatten(state.gradients, gradients)
    updates, level, along, alike = {}, {}, {}, {}
    for name, g in gradients.items():
      begun = tf.cast(_dot(last_updates[name], last_updates[name]) > 0, g.dtype)
      descent, same = -_cosine(last_updates[name], g), _cosine(last_gradients[name], g)
      moved = state.level[name] + begun * (by_along * descent + by_alike * same + drift)
      level[name] = tf.clip_by_value(moved, LOWEST, HIGHEST)
      along[name] = DECAY * state.along[name] + (1 - DECAY) * descent
      alike[name] = DECAY * state.alike[name] + (1 - DECAY) * same
      logarithm = start + level[name] + for_along * along[name] + for_alike * alike[name]
      factor = tf.exp(tf.clip_by_value(logarithm, LOWEST, HIGHEST))
      updates[name] = proposed[name] * tf.reshape(factor, [-1] + [1] * (g.shape.rank - 1))
    flat = base.flatten(updates), base.flatten(gradients)
    return updates, State(inner, *flat, level, along, alike)


def _dot(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
  """`[B]` of `[B, ...]`."""
  return tf.reduce_sum(x * y, axis=range(1, x.shape.rank))


def _cosine(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
  return _dot(x, y) / tf.sqrt(_dot(x, x) * _dot(y, y) + 1e-30)


def lstm(seed: int) -> optimizers.Optimizer:
  """`mnist_lstm` so, whatever the seed."""
  del seed
  optimizer, _ = optimizer_files.load_optimizer(pretrained.find("mnist_lstm"))
  return StepControl(optimizer)
