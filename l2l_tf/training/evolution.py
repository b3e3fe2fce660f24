"""Meta-gradients without backpropagation: antithetic evolution strategies over whole unrolls.

phi is perturbed in pairs, phi + sigma e and phi - sigma e. Both optimize the same instance, from
the same theta_0 with the same minibatches. Pairs run side by side on the tasks axis, one graph for
all of them, if the optimizer can have a phi for each instance, else in turn. Nothing but sums of
losses is kept: memory does not grow with the unroll.

The gradient is that of the objective smoothed by a Gaussian of deviation sigma (Salimans et al.
2017, arXiv:1703.03864, section 2).
"""

from typing import Sequence

import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.optimizers.base import Optimizer
from l2l_tf.problems.base import Problem

SMALLEST = 1e-8  # of a loss whose logarithm is taken
WORST = 1e8  # what a loss that is no number counts as
END_WEIGHT = 0.7  # of the last tenth of the steps, in the objective
LIMIT = 2.0  # of normalised differences


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


def objectives(
  problem: Problem,
  optimizer: Optimizer,
  phi: Sequence[tf.Tensor],
  seeds: tf.Tensor,
  num_steps: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
  """What each phi leads to.

  Args:
    problem: what to optimize.
    optimizer: any.
    phi: of each instance, `[B, ...]` for each variable of the optimizer.
    seeds: int32 `[B, 2]`, of the instances.
    num_steps: T, which the graph does not depend on.

  Returns:
    The objective, see `objective`, and the mean loss, `[B]` each.
  """
  batched = optimizer.with_phi(phi)
  if batched is not None:
    return objective(problem, batched, seeds, num_steps)
  return _in_turn(problem, optimizer, phi, seeds, num_steps)


def objective(
  problem: Problem, optimizer: Optimizer, seeds: tf.Tensor, num_steps: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """0.3 times the mean log loss of a run plus 0.7 times that of its last tenth, and the mean loss.

  Logarithms let losses of all scales mix. f(theta_0) does not count: it does not depend on phi.
  """
  carry, first = unroll.start(problem, optimizer, seeds)
  last = num_steps - tf.maximum(num_steps // 10, 1)

  def body(t, carry, total, end, mean):
    carry, losses = unroll.unroll(problem, optimizer, carry, 1)
    loss = tf.where(tf.math.is_finite(losses[0]), losses[0], WORST)
    log = tf.math.log(tf.clip_by_value(loss, SMALLEST, WORST))
    end += tf.where(t >= last, log, tf.zeros_like(log))
    return t + 1, carry, total + log, end, mean + loss

  zeros = tf.zeros_like(first)
  _, _, total, end, mean = tf.while_loop(
    lambda t, *_: t < num_steps, body, (tf.constant(0), carry, zeros, zeros, zeros)
  )
  count = tf.cast(num_steps, zeros.dtype)
  end /= tf.cast(num_steps - last, zeros.dtype)
  return (1 - END_WEIGHT) * total / count + END_WEIGHT * end, mean / count


def _in_turn(problem, optimizer, phi, seeds, num_steps):
  """Puts one phi after the other into the optimizer's variables, and its own back at the end."""
  variables = optimizer.trainable_variables
  kept = [tf.identity(v) for v in variables]
  dtype = variables[0].dtype
  size = seeds.shape[0]

  def body(b, values, means):
    for variable, each in zip(variables, phi):
      variable.assign(each[b])
    own = tf.ensure_shape(seeds[b : b + 1], [1, 2])
    value, mean = objective(problem, optimizer, own, num_steps)
    return b + 1, values.write(b, value[0]), means.write(b, mean[0])

  arrays = [tf.TensorArray(dtype, size, element_shape=[]) for _ in range(2)]
  _, values, means = tf.while_loop(
    lambda b, *_: b < size, body, (tf.constant(0), *arrays), parallel_iterations=1
  )
  with tf.control_dependencies([values.stack()]):
    for variable, value in zip(variables, kept):
      variable.assign(value)
  return values.stack(), means.stack()


def differences(objectives_: tf.Tensor) -> tf.Tensor:
  """Half of what the objectives with + exceed those with -: `[2 P]` to `[P]`."""
  plus, minus = tf.split(objectives_, 2)
  return (plus - minus) / 2


def normalised(differences_: tf.Tensor, mean_square: tf.Tensor) -> tf.Tensor:
  """Differences in units of their RMS over all pairs, cut at 2: problems of all kinds mix."""
  units = tf.math.divide_no_nan(differences_, tf.sqrt(mean_square))
  return tf.clip_by_value(units, -LIMIT, LIMIT)


def gradient(differences_: tf.Tensor, noise: Sequence[tf.Tensor], sigma: float) -> list[tf.Tensor]:
  """The mean over the pairs of difference * e / sigma.

  Args:
    differences_: of the objective, or in any unit, `[P]`.
    noise: in units of sigma, `[P, ...]`.
    sigma: see `perturb`.
  """
  count = tf.cast(tf.shape(differences_)[0], differences_.dtype)
  return [tf.tensordot(differences_, e, 1) / (sigma * count) for e in noise]
