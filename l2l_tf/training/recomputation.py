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
from l2l_tf.problems import base as problem_lib


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
  num_segments = num_steps // segment_length
  dtype = next(iter(carry.params.values())).dtype
  weights = tf.reshape(tf.cast(loss_weights, dtype), [num_segments, segment_length])

  def run(carry):
    return unroll.unroll(problem, optimizer, carry, segment_length, second_derivatives)

  def forward(k, carry, starts, losses):
    starts = [array.write(k, x) for array, x in zip(starts, tf.nest.flatten(carry))]
    carry, segment_losses = run(carry)
    return k + 1, carry, starts, losses.write(k, segment_losses)

  def backward(k, total, upstream):
    start = tf.nest.pack_sequence_as(carry, [array.read(k) for array in starts])
    with tf.GradientTape() as tape:
      tape.watch(_differentiable(start))
      end, losses = run(start)
      targets = [tf.reduce_sum(weights[k] * tf.reduce_mean(losses, axis=1)), *_differentiable(end)]
    sources = [*phi, *_differentiable(start)]
    gradients = tape.gradient(targets, sources, [tf.ones([], dtype), *upstream], "zero")
    total = [a + b for a, b in zip(total, gradients)]
    return k - 1, total, gradients[len(phi) :]

  leaves = tf.nest.flatten(carry)
  starts = [tf.TensorArray(x.dtype, num_segments, element_shape=x.shape) for x in leaves]
  losses = tf.TensorArray(dtype, num_segments, element_shape=[segment_length, carry.seeds.shape[0]])
  # One segment at a time: side by side they would take the memory of all.
  options = {"maximum_iterations": num_segments, "parallel_iterations": 1}
  more = lambda k, *_: k < num_segments  # noqa: E731
  _, end, starts, losses = tf.while_loop(more, forward, (0, carry, starts, losses), **options)
  zeros = [tf.zeros_like(v) for v in phi], [tf.zeros_like(x) for x in _differentiable(end)]
  _, total, _ = tf.while_loop(lambda k, *_: k >= 0, backward, (num_segments - 1, *zeros), **options)
  return end, tf.reshape(losses.stack(), [num_steps, -1]), total


def _differentiable(carry: unroll.Carry) -> list[tf.Tensor]:
  """What hands gradients from one segment to the one before."""
  leaves = tf.nest.flatten((carry.params, carry.gradients, carry.state))
  return [x for x in leaves if x.dtype.is_floating]
