"""Training an optimizer by evolution strategies: long episodes, many problems, any optimizer."""

from collections.abc import Callable
import math
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.problems.base import Mixture
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import make_seeds
from l2l_tf.training import evolution
from l2l_tf.training import trainer

_CHOICE = 1  # words that tell the seeds of a meta-step apart
_NOISE = 2


class EvolutionTrainer(trainer.Trainer):
  """Trains the variables phi of `optimizer` on whole episodes of one problem or of a mixture.

  A meta-step is an episode: `num_tasks` antithetic pairs on one of the problems, drawn by weight,
  for a number of steps that is drawn log-uniformly from `shortest` to `num_steps`.
  """

  def __init__(self, *args, **kwargs):
    """See `Trainer`."""
    super().__init__(*args, **kwargs)
    self._meta_steps: dict[str, Callable[..., tuple[Any, ...]]] = {}

  def _begin_episode(self):
    self._rng = np.random.default_rng([*self._words(), _CHOICE])
    self._name = self._pick()
    self._length = self._draw_length()

  def _words(self) -> tuple[int, ...]:
    """What the seeds of this episode follow from."""
    p = self.progress
    return self.config.seed, Stream.META_TRAINING, p.epoch, p.episode

  def _pick(self) -> str:
    if not isinstance(self.problem, Mixture):
      return ""
    weights = np.array([self.problem.weights[name] for name in self.problem.problems], float)
    return str(self._rng.choice(list(self.problem.problems), p=weights / weights.sum()))

  def _draw_length(self) -> int:
    """Steps of a run, log-uniform."""
    low, high = self.config.shortest or self.config.num_steps, self.config.num_steps
    return round(math.exp(self._rng.uniform(math.log(low), math.log(high))))

  @property
  def _problem(self) -> Problem:
    """That of this episode."""
    return self.problem.problems[self._name] if self._name else self.problem

  def _noise_seeds(self, *more: int) -> Any:
    """Of the perturbations, int32 `[P, 2]`, over the replicas."""
    seeds = make_seeds(*self._words(), _NOISE, *more, count=self.config.num_tasks)
    return self.distribution.scatter(self.distribution.shares(seeds, "num_tasks"))

  def _advance(self, learning_rate):
    inputs = self._episode_seeds(self._problem), self._noise_seeds()
    report, _ = self._take(inputs, self._length, learning_rate)
    return report

  def _take(self, inputs, length: int, learning_rate) -> tuple[trainer.StepReport, Any]:
    """A meta-step; what the estimator keeps for the next one, over the replicas, is returned."""
    if self._name not in self._meta_steps:  # compiled when its problem is first drawn
      self._meta_steps[self._name] = self._build_meta_step(self._problem)
    step = self._meta_steps[self._name]
    loss, norm, finite, kept = step(inputs, tf.constant(length), learning_rate)
    if loss < 0:
      raise evolution.NegativeLoss(
        "Evolution strategies, estimator es and pes, take the logarithm of losses, which must be"
        f" positive; the mean loss of a meta-step was {loss:g}. Add a constant to the problem's"
        " loss, or train by backprop."
      )
    return trainer.StepReport(float(loss), float(norm), bool(finite)), kept

  def _build_meta_step(self, problem: Problem) -> Callable[..., tuple[Any, ...]]:
    single = self.distribution.num_replicas == 1
    own = self._estimator(problem)
    if self.config.jit_compile and not single:
      own = trainer.of_a_problem(own, jit_compile=True)

    def meta_step(inputs, length, learning_rate):
      def of_replica(*shares):
        loss, differences, noise, kept = own(*shares, length)
        return self._over_all(loss, differences, noise), kept

      means, kept = self.distribution.run(of_replica, *inputs)
      loss, gradients = self.distribution.first(means)
      return loss, *self._update(gradients, loss, learning_rate), kept

    jit_compile = self.config.jit_compile and single
    return trainer.of_a_problem(meta_step, jit_compile)

  def _estimator(self, problem: Problem):
    """Of one replica: mean loss, differences of its pairs, their perturbations, what is kept."""

    def estimate(seeds, noise_seeds, length):
      phi, noise = evolution.perturb(self.phi, noise_seeds, self.config.perturbation)
      carry = evolution.start(problem, self.optimizer, seeds)
      _, values, means = evolution.objectives(problem, self.optimizer, phi, carry, length, length)
      return tf.reduce_mean(means), evolution.differences(values), noise, ()

    return estimate

  def _over_all(self, loss, differences, noise):
    """In a replica: the mean loss and the meta-gradient of the pairs of all replicas."""
    mean_square = self.distribution.mean(tf.reduce_mean(differences**2))
    units = evolution.normalised(differences, mean_square)
    gradients = evolution.gradient(units, noise, self.config.perturbation)
    return self.distribution.mean((loss, gradients))
