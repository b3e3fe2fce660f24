"""Keras's Schedule-Free AdamW, with the averaged weights that it never shows."""

import keras
import tensorflow as tf


class ScheduleFreeAdamW(keras.optimizers.ScheduleFreeAdamW):
  """Defazio et al. 2024, arXiv 2405.15682.

  Keras leaves the model at y, where the gradients are taken. What the paper evaluates is the
  average x of the points z, to be had from y = (1 - beta_1) z + beta_1 x: see `averaged`.
  """

  def averaged(self) -> list[tf.Tensor]:
    """The weights x, in the order of the variables that it was built for."""
    first = self.iterations.value == 0  # z is that of other weights until then
    pairs = zip(self._trainable_variables, self._momentums)
    return [
      tf.where(first, y.value, (y.value - (1 - self.beta_1) * z.value) / self.beta_1)
      for y, z in pairs
    ]

  def _backend_update_step(self, grads, trainable_variables, learning_rate):
    """Keras's hook: z starts where the model is at the first step, not where it was built."""
    first = self.iterations.value == 0
    for y, z in zip(self._trainable_variables, self._momentums):
      z.value.assign(tf.where(first, y.value, z.value))
    super()._backend_update_step(grads, trainable_variables, learning_rate)
