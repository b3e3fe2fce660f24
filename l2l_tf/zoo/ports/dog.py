"""DoG: the distance from the start over the gradients seen."""

import tensorflow as tf

from l2l_tf.zoo.ports.flat import FlatOptimizer

RELATIVE_START = 1e-6  # the first distance, relative to 1 + |x_0|
EPSILON = 1e-8


class DoG(FlatOptimizer):
  """Ivgi, Hinder and Carmon 2023, arXiv 2302.12022, as optax.contrib.dog at its defaults.

    r <- max(r, |x_0 - x|);   s <- s + |g|^2;   x <- x - r g / sqrt(s + epsilon)

  r starts at 1e-6 (1 + |x_0|).

  Note: its authors recommend to average the weights; optax leaves that to others, and so do we.
  """

  vectors = ("start",)
  scalars = {"r": 0.0, "s": 0.0}

  def __init__(self, learning_rate=1.0, name="dog", **kwargs):
    """Takes Keras's arguments; the rate multiplies the estimated one."""
    super().__init__(learning_rate, name=name, **kwargs)

  def update_vector(self, g, x, step, state, loss):
    """See the class."""
    first = step == 0
    start = tf.where(first, x, state["start"])
    r = tf.where(first, RELATIVE_START * (1 + tf.norm(x)), state["r"])
    r = tf.maximum(r, tf.norm(start - x))
    s = state["s"] + tf.reduce_sum(tf.square(g))
    rate = tf.cast(self.learning_rate, tf.float32) * r / tf.sqrt(s + EPSILON)
    return -rate * g, {"start": start, "r": r, "s": s}
