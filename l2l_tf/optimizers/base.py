"""The one interface of learned and hand-designed optimizers.

Parameters, gradients and updates lead with an axis of B independent instances: those of a
parameter of shape `[...]` come as `[B, ...]`. n is the number of coordinates of one instance. The
tensors of a state are `[..., B, n]`, or say their axes (`axes.py`).
"""

import abc
from collections.abc import Callable, Mapping, Sequence
import math
from typing import Any, Optional

import sonnet as snt
import tensorflow as tf

from l2l_tf.optimizers import subset

Params = dict[str, tf.Tensor]
State = Any  # a nest of tensors


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

  divisible = False
  """Whether the state can be cut into those of blocks of coordinates: all of it is `[..., n]`."""

  def config(self) -> dict[str, Any]:
    """Returns what tells a learned optimizer from others, in JSON types: what builds it again.

    Of a class of your own its name; `bin/train.py --optimizer=module:factory` puts in that name.
    """
    return {"kind": f"{type(self).__module__}:{type(self).__qualname__}"}

  @abc.abstractmethod
  def initial_state(self, params: Params) -> State:
    """Returns the state before the first step for parameters of these shapes."""

  @abc.abstractmethod
  def __call__(
    self, gradients: Params, state: State, params: Params | None = None
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
    return None

  def check(self, shapes: Mapping[str, tuple[int, ...]], every_group: bool = False) -> None:
    """Raises LabelError if parameters of these shapes do not fit, as may be of a `Partition`.

    Args:
      shapes: of all parameters of one instance, by name, in the order of the layers.
      every_group: ask that no group be without parameters, as in training.
    """

  def rest(self, state: State) -> State:
    """Returns what becomes of the state of coordinates that take no part in a step: as it was."""
    return state

  def partial_step(
    self,
    gradients: Params,
    state: State,
    shapes: dict[str, tuple[int, ...]],
    params: Params | None = None,
  ) -> tuple[Params, State]:
    """One step on the parameters that have a gradient; the others rest, as when they are frozen.

    Coordinates at rest keep their state and enter no average and no memory: the updates are those
    of an optimizer that never knew them.

    Args:
      gradients: `{name: [B, ...]}` for some of the parameters, in the order of `shapes`.
      state: of all coordinates.
      shapes: of all parameters of one instance.
      params: those that have a gradient, for optimizers that see them.

    Returns:
      The updates, structured as `gradients`, and the next state of all coordinates.
    """
    return subset.step(self, gradients, state, shapes, params)

  def parts(self, tensors: Params, *states: State) -> list[tuple[Any, ...]]:
    """Returns the optimizers at work, each with its share of `tensors` and of each state.

    Those are the groups of a `Partition`, and any other optimizer itself with everything.
    """
    return [(self, tensors, *states)]

  def map(self, function: Callable[["Optimizer"], "Optimizer"]) -> "Optimizer":
    """Returns this optimizer with `function` of each of its parts in its place."""
    return function(self)

  def named_phi(self) -> dict[str, tf.Variable]:
    """Returns phi by names like "lstm_1/w_gates", without the module's own name and the ":0"."""
    prefix = self.name + "/"
    return {v.name.removeprefix(prefix).split(":")[0]: v for v in self.trainable_variables}


@snt.allow_empty_variables
class Wrapper(Optimizer):
  """An optimizer that does what another one does, in its own way; phi is that of the other.

  What the other says of itself holds. The state is up to the subclass.
  """

  def __init__(self, optimizer: Optimizer, name: str | None = None):
    """Takes the optimizer, and a name in place of its."""
    super().__init__(name or optimizer.name)
    self.optimizer = optimizer
    self.coordinatewise = optimizer.coordinatewise
    self.sees_params = optimizer.sees_params
    self.scale_free = optimizer.scale_free
    self.divisible = optimizer.divisible

  def check(self, shapes: Mapping[str, tuple[int, ...]], every_group: bool = False) -> None:
    self.optimizer.check(shapes, every_group)

  def named_phi(self) -> dict[str, tf.Variable]:
    return self.optimizer.named_phi()


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
