"""A step in which only some of the parameters take part, as when others are frozen."""

import math
from typing import Any

import tensorflow as tf

from l2l_tf.optimizers import axes

Cut = tuple[int, list[int]]  # an axis, and how long each parameter's piece of it is


def step(
  optimizer: Any,
  gradients: dict[str, tf.Tensor],
  state: Any,
  shapes: dict[str, tuple[int, ...]],
  params: dict[str, tf.Tensor] | None = None,
) -> tuple[dict[str, tf.Tensor], Any]:
  """`Optimizer.partial_step` of an optimizer that works on all parameters together."""
  active = [name in gradients for name in shapes]
  if all(active):
    return optimizer(gradients, state, params)
  if not any(active):
    return {}, optimizer.rest(state)
  sizes = [math.prod(shape) for shape in shapes.values()]
  pieces = {"n": sizes, "L": [min(size, 1) for size in sizes]}  # without numbers it counts for none
  cuts = [[(k, pieces[x]) for k, x in enumerate(own) if x in pieces] for own in axes.of(state)]
  leaves = [_select(x, active, c) for x, c in zip(tf.nest.flatten(state), cuts)]
  updates, part = optimizer(gradients, tf.nest.pack_sequence_as(state, leaves), params)
  whole = tf.nest.flatten(optimizer.rest(state))
  leaves = [_merge(w, p, active, c) for w, p, c in zip(whole, tf.nest.flatten(part), cuts)]
  return updates, tf.nest.pack_sequence_as(state, leaves)


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
