"""The meta-gradient of a long window in the memory of a short one.

Backpropagation through a window keeps the activations of all its steps. Here the window is cut into
segments; only what stands at their boundaries is kept, and each segment runs a second time when its
turn to be differentiated comes (Chen et al. 2016, arXiv:1604.06174). That costs one more forward
pass and serves every optimizer, with and without second derivatives. The gradient is that of
`unroll`: nothing is truncated.
"""

import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.optimizers import base
from problems import base as problem_lib


def losses_and_gradients(
  problem: problem_lib.Problem,
  optimizer: base.Optimizer,
  carry: unroll.Carry,
  num_steps: int,
  segment_length: int,
  loss_weights: tf.Tensor,
  second_derivatives: bool = False,
) -> tuple[unroll.Carry, tf.Tensor, list[tf.Tensor]]:
  """Takes `num_steps` steps, and differentiates them segment by segment, the last one first.

  Args:
    problem: what to optimize.
    optimizer: what optimizes it.
    carry: where to start.
    num_steps: T, a multiple of `segment_length`.
    segment_length: of how many steps the activations are kept at a time.
    loss_weights: w_t of Eq. 3, `[T]`.
    second_derivatives: as in `unroll`.

  Returns:
    The carry after the window, the losses `[T, B]`, and the gradients of the mean over B of the
    weighted sum over T of the losses with respect to the optimizer's trainable variables.
  """
  phi = optimizer.trainable_variables

  @tf.function
  def forward(carry):
    return unroll.unroll(problem, optimizer, carry, segment_length, second_derivatives)

  @tf.function
  def backward(carry, weights, upstream):
    start = _differentiable(carry)
    with tf.GradientTape() as tape:
      tape.watch(start)
      end, losses = forward(carry)
      targets = [tf.reduce_sum(weights * tf.reduce_mean(losses, axis=1)), *_differentiable(end)]
    ones = tf.ones_like(targets[0])
    gradients = tape.gradient(targets, [*phi, *start], [ones, *upstream], "zero")
    return gradients[: len(phi)], gradients[len(phi) :]

  carries, losses = [carry], []
  for _ in range(num_steps // segment_length):
    end, segment_losses = forward(carries[-1])
    carries.append(end)
    losses.append(segment_losses)
  weights = tf.split(tf.cast(loss_weights, losses[0].dtype), len(losses))
  total = [tf.zeros_like(v) for v in phi]
  upstream = [tf.zeros_like(x) for x in _differentiable(carries[-1])]
  for start, segment_weights in zip(carries[-2::-1], weights[::-1]):
    with tf.control_dependencies(upstream):  # else all segments run again at once
      gradients, upstream = backward(start, segment_weights, upstream)
    total = [a + b for a, b in zip(total, gradients)]
  return carries[-1], tf.concat(losses, axis=0), total


def _differentiable(carry: unroll.Carry) -> list[tf.Tensor]:
  """What hands gradients from one segment to the one before."""
  leaves = tf.nest.flatten((carry.params, carry.gradients, carry.state))
  return [x for x in leaves if x.dtype.is_floating]
