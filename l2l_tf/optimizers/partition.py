"""Several optimizers, each for some of the parameters (paper section 3.3)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from l2l_tf.errors import ExpectedError
from l2l_tf.optimizers import base

Label = Callable[[str, tuple[int, ...]], str | None]


def conv_or_fc(name: str, shape: tuple[int, ...]) -> str | None:
  """Labels the weights of a network "conv" or "fc" (fully connected), by rank and name.

  Args:
    name: of the parameter, such as "conv_1/w" or "model/conv2d/kernel".
    shape: of one instance's. A tensor of rank 4 and more is a convolution's, of rank 2 a matrix of
      a fully connected layer; of rank 3 (a convolution in one dimension, or attention) the name
      decides: whether "conv" is in it.

  Returns:
    None for vectors and scalars, biases and those of a batch normalization: they go with their
    layer (see `Partition`).
  """
  if len(shape) < 2:
    return None
  return "conv" if len(shape) > 3 or (len(shape) == 3 and "conv" in name.lower()) else "fc"


LABELS: dict[str, Label] = {"conv_or_fc": conv_or_fc}
"""Label functions by their name in files: a closed table, nothing else is ever called."""


class LabelError(ExpectedError, ValueError):
  """Parameters do not fit the groups of a partition; the message says which, and how."""


@snt.allow_empty_variables
class Partition(base.Optimizer):
  """Gives each parameter to one of several optimizers, chosen by a label.

      Partition({"conv": CoordinatewiseLSTM(), "fc": CoordinatewiseLSTM()}, conv_or_fc)

  is that of section 3.3: "one proposes parameter updates for the fully connected layers and the
  other updates the convolutional layer parameters". Each optimizer sees the parameters with its
  label as if there were no others. A group may have no parameters at all.

  A parameter that the label function gives None belongs to the layer of another: it goes with a
  labelled one under the same prefix ("hidden/offset" with "hidden/w"), else with the last labelled
  one before it (a batch normalization's scale with the weights it follows), else with the first.
  """

  def __init__(
    self,
    groups: Mapping[str, base.Optimizer],
    label: Label | str = conv_or_fc,
    name: str = "partition",
  ):
    """Takes the optimizers; their variables, all of them, are phi.

    Args:
      groups: optimizers by label.
      label: `label(name, shape)` returns one of the labels, or None; `shape` is one instance's,
        without B. Or the name of one of `LABELS`; another function can be used, but not saved.
      name: of the module.

    Raises:
      ValueError: for no groups, a group whose name is no path component, or an unknown name in
        place of a label function.
      TypeError: for groups that are no optimizers.
    """
    super().__init__(name)
    if not groups or not all(isinstance(n, str) and n and "/" not in n for n in groups):
      raise ValueError(f"groups must be one or more optimizers by name, without /, got {groups!r}.")
    for group, optimizer in groups.items():
      if not isinstance(optimizer, base.Optimizer):
        raise TypeError(f"The group {group!r} must be an optimizer, got {optimizer!r:.80}.")
    if isinstance(label, str):
      if label not in LABELS:
        raise ValueError(f"Unknown label function {label!r}; known: {', '.join(LABELS)}.")
      label = LABELS[label]
    if not callable(label):
      raise ValueError(f"label must be a function or the name of one, got {label!r:.80}.")
    self.groups = dict(groups)
    self.label = label

    self.coordinatewise = all(optimizer.coordinatewise for optimizer in groups.values())
    self.sees_params = any(optimizer.sees_params for optimizer in groups.values())
    self.scale_free = all(optimizer.scale_free for optimizer in groups.values())

  def config(self) -> dict[str, Any]:
    """Returns what builds this optimizer again, in JSON types.

    Raises:
      ValueError: if the label function is not one of `LABELS`, and has no name in a file.
    """
    name = next((n for n, function in LABELS.items() if function is self.label), None)
    if name is None:
      raise ValueError(
        f"A Partition with the label function {self.label!r} cannot be saved: only those of"
        f" partition.LABELS have a name in a file, {', '.join(LABELS)}."
      )
    groups = {group: optimizer.config() for group, optimizer in self.groups.items()}
    return {"kind": "partition", "label": name, "groups": groups}

  def with_phi(self, phi: Sequence[tf.Tensor]) -> "Partition | None":
    values = {v.ref(): value for v, value in zip(self.trainable_variables, phi)}
    groups = {}
    for group, optimizer in self.groups.items():
      own = optimizer.with_phi([values[v.ref()] for v in optimizer.trainable_variables])
      if own is None:
        return None
      groups[group] = own
    return Partition(groups, self.label, self.name)

  def map(self, function: Callable[[base.Optimizer], base.Optimizer]) -> "Partition":
    groups = {group: optimizer.map(function) for group, optimizer in self.groups.items()}
    return Partition(groups, self.label, self.name)

  def labels(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Returns the group of each parameter.

    Args:
      shapes: of all parameters of one instance, by name, in the order of the layers.

    Raises:
      LabelError: for a label without a group, or parameters of which none has a label.
    """
    own = {name: self.label(name, tuple(shape)) for name, shape in shapes.items()}
    for name, label in own.items():
      if label is not None and label not in self.groups:
        raise LabelError(
          f"The parameter {name!r} of shape {list(shapes[name])} has the label {label!r}, but the"
          f" groups are {', '.join(self.groups)}."
        )
    labelled = {name: label for name, label in own.items() if label is not None}
    if not labelled:
      raise LabelError(
        f"No parameter has a label, so none of the groups {', '.join(self.groups)} can take"
        f" {', '.join(own)}: at least one must be of a known kind, as a matrix is."
      )
    of_layer = {_layer(name): label for name, label in labelled.items()}
    result, last = {}, next(iter(labelled.values()))
    for name, label in own.items():
      result[name] = last = label or of_layer.get(_layer(name), last)
    return result

  def check(self, shapes: Mapping[str, tuple[int, ...]], every_group: bool = False) -> None:
    empty = set(self.groups) - set(self.labels(shapes).values())
    if every_group and empty:
      raise LabelError(
        f"None of the parameters {', '.join(shapes)} is for the group {min(empty)!r} of the"
        f" partition into {', '.join(self.groups)}, which therefore cannot be trained; take"
        " `optimizer`=lstm."
      )

  def split(self, tensors: base.Params) -> dict[str, base.Params]:
    """Returns the parameters of each group that has any; leaves `[B, ...]`, in their order."""
    labels = self.labels({name: x.shape[1:] for name, x in tensors.items()})
    parts = {g: {n: x for n, x in tensors.items() if labels[n] == g} for g in self.groups}
    return {group: part for group, part in parts.items() if part}

  def initial_state(self, params: base.Params) -> dict[str, base.State]:
    """Returns the states of the groups that have parameters, by group."""
    parts = self.split(params)
    return {group: self.groups[group].initial_state(part) for group, part in parts.items()}

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    updates: base.Params = {}
    next_state: dict[str, base.State] = {}
    for group, part in self.split(gradients).items():
      theta = None if params is None else {name: params[name] for name in part}
      changed, next_state[group] = self.groups[group](part, state[group], theta)
      updates |= changed
    return {name: updates[name] for name in gradients}, next_state

  def rest(self, state: base.State) -> base.State:
    return {group: self.groups[group].rest(part) for group, part in state.items()}

  def partial_step(
    self,
    gradients: base.Params,
    state: base.State,
    shapes: dict[str, tuple[int, ...]],
    params: base.Params | None = None,
  ) -> tuple[base.Params, base.State]:
    """A step of each group. The labels are those of all parameters, whichever take part."""
    labels = self.labels(shapes)
    updates: base.Params = {}
    next_state: dict[str, base.State] = {}
    for group, part in state.items():
      members = {name: shape for name, shape in shapes.items() if labels[name] == group}
      own = {name: g for name, g in gradients.items() if name in members}
      theta = None if params is None else {name: params[name] for name in own}
      changed, next_state[group] = self.groups[group].partial_step(own, part, members, theta)
      updates |= changed
    return {name: updates[name] for name in gradients}, next_state

  def parts(self, tensors: base.Params, *states: base.State) -> list[tuple[Any, ...]]:
    return [
      part
      for group, own in self.split(tensors).items()
      for part in self.groups[group].parts(own, *(state[group] for state in states))
    ]

  def named_phi(self) -> dict[str, Any]:
    """Returns phi by names that begin with the group, "conv/lstm_1/w_gates"."""
    groups = {group: optimizer.named_phi() for group, optimizer in self.groups.items()}
    return {f"{group}/{name}": v for group, phi in groups.items() for name, v in phi.items()}


def _layer(name: str) -> str:
  """The prefix that the parameters of one layer share; a bare name has a layer of its own."""
  return name.rpartition("/")[0] or name
