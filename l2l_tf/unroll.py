"""The unrolled optimization: an optimizer applied to a problem for a window of steps (Figure 2)."""

from collections.abc import Iterator
import contextlib
import re
from typing import Any, NamedTuple

import tensorflow as tf

from l2l_tf.errors import ExpectedError
from l2l_tf.optimizers.base import Optimizer
from l2l_tf.problems import base as problem_lib

FINAL_STEPS = 10  # the final loss of a run is the mean over its last ten steps


class NotDifferentiable(ExpectedError, ValueError):
  """f has an operation without a derivative that is needed; the message names it."""


class Carry(NamedTuple):
  """What one window of an unroll hands to the next, of B instances: the first axis but for `state`.

  The gradient at the last point of a window is the first input of the next one, so it is carried
  rather than evaluated twice.
  """

  params: problem_lib.Params  # theta_t
  gradients: problem_lib.Params  # of f at theta_t on the minibatch of step t
  state: Any  # h_t, the optimizer's; `optimizers.axes` tells its axes
  task: Any  # what makes f this instance
  seeds: tf.Tensor  # int32 [B, 2], of the instances' minibatches
  step: tf.Tensor  # int32 scalar t


def start(problem: problem_lib.Problem, optimizer: Optimizer, seeds: tf.Tensor):
  """Samples an instance a seed and stands at its theta_0.

  Args:
    problem: what to optimize.
    optimizer: what will optimize it.
    seeds: int32 `[B, 2]`: seed b decides all randomness of instance b, whatever the optimizer.

  Returns:
    The `Carry` at step 0 and f(theta_0), `[B]`.

  Raises:
    TypeError: if theta is of another float type than phi.
    ValueError: if a parameter is empty.
    NotDifferentiable: if f has no gradient.
  """
  seeds = tf.convert_to_tensor(seeds, tf.int32)
  params, task = problem_lib.instances(problem, seeds)
  empty = {name: tuple(x.shape[1:]) for name, x in params.items() if 0 in x.shape}
  if empty:
    raise ValueError(f"Parameters of the problem are empty, {empty}: leave them out of theta_0.")
  types = {name: x.dtype.name for name, x in params.items()}
  for phi in optimizer.trainable_variables[:1]:
    if set(types.values()) != {phi.dtype.name}:
      raise TypeError(
        f"The optimizer computes in {phi.dtype.name}, the problem's parameters are of"
        f" {types}. Let its `init` return {phi.dtype.name}."
      )
  return start_at(problem, optimizer, params, task, seeds)


def start_at(
  problem: problem_lib.Problem,
  optimizer: Optimizer,
  params: problem_lib.Params,
  task: Any,
  seeds: tf.Tensor,
):
  """Does what `start` does, at these parameters of these instances."""
  step = tf.constant(0)
  losses, gradients = _value_and_gradients(problem, params, task, seeds, step)
  return Carry(params, gradients, optimizer.initial_state(params), task, seeds, step), losses


def unroll(
  problem: problem_lib.Problem,
  optimizer: Optimizer,
  carry: Carry,
  num_steps: int | tf.Tensor,
  second_derivatives: bool = False,
) -> tuple[Carry, tf.Tensor]:
  """Takes `num_steps` optimization steps; the losses are differentiable in phi.

  A window that starts at theta_t returns f(theta_{t+1}), ..., f(theta_{t+num_steps}), each on the
  minibatch of its own step. Consecutive windows thus count every point after theta_0 exactly once,
  and each loss with its dependence on the update just taken. f(theta_0) does not depend on phi.

  By default derivatives of the gradients are dropped (the dashed edges of Figure 2), and the losses
  are linearised: L_t has the value f(theta_t) and, as the derivative of f(theta_t) with respect to
  phi is <grad_t, d theta_t / d phi> with grad_t already at hand as the optimizer's next input, it
  is built as stop(f(theta_t)) + <stop(grad_t), theta_t - stop(theta_t)>. Backpropagation never
  visits f, nor keeps its activations.

  Args:
    problem: what to optimize.
    optimizer: what optimizes it.
    carry: where to start; truncated backpropagation results from starting at a constant.
    num_steps: T, the length of the window; an int32 scalar, if one program is for many lengths.
    second_derivatives: differentiate through the gradients and f as well (exact Eq. 3).

  Returns:
    The carry after the window, and the losses `[T, B]`.
  """

  def body(t, carry, losses):
    inputs = carry.gradients
    if not second_derivatives:
      inputs = tf.nest.map_structure(tf.stop_gradient, inputs)
    updates, state = optimizer(inputs, carry.state, carry.params)
    params = {name: theta + updates[name] for name, theta in carry.params.items()}
    step = carry.step + 1
    if second_derivatives:
      loss, gradients = _value_and_gradients(problem, params, carry.task, carry.seeds, step, True)
    else:
      point = tf.nest.map_structure(tf.stop_gradient, params)
      loss, gradients = _value_and_gradients(problem, point, carry.task, carry.seeds, step)
      loss, gradients = tf.nest.map_structure(tf.stop_gradient, (loss, gradients))
      loss += sum(
        tf.reduce_sum(
          gradients[name] * (params[name] - point[name]), tf.range(1, params[name].ndim)
        )
        for name in params
      )
    next_carry = Carry(params, gradients, state, carry.task, carry.seeds, step)
    return t + 1, next_carry, losses.write(t, loss)

  num_tasks = carry.seeds.shape[0]
  dtype = next(iter(carry.params.values())).dtype
  losses = tf.TensorArray(dtype, size=num_steps, element_shape=[num_tasks])
  _, carry, losses = tf.while_loop(
    lambda t, *_: t < num_steps,
    body,
    (tf.constant(0), carry, losses),
    maximum_iterations=num_steps,
  )
  return carry, losses.stack()


def _value_and_gradients(problem, params, task, seeds, step, second_derivatives=False):
  """Returns f and its gradients on the minibatches of `step`, for every instance."""
  seeds = problem_lib.at_step(seeds, step)
  with differentiating(second_derivatives):
    return problem_lib.losses_and_gradients(problem, params, task, seeds)


@contextlib.contextmanager
def differentiating(second_derivatives: bool = False) -> Iterator[None]:
  """Puts into words that an operation has no derivative.

  Args:
    second_derivatives: whether the gradient of f is what is differentiated.

  Raises:
    NotDifferentiable: if it has none.
  """
  try:
    yield
  except LookupError as error:
    if type(error) is not LookupError:  # as a KeyError is
      raise
    kind = re.search(r"op type: (\w+)", str(error))
    what = kind[1] if kind else " ".join(str(error).split())[:200]
    if second_derivatives:
      raise NotDifferentiable(
        f"`second_derivatives` cannot be had: {what}, an operation in the gradient of f, has no"
        " gradient. Train without, or write f by other operations."
      ) from error
    raise NotDifferentiable(
      f"f cannot be differentiated: its operation {what} has no gradient. Write f by others."
    ) from error


def rollout(
  problem: problem_lib.Problem,
  optimizer: Optimizer,
  seeds: tf.Tensor,
  num_steps: int | tf.Tensor,
) -> tf.Tensor:
  """Optimizes one instance a seed for `num_steps` steps: f(theta_0), ..., f(theta_T), `[T+1, B]`.

  Each loss is taken on the minibatch of its own step, before the optimizer has seen it.
  """
  carry, first = start(problem, optimizer, seeds)
  _, losses = unroll(problem, optimizer, carry, num_steps)
  return tf.concat([first[tf.newaxis], losses], axis=0)
