"""The meta-gradient from a sample of the coordinates, for coordinatewise optimizers.

With first derivatives only, the gradients that an optimizer saw are constants of backpropagation.
Since theta_t = theta_0 + g_0 + ... + g_{t-1}, the linearised meta-loss of `unroll` is

  sum_t w_t <grad_t, theta_t> = const + sum_t <S_t, g_t>,
  S_t = w_{t+1} grad_{t+1} + ... + w_T grad_T,

and a coordinatewise optimizer turns the gradients of one coordinate into the updates of that same
coordinate. So the meta-gradient is a sum over coordinates, and an unbiased estimate of it replays
the recorded gradients of a few of them. On MNIST a thousand of the 15,680 first-layer weights serve
as well as all: the noise of minibatches is far larger.
The groups of a `Partition` are replayed one by one.

Note: the paper backpropagates through all coordinates.
"""

import itertools
import math
from typing import Any, NamedTuple

import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.optimizers import axes
from l2l_tf.optimizers import base
from l2l_tf.problems import base as problem_lib

_SALT = 20160614  # any constant, for `_seed`


class _Recorded(NamedTuple):
  state: Any  # the optimizer's
  seen: tf.Tensor  # [T, B, n], the gradients it was given
  t: tf.Tensor  # int32 scalar


class _Recorder(base.Wrapper):
  """An optimizer that keeps in its state what it was given."""

  def initial_state(self, params):
    raise NotImplementedError("A recording starts in the middle of a run.")

  def __call__(self, gradients, state, params=None):
    updates, inner = self.optimizer(gradients, state.state, params)
    flat = base.flatten(gradients)[tf.newaxis]
    seen = tf.tensor_scatter_nd_update(state.seen, [[state.t]], flat)
    return updates, _Recorded(inner, seen, state.t + 1)


def record(
  problem: problem_lib.Problem, optimizer: base.Optimizer, carry: unroll.Carry, num_steps: int
) -> tuple[unroll.Carry, tf.Tensor, tf.Tensor]:
  """Takes `num_steps` steps, and keeps the gradients that the optimizer was given.

  Args:
    problem: what to optimize.
    optimizer: what optimizes it.
    carry: where to start.
    num_steps: T.

  Returns:
    The carry after the window, the losses `[T, B]`, and the gradients at the points before each
    step, `[T, B, n]`.
  """
  num_tasks, n = carry.seeds.shape[0], base.num_coordinates(carry.params)
  dtype = next(iter(carry.params.values())).dtype
  blank = _Recorded(carry.state, tf.zeros([num_steps, num_tasks, n], dtype), tf.constant(0))
  end, losses = unroll.unroll(problem, _Recorder(optimizer), carry._replace(state=blank), num_steps)
  return end._replace(state=end.state.state), losses, end.state.seen


def losses_and_gradients(
  problem: problem_lib.Problem,
  optimizer: base.Optimizer,
  carry: unroll.Carry,
  num_steps: int,
  limit: int,
  loss_weights: tf.Tensor,
) -> tuple[unroll.Carry, tf.Tensor, list[tf.Tensor]]:
  """Takes `num_steps` steps and estimates the meta-gradient of the window.

  Args:
    problem: what to optimize.
    optimizer: coordinatewise; may be a `Partition`, and in `Blocks`.
    carry: where to start.
    num_steps: T.
    limit: how many coordinates of each parameter count; a smaller parameter counts whole.
    loss_weights: w_t of Eq. 3, `[T]`.

  Returns:
    The carry after the window, the losses `[T, B]`, and the gradients of the mean over B of the
    weighted sum over T of the losses with respect to the optimizer's trainable variables.
  """
  num_tasks = carry.seeds.shape[0]
  end, losses, recorded = record(problem, optimizer, carry, num_steps)
  dtype = recorded.dtype
  following = tf.concat([recorded[1:], base.flatten(end.gradients)[tf.newaxis]], axis=0)
  following *= tf.cast(loss_weights, dtype)[:, tf.newaxis, tf.newaxis]
  to_come = tf.cumsum(following, axis=0, reverse=True)  # S_t, [T, B, n]

  chosen = sample(carry.params, limit, _seed(carry))
  with tf.GradientTape() as tape:
    meta_loss = tf.zeros([], dtype)
    for part, params, own in optimizer.parts(carry.params, carry.state):
      where, weights = places(chosen, params, carry.params)
      seen, weighted = (tf.gather(x, where, axis=-1) for x in (recorded, to_come))
      where, _ = places(chosen, params, params)
      start = axes.along("n", lambda x, axis, i=where: tf.gather(x, i, axis=axis), own)
      meta_loss += _replay(part, start, seen, weighted * tf.cast(weights, dtype)) / num_tasks
  meta_gradients = tape.gradient(meta_loss, optimizer.trainable_variables)
  return end, losses, meta_gradients


def _replay(optimizer, state, gradients, to_come):
  """Returns sum_t <S_t, g_t> over the sampled coordinates, `[T, B, m]` each, as a scalar."""

  def body(t, state, total):
    updates, state = optimizer({"sampled": gradients[t]}, state)
    return t + 1, state, total + tf.reduce_sum(to_come[t] * updates["sampled"])

  num_steps = gradients.shape[0]
  loop = (tf.constant(0), state, tf.zeros([], gradients.dtype))
  _, _, total = tf.while_loop(lambda t, *_: t < num_steps, body, loop, maximum_iterations=num_steps)
  return total


def _seed(carry: unroll.Carry) -> tf.Tensor:
  """A seed for every window; folded, as instances and minibatches have those of `at_step`."""
  return tf.random.fold_in(problem_lib.at_step(carry.seeds[0], carry.step), _SALT)


def sample(params: base.Params, limit: int, seed: tf.Tensor) -> dict[str, tf.Tensor]:
  """Draws coordinates of each parameter, `[m]`: with replacement if it has more than `limit`."""
  chosen, seeds = {}, tf.random.split(seed, len(params))
  for i, (name, value) in enumerate(params.items()):
    size = math.prod(value.shape[1:])
    chosen[name] = tf.range(size)
    if size > limit:
      chosen[name] = tf.random.stateless_uniform([limit], seeds[i], 0, size, dtype=tf.int32)
  return chosen


def places(
  chosen: dict[str, tf.Tensor], params: base.Params, among: base.Params
) -> tuple[tf.Tensor, tf.Tensor]:
  """Where the coordinates `chosen` of `params` are in the flat ones of `among`, which has them all.

  Returns:
    The indices, and weights that make sums over them unbiased, `[m]` each.
  """
  sizes = {name: math.prod(value.shape[1:]) for name, value in among.items()}
  offsets = dict(zip(sizes, itertools.accumulate(sizes.values(), initial=0)))
  weights = [tf.fill(x.shape, sizes[n] / x.shape[0]) for n, x in ((n, chosen[n]) for n in params)]
  indices = [offsets[name] + chosen[name] for name in params]
  return tf.concat(indices, axis=0), tf.concat(weights, axis=0)
