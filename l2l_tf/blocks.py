"""A coordinatewise optimizer run on blocks of coordinates side by side.

TensorFlow splits one operation over cores with a loss that, on the 15,910 coordinates of the MNIST
network, is as large as the gain. Whole chains of operations, one for each block of coordinates, run
in parallel without it: see benchmarks/meta_step.py and `use_a_thread_a_block`.
"""

import contextlib
from typing import Any

import tensorflow as tf

from l2l_tf.optimizers import base
from l2l_tf.optimizers import CoordinatewiseLSTM

SIZE = 4096  # coordinates of a block, at least: smaller ones cost more than they gain
MOST = 8  # blocks: each makes the graph longer


class Blocks(base.Optimizer):
  """Does what `optimizer` does, which must be coordinatewise; the state is a tuple of blocks'."""

  def __init__(self, optimizer: base.Optimizer):
    super().__init__(optimizer.name)
    self.optimizer = optimizer

  def initial_state(self, params: base.Params) -> tuple[Any, ...]:
    """Returns the state of `optimizer` for each block of the n coordinates."""
    return tuple(self.optimizer.initial_state({"block": block}) for block in _split(params))

  def __call__(self, gradients, state):
    blocks = zip(_split(gradients), state)
    updates, states = zip(*(self.optimizer({"block": block}, s) for block, s in blocks))
    flat = tf.concat([update["block"] for update in updates], axis=1)
    return base.unflatten(flat, gradients), states


def split(optimizer: base.Optimizer) -> base.Optimizer:
  """Returns `optimizer` in `Blocks`, if it is one whose coordinates do not depend on each other."""
  alone = isinstance(optimizer, CoordinatewiseLSTM) and optimizer.coordinatewise
  return Blocks(optimizer) if alone else optimizer


def merge(optimizer: base.Optimizer, state: Any) -> tuple[base.Optimizer, Any]:
  """The inverse of `split` for an optimizer with its state, leaves `[..., n]`."""
  if not isinstance(optimizer, Blocks):
    return optimizer, state
  whole = tf.nest.map_structure(lambda *leaves: tf.concat(leaves, axis=-1), *state)
  return optimizer.optimizer, whole


def use_a_thread_a_block():
  """Lets TensorFlow run operations side by side rather than split each one.

  Without effect once TensorFlow runs: a program that it is part of has made its choice.
  """
  with contextlib.suppress(RuntimeError):
    tf.config.threading.set_intra_op_parallelism_threads(1)


def sizes(n: int) -> list[int]:
  """How many of n coordinates each block gets; all but the last one a multiple of 16."""
  count = min(MOST, max(1, -(-n // SIZE)))
  size = -(-n // (16 * count)) * 16
  return [min(size, n - start) for start in range(0, n, size)]


def _split(tensors: base.Params) -> list[tf.Tensor]:
  flat = base.flatten(tensors)  # [B, n]
  return tf.split(flat, sizes(flat.shape[1]), axis=1)
