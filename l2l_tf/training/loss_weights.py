"""How much each step of an episode counts in the meta-loss."""

import tensorflow as tf

from l2l_tf.config.training import Training


def loss_weights(config: Training, start: tf.Tensor) -> tf.Tensor:
  """The weights w_t of Eq. 3 of the window that starts at step `start`: `[unroll_length]`.

  1 for a power of 0, as in the paper; their mean over an episode is close to 1 for all powers.
  """
  p = config.loss_weight_power
  t = tf.cast(start + 1 + tf.range(config.unroll_length), tf.float32)
  return (p + 1) * (t / config.num_steps) ** p
