"""MoMo-Adam: Adam with a Polyak step, from the loss and a lower bound of it."""

import numpy as np
import tensorflow as tf

from l2l_tf.zoo.ports.flat import FlatOptimizer

BETA_1, BETA_2 = 0.9, 0.999
EPSILON = 1e-8
LOWER_BOUND = 0.0
TINY = float(np.finfo(np.float32).eps)


class MoMoAdam(FlatOptimizer):
  """Schaipp et al. 2023, arXiv 2305.07583, as optax.contrib.momo_adam at its defaults.

  With l the loss, p = epsilon + sqrt(v / (1 - 0.999^t)), c = 1 - 0.9^t:

    m <- 0.9 m + 0.1 g;   v <- 0.999 v + 0.001 g^2
    f <- 0.9 f + 0.1 l;   k <- 0.9 k + 0.1 <g, x>
    x <- x - min(rate / c, max(f - c bound - k + <m, x>, 0) / <m, m / p>) m / p
  """

  vectors = ("m", "v")
  scalars = {"f": 0.0, "k": 0.0}
  needs_loss = True

  def __init__(self, learning_rate=1e-2, name="momo_adam", **kwargs):
    """Takes Keras's arguments; the rate is the largest that it takes."""
    super().__init__(learning_rate, name=name, **kwargs)

  def update_vector(self, g, x, step, state, loss):
    """See the class."""
    m = BETA_1 * state["m"] + (1 - BETA_1) * g
    v = BETA_2 * state["v"] + (1 - BETA_2) * tf.square(g)
    f = BETA_1 * state["f"] + (1 - BETA_1) * loss
    k = BETA_1 * state["k"] + (1 - BETA_1) * tf.reduce_sum(g * x)
    c = 1 - BETA_1 ** (step + 1)
    p = EPSILON + tf.sqrt(v / (1 - BETA_2 ** (step + 1)))
    norm = tf.reduce_sum(m * m / p)
    polyak = tf.maximum(f - c * LOWER_BOUND - k + tf.reduce_sum(m * x), 0.0) / norm
    polyak = tf.where(norm <= TINY, 0.0, polyak)
    rate = tf.minimum(tf.cast(self.learning_rate, tf.float32) / c, polyak)
    return -rate * m / p, {"m": m, "v": v, "f": f, "k": k}
