"""Prodigy: Adam in units of an estimated distance to the solution."""

import tensorflow as tf

from l2l_tf.zoo.ports.flat import FlatOptimizer

BETA_1, BETA_2 = 0.9, 0.999
BETA_3 = BETA_2**0.5
EPSILON = 1e-8
D_0 = 1e-6  # the first estimate


class Prodigy(FlatOptimizer):
  """Mishchenko and Defazio 2023, arXiv 2306.06101, as optax.contrib.prodigy at its defaults.

  With <., .> the inner product over all parameters, b the bias correction of Adam, l = d b:

    m <- 0.9 m + 0.1 d g;   v <- 0.999 v + 0.001 (d g)^2;   s <- beta_3 s + l d g / d_0
    r <- beta_3 r + d l <g, x_0 - x> / d_0;   d' = max(d, r / |s|_1)
    x <- x - l m / (sqrt(v) + d' epsilon)
  """

  vectors = ("m", "v", "s", "start")
  scalars = {"d": D_0, "r": 0.0}

  def __init__(self, learning_rate=1.0, name="prodigy", **kwargs):
    """Takes Keras's arguments; the rate multiplies the estimated one."""
    super().__init__(learning_rate, name=name, **kwargs)

  def update_vector(self, g, x, step, state, loss):
    """See the class."""
    d, start = state["d"], tf.where(step == 0, x, state["start"])
    correction = tf.sqrt(1 - BETA_2 ** (step + 1)) / (1 - BETA_1 ** (step + 1))
    rate = d * tf.cast(self.learning_rate, tf.float32) * correction
    m = BETA_1 * state["m"] + (1 - BETA_1) * d * g
    v = BETA_2 * state["v"] + (1 - BETA_2) * tf.square(d * g)
    s = BETA_3 * state["s"] + rate * d * g / D_0
    r = BETA_3 * state["r"] + d / D_0 * rate * tf.reduce_sum(g * (start - x))
    new_d = tf.maximum(d, r / tf.reduce_sum(tf.abs(s)))
    update = -rate * m / (tf.sqrt(v) + new_d * EPSILON)
    return update, {"m": m, "v": v, "s": s, "start": start, "d": new_d, "r": r}
