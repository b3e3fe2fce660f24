"""Meta-gradients without backpropagation: antithetic evolution strategies.

phi is perturbed in pairs, phi + sigma e and phi - sigma e. Both optimize the same instance, from
the same theta_0 with the same minibatches. Pairs run side by side on the tasks axis, one graph for
all of them, if the optimizer can have a phi for each instance, else in turn. Nothing but sums of
losses is kept: memory does not grow with the unroll.

Over whole runs the gradient is that of the objective smoothed by a Gaussian of deviation sigma
(Salimans et al. 2017, arXiv:1703.03864, section 2). Over windows of a run, each with a perturbation
of its own, it is the window's difference times the sum of all perturbations since the run began
(persistent evolution strategies, Vicol et al. 2021, arXiv:2112.13835, Eq. 10): unbiased where that
of the window's own perturbation alone forgets what earlier windows have done to it. That is said of
`differences`; what trains is `normalised`, and so another weighting of the windows.
"""

from collections.abc import Sequence

import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.errors import ExpectedError
from l2l_tf.optimizers.base import Optimizer
from l2l_tf.problems.base import Problem

SMALLEST = 1e-8  # of a loss whose logarithm is taken
WORST = 1e8  # what a loss that is no number counts as
END_WEIGHT = 0.7  # of the last tenth of the steps, in the objective
LIMIT = 2.0  # of normalised differences


class NegativeLoss(ExpectedError, ValueError):
  """Losses have no logarithm."""


