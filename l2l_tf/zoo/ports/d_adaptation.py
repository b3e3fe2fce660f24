"""D-Adaptation of AdamW: the rate from an estimate of the distance to the solution."""

import tensorflow as tf

from l2l_tf.zoo.ports.flat import FlatOptimizer

BETA_1, BETA_2 = 0.9, 0.999
ROOT = BETA_2**0.5
EPSILON = 1e-8
D_0 = 1e-6  # the first estimate


class DAdaptAdamW(FlatOptimizer):
  """Defazio and Mishchenko 2023, arXiv 2301.07733, as optax.contrib.dadapt_adamw at its defaults.

  With b the bias correction of Adam and l = d b:

    r <- ROOT r + (1 - ROOT) l <g, s / (sqrt(v) + epsilon)>, with the old s and v
    m <- 0.9 m + 0.1 l g;   v <- 0.999 v + 0.001 g^2;   s <- ROOT s + (1 - ROOT) l g
    d <- max(d, r / ((1 - ROOT) |s|_1));   x <- x - m / (sqrt(v) + epsilon)
  """

  vectors = ("m", "v", "s")
  scalars = {"d": D_0, "r": 0.0}

  def __init__(self, learning_rate=1.0, name="dadapt_adamw", **kwargs):
    """Takes Keras's arguments; the rate multiplies the estimated one."""
    super().__init__(learning_rate, name=name, **kwargs)

  def update_vector(self, g, x, step, state, loss):
    """See the class."""
    correction = tf.sqrt(1 - BETA_2 ** (step + 1)) / (1 - BETA_1 ** (step + 1))
    rate = state["d"] * tf.cast(self.learning_rate, tf.float32) * correction
    product = tf.reduce_sum(g * state["s"] / (tf.sqrt(state["v"]) + EPSILON))
    m = BETA_1 * state["m"] + (1 - BETA_1) * rate * g
    v = BETA_2 * state["v"] + (1 - BETA_2) * tf.square(g)
    s = ROOT * state["s"] + (1 - ROOT) * rate * g
    r = ROOT * state["r"] + (1 - ROOT) * rate * product
    d = tf.maximum(state["d"], r / ((1 - ROOT) * tf.reduce_sum(tf.abs(s))))
    return -m / (tf.sqrt(v) + EPSILON), {"m": m, "v": v, "s": s, "d": d, "r": r}
