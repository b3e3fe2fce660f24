"""What differs between Keras's backends around a step: values, assignments, what is recorded."""

from collections.abc import Sequence
import contextlib
from typing import Any

import keras
from keras.src.backend.common import stateless_scope  # nothing public tells whether in one

from l2l_tf.keras import arguments as keras_arguments

ON_TENSORFLOW = keras.config.backend() == "tensorflow"


def tensor(x: Any, shape: Sequence[int] | None = None) -> Any:
  """The value of a variable, or a gradient, dense and of this shape, as the backend's tensor."""
  if not ON_TENSORFLOW:
    return x.value if isinstance(x, keras.Variable) else keras.ops.convert_to_tensor(x)
  import tensorflow as tf

  found = tf.convert_to_tensor(x)
  return found if shape is None else tf.ensure_shape(found, shape)


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


def outside_of_graphs() -> Any:
  """Where variables are made that live longer than the graph that is being traced."""
  if not ON_TENSORFLOW:
    return contextlib.nullcontext()
  import tensorflow as tf

  return tf.init_scope()


def without_gradients() -> Any:
  """What keeps PyTorch from recording the step."""
  if keras.config.backend() != "torch":
    return contextlib.nullcontext()
  import torch

  return torch.no_grad()