def perturb(
  phi: Sequence[tf.Tensor], seeds: tf.Tensor, sigma: float
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
  """Draws a perturbation for each pair and applies it with both signs.

  Args:
    phi: the variables, `[...]` each.
    seeds: int32 `[P, 2]`; each pair's perturbation is a function of its own seed.
    sigma: the deviation.

  Returns:
    phi of the 2 P instances, `[2 P, ...]`, those with + first, and the perturbations in units of
    sigma, `[P, ...]`.
  """

  def draw(seed):
    own = tf.random.split(seed, len(phi))
    return [tf.random.stateless_normal(x.shape, own[k], dtype=x.dtype) for k, x in enumerate(phi)]

  signature = [tf.TensorSpec(x.shape, x.dtype) for x in phi]
  noise = tf.map_fn(draw, seeds, fn_output_signature=signature)
  both = [tf.concat([x + sigma * e, x - sigma * e], 0) for x, e in zip(phi, noise)]
  return both, noise


def start(problem: Problem, optimizer: Optimizer, seeds: tf.Tensor) -> unroll.Carry:
  """Where P pairs begin: 2 P instances, both of a pair on that of its seed.

  Args:
    problem: what to optimize.
    optimizer: any.
    seeds: int32 `[P, 2]`.

  Returns:
    The carry of all; if the optimizer takes them in turn one carry an instance, stacked.
  """
  twice = tf.concat([seeds, seeds], 0)
  batched = optimizer.with_phi(optimizer.trainable_variables)
  if batched is not None:
    carry, _ = unroll.start(problem, optimizer, twice)
    return carry._replace(state=batched.initial_state(carry.params))
  begin = lambda seed: unroll.start(problem, optimizer, seed[tf.newaxis])[0]  # noqa: E731
  return tf.map_fn(begin, twice, fn_output_signature=_specs(begin, tf.TensorSpec([2], tf.int32)))


def _specs(function, *arguments):
  """The `TensorSpec`s of what a function returns, without running it."""
  traced = tf.function(function, autograph=False).get_concrete_function(*arguments)
  return tf.nest.map_structure(tf.TensorSpec.from_tensor, traced.structured_outputs)


def objectives(
  problem: Problem,
  optimizer: Optimizer,
  phi: Sequence[tf.Tensor],
  carry: unroll.Carry,
  num_steps: tf.Tensor,
  length: tf.Tensor,
) -> tuple[unroll.Carry, tf.Tensor, tf.Tensor]:
  """What each phi leads to in a window of a run.

  Args:
    problem: what to optimize.
    optimizer: any.
    phi: of each instance, `[B, ...]` for each variable of the optimizer.
    carry: where the window starts, of B instances, from `start` or the window before.
    num_steps: of the window; the graph does not depend on it.
    length: T, of the run.

  Returns:
    The carry after the window; its part of the objective, see `objective`, and its mean loss, `[B]`
    each.
  """
  batched = optimizer.with_phi(phi)
  if batched is not None:
    return objective(problem, batched, carry, num_steps, length)
  return _in_turn(problem, optimizer, phi, carry, num_steps, length)


def objective(
  problem: Problem,
  optimizer: Optimizer,
  carry: unroll.Carry,
  num_steps: tf.Tensor,
  length: tf.Tensor,
) -> tuple[unroll.Carry, tf.Tensor, tf.Tensor]:
  """A window's part of 0.3 times a run's mean log loss plus 0.7 times that of its last tenth.

  Logarithms let losses of all scales mix; losses below 1e-8 count as that. f(theta_0) does not
  count: it does not depend on phi. The parts of all windows add up to the run's objective.
  """
  tail = tf.maximum(length // 10, 1)
  zeros = tf.zeros(carry.seeds.shape[:1])
  even = (1 - END_WEIGHT) / tf.cast(length, zeros.dtype)
  more = END_WEIGHT / tf.cast(tail, zeros.dtype)

  def body(t, carry, value, total):
    carry, losses = unroll.unroll(problem, optimizer, carry, 1)
    loss = tf.cast(tf.where(tf.math.is_finite(losses[0]), losses[0], WORST), zeros.dtype)
    weight = even + tf.where(carry.step > length - tail, more, 0.0)
    value += weight * tf.math.log(tf.clip_by_value(loss, SMALLEST, WORST))
    return t + 1, carry, value, total + loss

  _, carry, value, total = tf.while_loop(
    lambda t, *_: t < num_steps, body, (tf.constant(0), carry, zeros, zeros)
  )
  return carry, value, total / tf.cast(num_steps, zeros.dtype)


def _in_turn(problem, optimizer, phi, carry, num_steps, length):
  """Puts one phi after the other into the optimizer's variables, and its own back at the end."""
  variables = optimizer.trainable_variables
  kept = [tf.identity(v) for v in variables]

  def one(row):
    values, own = row
    for variable, value in zip(variables, values):
      variable.assign(value)
    own, value, mean = objective(problem, optimizer, own, num_steps, length)
    return own, value[0], mean[0]

  own = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), carry)
  signature = own, tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.float32)
  rows = list(phi), carry
  carry, values, means = tf.map_fn(one, rows, fn_output_signature=signature, parallel_iterations=1)
  with tf.control_dependencies([values]):
    for variable, value in zip(variables, kept):
      variable.assign(value)
  return carry, values, means


def differences(objectives_: tf.Tensor) -> tf.Tensor:
  """Half of what the objectives with + exceed those with -: `[2 P]` to `[P]`."""
  plus, minus = tf.split(objectives_, 2)
  return (plus - minus) / 2


def normalised(differences_: tf.Tensor, mean_square: tf.Tensor) -> tf.Tensor:
  """Differences in units of their RMS over all pairs, cut at 2: problems of all kinds mix.

  Windows of a run are so normalised one by one. Then all count alike, the last one, which the
  objective weighs more, as much as the first.
  """
  units = tf.math.divide_no_nan(differences_, tf.sqrt(mean_square))
  return tf.clip_by_value(units, -LIMIT, LIMIT)


def gradient(differences_: tf.Tensor, noise: Sequence[tf.Tensor], sigma: float) -> list[tf.Tensor]:
  """The mean over the pairs of difference * e / sigma.

  Args:
    differences_: of the objective, or in any unit, `[P]`.
    noise: in units of sigma, `[P, ...]`; of a window the sum since the run began.
    sigma: see `perturb`.
  """

  def mean(e):
    own = tf.cast(differences_, e.dtype)
    return tf.tensordot(own, e, 1) / (sigma * tf.cast(tf.shape(own)[0], e.dtype))

  return [mean(e) for e in noise]
