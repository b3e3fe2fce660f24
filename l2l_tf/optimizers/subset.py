"""A step in which only some of the parameters take part, as when others are frozen."""

import math
from typing import Optional

import tensorflow as tf

from l2l_tf.optimizers import base
from l2l_tf.optimizers import partition

Cut = tuple[int, list[int]]  # an axis, and how long each parameter's piece of it is


def step(
  optimizer: base.Optimizer,
  gradients: base.Params,
  state: base.State,
  shapes: dict[str, tuple[int, ...]],
  params: Optional[base.Params] = None,
) -> tuple[base.Params, base.State]:
  """One step of `optimizer` on the parameters that have a gradient; the others rest.

  Coordinates at rest keep their state and enter no average and no memory: the updates are those
  of an optimizer that never knew them.

  Args:
    optimizer: what makes the updates.
    gradients: `{name: [B, ...]}` for some of the parameters, in the order of `shapes`.
    state: of all coordinates.
    shapes: of all parameters of one instance.
    params: those that have a gradient, for optimizers that see them.

  Returns:
    The updates, structured as `gradients`, and the next state of all coordinates.
  """
  if isinstance(optimizer, partition.Partition):
    return _step_of_groups(optimizer, gradients, state, shapes, params)
  active = [name in gradients for name in shapes]
  if all(active):
    return optimizer(gradients, state, params)
  if not any(active):
    return {}, optimizer.rest(state)
  sizes = [math.prod(shape) for shape in shapes.values()]
  axes = zip(base.coordinate_axes(optimizer), base.parameter_axes(optimizer))
  counts = [min(size, 1) for size in sizes]  # a parameter without numbers counts for none
  cuts = [[*((a, sizes) for a in n), *((a, counts) for a in count)] for n, count in axes]
  leaves = [_select(x, active, c) for x, c in zip(tf.nest.flatten(state), cuts)]
  updates, part = optimizer(gradients, tf.nest.pack_sequence_as(state, leaves), params)
  whole = tf.nest.flatten(optimizer.rest(state))
  leaves = [_merge(w, p, active, c) for w, p, c in zip(whole, tf.nest.flatten(part), cuts)]
  return updates, tf.nest.pack_sequence_as(state, leaves)


def _step_of_groups(
  optimizer: partition.Partition,
  gradients: base.Params,
  state: base.State,
  shapes: dict[str, tuple[int, ...]],
  params: Optional[base.Params],
) -> tuple[base.Params, base.State]:
  """`step` of each group. The labels are those of all parameters, whichever take part."""
  labels, updates, next_state = optimizer.labels(shapes), {}, {}
  for group, part in state.items():
    members = {name: shape for name, shape in shapes.items() if labels[name] == group}
    own = {name: g for name, g in gradients.items() if name in members}
    theta = None if params is None else {name: params[name] for name in own}
    changed, next_state[group] = step(optimizer.groups[group], own, part, members, theta)
    updates |= changed
  return {name: updates[name] for name in gradients}, next_state


def _select(whole: tf.Tensor, active: list[bool], cuts: list[Cut]) -> tf.Tensor:
  """Keeps the active pieces along each of the axes."""
  for axis, pieces in cuts:
    parts = tf.split(whole, pieces, axis)
    whole = tf.concat([p for p, is_active in zip(parts, active) if is_active], axis)
  return whole


def _merge(whole: tf.Tensor, part: tf.Tensor, active: list[bool], cuts: list[Cut]) -> tf.Tensor:
  """Puts `part`, shaped as `_select` of `whole`, in its place."""
  if not cuts:
    return part
  (axis, pieces), *others = cuts
  part = _merge(_select(whole, active, cuts[:1]), part, active, others)
  new = iter(tf.split(part, [n for n, is_active in zip(pieces, active) if is_active], axis))
  old = tf.split(whole, pieces, axis)
  return tf.concat([next(new) if is_active else o for o, is_active in zip(old, active)], axis)
