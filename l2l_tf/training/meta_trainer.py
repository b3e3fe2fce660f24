"""Training an optimizer by gradient descent: truncated backpropagation and Adam on phi (section 2).

`MetaTrainer.step` takes one meta-step: a window of the optimizee's trajectory, and Adam's update of
phi. An episode is one trajectory of `num_steps`, window after window.
"""

from typing import Any

import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.config.training import Training
from l2l_tf.optimizers import Optimizer
from l2l_tf.problems.base import Problem
from l2l_tf.training import recomputation
from l2l_tf.training import sampled_backprop
from l2l_tf.training import trainer
from l2l_tf.training.distribution import Distribution
from l2l_tf.training.loss_weights import loss_weights


class MetaTrainer(trainer.Trainer):
  """Trains the variables phi of `optimizer` on `problem`."""

  def __init__(
    self,
    problem: Problem,
    optimizer: Optimizer,
    config: Training,
    distribution: Distribution = Distribution(),
  ):
    """Starts the first episode; see `Trainer`.

    Raises:
      DistributionError: if the instances cannot be split over the replicas.
    """
    super().__init__(problem, optimizer, config, distribution)
    (self._rollout,) = self._held_out.values()
    single = distribution.num_replicas == 1
    self._window = self._build_window
    if config.jit_compile and not single:  # XLA compiles what one device does
      self._window = tf.function(self._build_window, autograph=False, jit_compile=True)
    jit_compile = config.jit_compile and single
    self._meta_step = tf.function(self._build_meta_step, autograph=False, jit_compile=jit_compile)
    self._begin_episode()
    # A checkpoint restores into variables: those of the carries of all replicas of all workers.
    carries = distribution.collect(self._carry)
    self._saved_carries = [tf.nest.map_structure(trainer.variable, carry) for carry in carries]

  def before_saving(self):
    carries = self.distribution.collect(self._carry)
    tf.nest.map_structure(lambda saved, value: saved.assign(value), self._saved_carries, carries)

  def after_restoring(self):
    self._carry = self.distribution.scatter(self._saved_carries)

  def trackables(self) -> dict[str, Any]:
    return {**super().trackables(), "carry": tf.nest.flatten(self._saved_carries)}

  def _begin_episode(self):
    self._carry, _ = self._rollout.start(self._episode_seeds(self.problem))  # over the replicas

  def _advance(self, learning_rate):
    carry, loss, norm, finite = self._meta_step(self._carry, learning_rate)
    if finite:
      self._carry = carry
    return trainer.StepReport(float(loss), float(norm), bool(finite))

  def _build_window(self, carry: unroll.Carry):
    """One window of one replica's instances: the carry, the mean loss, and the meta-gradient."""
    config = self.config
    args = (self.problem, self.runner, carry, config.unroll_length)
    weights = loss_weights(config, carry.step)
    if config.backprop_coordinates:
      carry, losses, gradients = sampled_backprop.losses_and_gradients(
        *args, config.backprop_coordinates, weights
      )
    elif config.segment_length:
      carry, losses, gradients = recomputation.losses_and_gradients(
        *args, config.segment_length, weights, config.second_derivatives
      )
    else:
      with tf.GradientTape() as tape:
        carry, losses = unroll.unroll(*args, config.second_derivatives)
        means = tf.reduce_mean(losses, axis=1)
        meta_loss = tf.reduce_sum(tf.cast(weights, means.dtype) * means)  # Eq. 3
      gradients = tape.gradient(meta_loss, self.phi)
    return carry, tf.reduce_mean(losses), gradients

  def _build_meta_step(self, carry: unroll.Carry, learning_rate: tf.Tensor):
    """One window, its meta-gradient, and Adam's update of phi unless something is not finite."""

    def window(carry):
      with unroll.differentiating(self.config.second_derivatives):
        carry, mean_loss, gradients = self._window(carry)
      return carry, self.distribution.mean((mean_loss, gradients))

    carry, means = self.distribution.run(window, carry)
    mean_loss, gradients = self.distribution.first(means)
    norm, finite = self._update(gradients, mean_loss, learning_rate)
    return carry, mean_loss, norm, finite
