"""A state in a smaller float type between steps, where memory counts more than the last digits."""

import tensorflow as tf

from l2l_tf.optimizers import base


def stored(optimizer: base.Optimizer, dtype: tf.DType) -> base.Optimizer:
  """Returns `optimizer` with its state in `dtype`, that of each group of a partition."""
  return optimizer.map(lambda part: StoredState(part, dtype))


class StoredState(base.Wrapper):
  """Does what the learned `optimizer` does, in its own float type, but keeps its state in `dtype`.

  The state of two layers of 20 units takes 320 bytes a coordinate in float32, 160 in bfloat16.
  """

  def __init__(self, optimizer: base.Optimizer, dtype: tf.DType):
    super().__init__(optimizer)
    self.dtype = dtype

  def initial_state(self, params: base.Params) -> base.State:
    """Returns that of `optimizer`, floats as `dtype`."""
    return _cast(self.optimizer.initial_state(params), self.dtype)

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    updates, state = self.optimizer(gradients, self._wide(state), params)
    return updates, _cast(state, self.dtype)

  def rest(self, state: base.State) -> base.State:
    return _cast(self.optimizer.rest(self._wide(state)), self.dtype)

  def _wide(self, state: base.State) -> base.State:
    return _cast(state, self.optimizer.trainable_variables[0].dtype)


def _cast(state: base.State, dtype: tf.DType) -> base.State:
  """Returns `state` with its floats as `dtype`; counters stay integers."""
  return tf.nest.map_structure(lambda x: tf.cast(x, dtype) if x.dtype.is_floating else x, state)
