"""Giving variables of Keras, or of TensorFlow, their next values."""

from collections.abc import Sequence
from typing import Any

import keras
from keras.src.backend.common import stateless_scope  # nothing public tells whether in one

from l2l_tf.keras import arguments as keras_arguments


def assign(
  variables: Sequence[Any], updates: Sequence[Any], states: Sequence[Any], values: Sequence[Any]
):
  """Adds the updates to the variables, and gives the states their values.

  The states come first, as one of the values may be the memory of a variable.
  """
  if keras.config.backend() == "torch" and not stateless_scope.in_stateless_scope():
    _in_place(variables, updates, states, values)
    return
  for state, value in zip(states, values):
    state.assign(value)
  for variable, update in zip(variables, updates):
    variable.assign_add(keras.ops.cast(update, keras_arguments.dtype(variable)))


def _in_place(
  variables: Sequence[Any], updates: Sequence[Any], states: Sequence[Any], values: Sequence[Any]
):
  """In PyTorch, without a copy: a state takes the memory of its value."""
  import torch

  for state, value in zip(states, values):
    state.value.data = value
  tensors = [variable.value for variable in variables]
  torch._foreach_add_(tensors, [u.to(x.dtype) for u, x in zip(updates, tensors)])
