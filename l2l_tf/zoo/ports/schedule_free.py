"""Schedule-Free AdamW, with the averaged weights that Keras's never shows."""

import math

import tensorflow as tf

from l2l_tf.zoo.ports.flat import FlatOptimizer

BETA_1, BETA_2 = 0.9, 0.999
EPSILON = 1e-8


class ScheduleFreeAdamW(FlatOptimizer):
  """Defazio et al. 2024, arXiv 2405.15682, as optax.contrib.schedule_free_adamw, Keras's defaults.

  Gradients are taken at y, where the model is; what the paper evaluates is x, see `averaged`.

    v <- 0.999 v + 0.001 g^2;   z' = z - rate g / (sqrt(v / (1 - 0.999^t)) + epsilon)
    x <- (1 - 1/t) x + z' / t;   y <- 0.1 z' + 0.9 x

  x is not kept: it is (y - 0.1 z) / 0.9.

  Note: that of Keras 3.15 computes x with z' in place of z when it runs on TensorFlow, where
  `momentum_old` is the variable and not its old value; and it has no way to x.
  """

  vectors = ("z", "v")

  def __init__(self, learning_rate=0.0025, name="schedule_free_adamw", **kwargs):
    """Takes Keras's arguments."""
    super().__init__(learning_rate, name=name, **kwargs)

  def averaged(self) -> list[tf.Tensor]:
    """The weights x, in the order of the variables that it was built for."""
    variables = self._trainable_variables
    z = self._vectors["z"].value
    pieces = tf.split(z, [math.prod(v.shape) for v in variables])
    first = self.iterations.value == 0  # z is not set before the first step
    return [
      tf.where(first, y.value, _average(y.value, tf.reshape(piece, y.shape)))
      for y, piece in zip(variables, pieces)
    ]

  def update_vector(self, g, x, step, state, loss):
    """See the class; the model's x is y here."""
    y, t = x, step + 1
    z = tf.where(step == 0, y, state["z"])
    v = BETA_2 * state["v"] + (1 - BETA_2) * tf.square(g)
    rate = tf.cast(self.learning_rate, tf.float32)
    new_z = z - rate * g / (tf.sqrt(v / (1 - BETA_2**t)) + EPSILON)
    average = (1 - 1 / t) * _average(y, z) + new_z / t
    return (1 - BETA_1) * new_z + BETA_1 * average - y, {"z": new_z, "v": v}


def _average(y: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
  return (y - (1 - BETA_1) * z) / BETA_1
