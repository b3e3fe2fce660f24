"""Training an optimizer by evolution strategies: long episodes, many problems, any optimizer."""

import math
from typing import Callable

import numpy as np
import tensorflow as tf

from l2l_tf.problems.base import make_seeds
from l2l_tf.problems.base import Mixture
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
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
    self._meta_steps: dict[str, Callable[..., tuple[tf.Tensor, ...]]] = {}

  def _begin_episode(self):
    p, config = self.progress, self.config
    words = (config.seed, Stream.META_TRAINING, p.epoch, p.episode)
    rng = np.random.default_rng([*words, _CHOICE])
    self._name = self._pick(rng)
    low, high = config.shortest or config.num_steps, config.num_steps
    self._num_steps = round(math.exp(rng.uniform(math.log(low), math.log(high))))
    seeds = make_seeds(*words, _NOISE, count=config.num_tasks)
    self._noise_seeds = self.distribution.scatter(self.distribution.shares(seeds, "num_tasks"))

  def _pick(self, rng: np.random.Generator) -> str:
    if not isinstance(self.problem, Mixture):
      return ""
    weights = np.array([self.problem.weights[name] for name in self.problem.problems], float)
    return str(rng.choice(list(self.problem.problems), p=weights / weights.sum()))

  def _advance(self, learning_rate):
    problem = self.problem.problems[self._name] if self._name else self.problem
    loss, norm, finite = self._meta_step(self._name)(
      self._episode_seeds(problem), self._noise_seeds, tf.constant(self._num_steps), learning_rate
    )
    return trainer.StepReport(float(loss), float(norm), bool(finite))

  def _meta_step(self, name: str) -> Callable[..., tuple[tf.Tensor, ...]]:
    """The meta-step on one of the problems, compiled when it is first drawn."""
    if name not in self._meta_steps:
      self._meta_steps[name] = self._build_meta_step(name)
    return self._meta_steps[name]

  def _build_meta_step(self, name: str) -> Callable[..., tuple[tf.Tensor, ...]]:
    problem = self.problem.problems[name] if name else self.problem
    single = self.distribution.num_replicas == 1
    own = self._estimator(problem)
    if self.config.jit_compile and not single:
      own = tf.function(own, autograph=False, jit_compile=True)

    def meta_step(seeds, noise_seeds, num_steps, learning_rate):
      found = self.distribution.run(
        lambda *shares: self._over_all(*own(*shares, num_steps)), seeds, noise_seeds
      )
      loss, gradients = self.distribution.first(found)
      return loss, *self._update(gradients, loss, learning_rate)

    jit_compile = self.config.jit_compile and single
    return tf.function(meta_step, autograph=False, jit_compile=jit_compile)

  def _estimator(self, problem: Problem):
    """Of one replica: the mean loss, the differences of its pairs, and their perturbations."""

    def estimate(seeds, noise_seeds, num_steps):
      phi, noise = evolution.perturb(self.phi, noise_seeds, self.config.perturbation)
      twice = tf.concat([seeds, seeds], 0)
      values, means = evolution.objectives(problem, self.optimizer, phi, twice, num_steps)
      return tf.reduce_mean(means), evolution.differences(values), noise

    return estimate

  def _over_all(self, loss, differences, noise):
    """In a replica: the mean loss and the meta-gradient of the pairs of all replicas."""
    mean_square = self.distribution.mean(tf.reduce_mean(differences**2))
    units = evolution.normalised(differences, mean_square)
    gradients = evolution.gradient(units, noise, self.config.perturbation)
    return self.distribution.mean((loss, gradients))
