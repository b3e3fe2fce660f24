"""The paper's LSTM with updates of matrices half orthogonal, as an optimizer of one's own.

python bin/train.py --problem=mnist --optimizer=benchmarks.half_orthogonal:lstm

The updates are those of `mnist_lstm`, and training goes on from its phi, but each matrix of updates
is halfway to the one of the same RMS whose singular values are alike (`l2l_tf.rule.matrices`). A
coordinate then no longer moves by its own gradients alone.
"""

import sonnet as snt
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.optimizers import base
from l2l_tf.rule import matrices
from l2l_tf.rule import ops
from l2l_tf.storage import optimizer_files

SHARE = 0.5


@snt.allow_empty_variables
class HalfOrthogonal(base.Wrapper):
  """Another optimizer, whose updates u of small matrices become u + SHARE (O - u).

  O has the singular vectors of u, singular values near each other, and the RMS of u.
  """

  def __init__(self, optimizer: base.Optimizer, name: str = "half_orthogonal"):
    """Takes the optimizer, whose variables are phi."""
    super().__init__(optimizer, name)
    self.coordinatewise = self.divisible = False

  def initial_state(self, params: base.Params) -> base.State:
    return self.optimizer.initial_state(params)

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    updates, state = self.optimizer(gradients, state, params)
    return {name: _turned(update) for name, update in updates.items()}, state


def _turned(update: tf.Tensor) -> tf.Tensor:
  if not matrices.is_small(tuple(update.shape[1:])):
    return update
  shape = [update.shape[0], *matrices.sides(tuple(update.shape[1:]))]
  found = matrices.orthogonal(ops.of("tensorflow"), tf.reshape(update, shape))
  return update + SHARE * (tf.reshape(found, update.shape) - update)


def lstm(seed: int) -> optimizers.Optimizer:
  """`mnist_lstm` so; phi is its own, whatever the seed."""
  del seed
  optimizer, _ = optimizer_files.load_optimizer(pretrained.find("mnist_lstm"))
  return HalfOrthogonal(optimizer)
