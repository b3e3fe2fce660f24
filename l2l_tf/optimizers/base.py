"""The one interface of learned and hand-designed optimizers.

Every leaf has a leading axis of B independent instances: gradients of a parameter of shape `[...]`
come as `[B, ...]`. n is the number of coordinates of one instance.
"""

import abc
import math
from typing import Any, Optional, Sequence

import sonnet as snt
import tensorflow as tf

Params = dict[str, tf.Tensor]
State = Any  # a nest of tensors
Shapes = dict[str, list[int]]


class Optimizer(snt.Module, abc.ABC):
  """Maps gradients to updates, all coordinates at once: theta <- theta + update (Eq. 1).

  The variables of the module are phi.
  """

  coordinatewise = False
  """Whether the updates of a coordinate follow from its own gradients alone."""

  sees_params = False
  """Whether a step needs theta beside the gradients."""

  scale_free = False
  """Whether gradients times a constant lead to the same updates."""

  @abc.abstractmethod
  def initial_state(self, params: Params) -> State:
    """Returns the state before the first step for parameters of these shapes, leaves `[B, ...]`."""

  @abc.abstractmethod
  def __call__(
    self, gradients: Params, state: State, params: Optional[Params] = None
  ) -> tuple[Params, State]:
    """Returns the updates, structured and shaped as `gradients`, and the next state.

    Args:
      gradients: of f at theta.
      state: what the step before returned.
      params: theta, for optimizers that need it (`sees_params`); others ignore it.
    """

  def with_phi(self, phi: Sequence[tf.Tensor]) -> Optional["Optimizer"]:
    """Returns this optimizer with a phi for each instance; None if it can have but one.

    Args:
      phi: `[B, ...]` for each of `trainable_variables`.
    """
    del phi

  def rest(self, state: State) -> State:
    """Returns what becomes of the state of coordinates that take no part in a step: as it was."""
    return state


def dtype_config(variable: tf.Variable) -> dict[str, str]:
  """What the config of a learned optimizer says of the float type of phi: of float32 nothing."""
  return {} if variable.dtype == tf.float32 else {"dtype": variable.dtype.name}


def flatten(tensors: Params) -> tf.Tensor:
  """Concatenates `{name: [B, ...]}` to `[B, n]`, in the order of the dictionary."""
  leaves = list(tensors.values())
  if len(leaves) == 1:
    return tf.reshape(leaves[0], [leaves[0].shape[0], num_coordinates(tensors)])
  return tf.concat([tf.reshape(x, [x.shape[0], math.prod(x.shape[1:])]) for x in leaves], axis=1)


def unflatten(flat: tf.Tensor, like: Params) -> Params:
  """The inverse of `flatten`: splits `[B, n]` into the names and shapes of `like`."""
  parts = tf.split(flat, [math.prod(x.shape[1:]) for x in like.values()], axis=1)
  return {name: tf.reshape(part, like[name].shape) for name, part in zip(like, parts)}


def num_coordinates(tensors: Params) -> int:
  """Returns n, the number of coordinates of one instance of `{name: [B, ...]}`."""
  return sum(math.prod(x.shape[1:]) for x in tensors.values())


def coordinate_axes(optimizer: Optimizer) -> list[list[int]]:
  """The axes of each leaf of the state that count coordinates: those that grow with n."""
  return _growing_axes(optimizer, {"x": [1, 2]}, {"x": [1, 3]})


def parameter_axes(optimizer: Optimizer) -> list[list[int]]:
  """The axes of each leaf of the state that count parameters, of whatever size."""
  return _growing_axes(optimizer, {"x": [1, 4]}, {"x": [1, 2], "y": [1, 2]})


def instance_axes(optimizer: Optimizer) -> list[list[int]]:
  """The axes of each leaf of the state that count instances: those that grow with B."""
  return _growing_axes(optimizer, {"x": [2, 1]}, {"x": [3, 1]})


def _growing_axes(optimizer: Optimizer, few: Shapes, many: Shapes) -> list[list[int]]:
  small, large = (
    [leaf.shape for leaf in tf.nest.flatten(optimizer.initial_state(_zeros(shapes)))]
    for shapes in (few, many)
  )
  return [[k for k in range(len(a)) if a[k] != b[k]] for a, b in zip(small, large)]


def _zeros(shapes: Shapes) -> Params:
  return {name: tf.zeros(shape) for name, shape in shapes.items()}
