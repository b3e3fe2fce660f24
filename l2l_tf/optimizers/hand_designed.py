"""The six hand-designed rivals with the defaults of Torch7's `optim` (paper section 3).

The formulas work on all coordinates as one matrix `[B, n]`. The learning rate is a scalar, or one
number for each of the B instances, `[B]`: a whole grid of learning rates is then one run. Nothing
guards against divergence: an infinite loss is a result. Gradients of 16 bits are computed with, and
the slots kept, in float32: in bfloat16 beta_2 = 0.999 is 1, and in float16 epsilon is 0.
"""

from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from l2l_tf.optimizers import base


@snt.allow_empty_variables
class HandDesigned(base.Optimizer):
  """Flattens gradients, applies `update`, and restores the structure."""

  coordinatewise = True

  def __init__(self, learning_rate: Any, name: str | None = None):
    """Args: learning_rate: a float, or floats `[B]`, one an instance; name: of the module."""
    super().__init__(name)
    self.learning_rate = learning_rate

  def initial_state(self, params: base.Params) -> base.State:
    return self.initial_slots(tf.zeros_like(_wide(base.flatten(params))))

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    flat = base.flatten(gradients)
    wide = _wide(flat)
    rate = tf.convert_to_tensor(self.learning_rate, dtype_hint=wide.dtype)
    rate = tf.reshape(tf.cast(rate, wide.dtype), [-1, 1])  # [B or 1, 1]
    updates, state = self.update(wide, state, rate)
    return base.unflatten(tf.cast(updates, flat.dtype), gradients), state

  def initial_slots(self, zeros: tf.Tensor) -> base.State:
    """Returns the state before the first step, given zeros `[B, n]`."""
    raise NotImplementedError

  def update(self, g: tf.Tensor, slots: base.State, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Returns the updates `[B, n]` for gradients g `[B, n]` and the next slots."""
    raise NotImplementedError


def _wide(x: tf.Tensor) -> tf.Tensor:
  return tf.cast(x, tf.float32) if x.dtype.size == 2 else x


class SGD(HandDesigned):
  """Gradient descent: update = -rate g."""

  def initial_slots(self, zeros: tf.Tensor) -> Any:
    del zeros
    return ()

  def update(self, g: tf.Tensor, slots: Any, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    return -rate * g, slots


class AdamSlots(NamedTuple):
  """What Adam keeps."""

  m: tf.Tensor  # [B, n], moving average of g
  v: tf.Tensor  # [B, n], moving average of g^2
  t: tf.Tensor  # scalar, steps taken


class Adam(HandDesigned):
  """Kingma and Ba 2015, beta = (0.9, 0.999), epsilon = 1e-8.

    update = -rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)

  Note: epsilon stands beside the uncorrected sqrt(v), as in Torch7, TensorFlow and Keras.
  """

  beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8

  def initial_slots(self, zeros: tf.Tensor) -> Any:
    return AdamSlots(zeros, zeros, tf.zeros([], zeros.dtype))

  def update(self, g: tf.Tensor, slots: Any, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    t = slots.t + 1
    m = self.beta_1 * slots.m + (1 - self.beta_1) * g
    v = self.beta_2 * slots.v + (1 - self.beta_2) * g**2
    correction = tf.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
    return -rate * correction * m / (tf.sqrt(v) + self.epsilon), AdamSlots(m, v, t)


class RMSprop(HandDesigned):
  """Tieleman and Hinton 2012, alpha = 0.99, epsilon = 1e-8: update = -rate g / (sqrt(v) + epsilon).

  Note: epsilon stands outside the root, as in Torch7; Keras has it inside.
  """

  alpha, epsilon = 0.99, 1e-8

  def initial_slots(self, zeros: tf.Tensor) -> Any:
    return zeros  # v, moving average of g^2

  def update(self, g: tf.Tensor, slots: Any, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    v = self.alpha * slots + (1 - self.alpha) * g**2
    return -rate * g / (tf.sqrt(v) + self.epsilon), v


class AdadeltaSlots(NamedTuple):
  """What Adadelta keeps."""

  v: tf.Tensor  # [B, n], moving average of g^2
  u: tf.Tensor  # [B, n], moving average of delta^2


class Adadelta(HandDesigned):
  """Zeiler 2012, rho = 0.9, epsilon = 1e-6.

    delta = sqrt(u + epsilon) / sqrt(v + epsilon) g,  update = -rate delta

  Note: Torch7 has no learning rate here; the factor is that of Keras and PyTorch, outside u.
  """

  rho, epsilon = 0.9, 1e-6

  def initial_slots(self, zeros: tf.Tensor) -> Any:
    return AdadeltaSlots(zeros, zeros)

  def update(self, g: tf.Tensor, slots: Any, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    v = self.rho * slots.v + (1 - self.rho) * g**2
    delta = tf.sqrt(slots.u + self.epsilon) / tf.sqrt(v + self.epsilon) * g
    u = self.rho * slots.u + (1 - self.rho) * delta**2
    return -rate * delta, AdadeltaSlots(v, u)


class Adagrad(HandDesigned):
  """Duchi et al. 2011, epsilon = 1e-10: update = -rate g / (sqrt(sum of g^2) + epsilon).

  Note: the sum starts at 0 as in Torch7; Keras starts it at 0.1 and has epsilon inside the root.
  """

  epsilon = 1e-10

  def initial_slots(self, zeros: tf.Tensor) -> Any:
    return zeros  # the sum of g^2

  def update(self, g: tf.Tensor, slots: Any, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    total = slots + g**2
    return -rate * g / (tf.sqrt(total) + self.epsilon), total


class RpropSlots(NamedTuple):
  """What Rprop keeps."""

  g: tf.Tensor  # [B, n], the gradient before, 0 where its sign had just turned
  size: tf.Tensor  # [B, n], step sizes; 0 before the first step


class Rprop(HandDesigned):
  """Riedmiller and Braun 1993, eta = (0.5, 1.2), step sizes within 1e-6..50.

  The step size of a coordinate grows by 1.2 while the sign of its gradient stays, and is halved
  without a move when it turns. The learning rate is the first step size.
  """

  eta_minus, eta_plus, smallest, largest = 0.5, 1.2, 1e-6, 50.0

  def initial_slots(self, zeros: tf.Tensor) -> Any:
    return RpropSlots(zeros, zeros)

  def update(self, g: tf.Tensor, slots: Any, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    agreement = tf.sign(g * slots.g)
    one = tf.ones_like(g)
    shrink_or_keep = tf.where(agreement < 0, self.eta_minus * one, one)
    factor = tf.where(agreement > 0, self.eta_plus * one, shrink_or_keep)
    size = tf.where(slots.size == 0, rate, slots.size) * factor
    size = tf.clip_by_value(size, self.smallest, self.largest)
    g = tf.where(agreement < 0, tf.zeros_like(g), g)
    return -tf.sign(g) * size, RpropSlots(g, size)
