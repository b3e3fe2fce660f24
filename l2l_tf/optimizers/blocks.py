"""A coordinatewise optimizer run on blocks of coordinates, side by side or in turn.

Side by side is for speed. TensorFlow splits one operation over cores with a loss that, on the
15,910 coordinates of the MNIST network, is as large as the gain. Whole chains of operations, one
for each block of coordinates, run in parallel without it: see benchmarks/meta_step.py and
`use_a_thread_a_block`.

In turn is for memory. A step holds the states four times over: before it, after it, and the gates
of two layers. Block after block it holds them once, and one block of all that.
"""

import contextlib
from typing import Any

import tensorflow as tf

from l2l_tf.optimizers import base

SIZE = 4096  # coordinates of a block, at least: smaller ones cost more than they gain
MOST = 8  # blocks: each makes the graph longer
SIZE_IN_TURN = 2**17  # below, memory is not what counts
MOST_IN_TURN = 32


class Blocks(base.Wrapper):
  """Does what `optimizer` does, coordinatewise and divisible; the state is a tuple of blocks'."""

  def __init__(self, optimizer: base.Optimizer, in_turn: bool = False):
    super().__init__(optimizer)
    self.in_turn = in_turn

  def initial_state(self, params: base.Params) -> tuple[Any, ...]:
    """Returns the state of `optimizer` for each block of the n coordinates."""
    return tuple(self.optimizer.initial_state({"block": block}) for block in self._split(params))

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    updates: list[tf.Tensor] = []
    states: list[base.State] = []
    for block, block_state in zip(self._split(gradients), state):
      with tf.control_dependencies(updates[-1:] if self.in_turn else []):
        block = tf.identity(block)
      update, block_state = self.optimizer({"block": block}, block_state)
      updates.append(update["block"])
      states.append(block_state)
    return base.unflatten(tf.concat(updates, axis=1), gradients), tuple(states)

  def partial_step(
    self,
    gradients: base.Params,
    state: base.State,
    shapes: dict[str, tuple[int, ...]],
    params: base.Params | None = None,
  ) -> tuple[base.Params, base.State]:
    updates, whole = self.optimizer.partial_step(gradients, self._merge(state), shapes, params)
    return updates, self._part(whole)

  def parts(self, tensors: base.Params, *states: base.State) -> list[tuple[Any, ...]]:
    """Returns `optimizer` with everything, all blocks in one."""
    return [(self.optimizer, tensors, *map(self._merge, states))]

  def _merge(self, state: tuple[Any, ...]) -> Any:
    """Returns the state of `optimizer` for all coordinates; its leaves are `[..., n]`."""
    return tf.nest.map_structure(lambda *leaves: tf.concat(leaves, axis=-1), *state)

  def _part(self, state: Any) -> tuple[Any, ...]:
    """The inverse of `_merge`."""
    leaves = [tf.split(x, self._sizes(x.shape[-1]), axis=-1) for x in tf.nest.flatten(state)]
    return tuple(tf.nest.pack_sequence_as(state, block) for block in zip(*leaves))

  def _split(self, tensors: base.Params) -> list[tf.Tensor]:
    flat = base.flatten(tensors)  # [B, n]
    return tf.split(flat, self._sizes(flat.shape[1]), axis=1)

  def _sizes(self, n: int) -> list[int]:
    return sizes(n, self.in_turn)


def split(optimizer: base.Optimizer, in_turn: bool = False) -> base.Optimizer:
  """Returns `optimizer` in `Blocks`, if its coordinates can be run apart; so each of its parts."""

  def in_blocks(part: base.Optimizer) -> base.Optimizer:
    return Blocks(part, in_turn) if part.coordinatewise and part.divisible else part

  return optimizer.map(in_blocks)


def use_a_thread_a_block() -> None:
  """Lets TensorFlow run operations side by side rather than split each one.

  Without effect once TensorFlow runs: a program that it is part of has made its choice.
  """
  with contextlib.suppress(RuntimeError):
    tf.config.threading.set_intra_op_parallelism_threads(1)


def sizes(n: int, in_turn: bool = False) -> list[int]:
  """How many of n coordinates each block gets; all but the last one a multiple of 16."""
  size, most = (SIZE_IN_TURN, MOST_IN_TURN) if in_turn else (SIZE, MOST)
  count = min(most, max(1, -(-n // size)))
  size = -(-n // (16 * count)) * 16
  return [min(size, n - start) for start in range(0, n, size)] if n else [0]
