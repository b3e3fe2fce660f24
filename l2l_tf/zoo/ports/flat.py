"""Optimizers that see the gradients of all variables as one vector."""

from collections.abc import Sequence
import math
from typing import Any

import keras
import tensorflow as tf


class FlatOptimizer(keras.optimizers.Optimizer):
  """A Keras optimizer on one vector over all coordinates, for methods with global sums.

  Subclasses name their state and give `update_vector`. Keras's other arguments keep their meaning.
  A model must give a gradient for each of its variables.
  """

  vectors: Sequence[str] = ()  # names of states `[n]`, zeros at the start
  scalars: dict[str, float] = {}  # names of states `[]`, and their values at the start
  needs_loss = False

  def __init__(self, learning_rate: Any, **kwargs: Any):
    super().__init__(learning_rate, **kwargs)
    self._loss = None

  def build(self, variables):
    """Creates the states."""
    if self.built:
      return
    super().build(variables)
    size = sum(math.prod(v.shape) for v in variables)
    self._vectors = {
      name: self.add_variable([size], "zeros", "float32", name=name) for name in self.vectors
    }
    self._scalars = {
      name: self.add_variable([], keras.initializers.Constant(value), "float32", name=name)
      for name, value in self.scalars.items()
    }

  def scale_loss(self, loss):
    """Takes the loss in passing: Keras's `fit` calls it just before differentiation."""
    self._loss = tf.cast(loss, tf.float32)
    return super().scale_loss(loss)

  def update_vector(self, g: tf.Tensor, x: tf.Tensor, step: tf.Tensor, state: dict, loss) -> tuple:
    """The method.

    Args:
      g: gradients `[n]`.
      x: parameters before the step `[n]`.
      step: how many steps have been made, float32 `[]`.
      state: by names of `vectors` and `scalars`.
      loss: at x, on the same minibatch; None unless `needs_loss`.

    Returns:
      What is added to x `[n]`, and the new state.
    """
    raise NotImplementedError

  def _distributed_tf_update_step(self, distribution, grads_and_vars, learning_rate):
    """Keras's hook for all variables at once."""
    del distribution
    order = sorted(grads_and_vars, key=lambda pair: self._get_variable_index(pair[1]))
    gradients, variables = zip(*order)
    if len(variables) != len(self._trainable_variables):
      raise ValueError(
        f"{type(self).__name__} needs a gradient for each of the"
        f" {len(self._trainable_variables)} variables it was built for, got {len(variables)}."
      )
    loss = recorded_loss(self) if self.needs_loss else None
    shapes = [tuple(v.shape) for v in variables]
    states = {**self._vectors, **self._scalars}
    values = {name: tf.convert_to_tensor(v.value) for name, v in states.items()}
    step = tf.cast(self.iterations.value, tf.float32)
    update, new = self.update_vector(_flat(gradients), _flat(variables), step, values, loss)
    for name, value in new.items():
      states[name].value.assign(value)
    pieces = tf.split(update, [math.prod(shape) for shape in shapes])
    for variable, piece, shape in zip(variables, pieces, shapes):
      variable.assign_add(tf.cast(tf.reshape(piece, shape), variable.dtype))


def recorded_loss(optimizer) -> tf.Tensor:
  """The loss that `scale_loss` saw last.

  Raises:
    ValueError: if it saw none.
  """
  if optimizer._loss is None:
    raise ValueError(
      f"{type(optimizer).__name__} needs the loss: train with `fit`, or call"
      " `optimizer.scale_loss(loss)` in your own train_step before differentiation."
    )
  return optimizer._loss


def _flat(tensors) -> tf.Tensor:
  return tf.concat([tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], 0)
