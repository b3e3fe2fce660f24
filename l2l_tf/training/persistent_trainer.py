"""Training by persistent evolution strategies: a meta-step every window of a long run."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from l2l_tf.problems.base import Problem
from l2l_tf.training import evolution
from l2l_tf.training import evolution_trainer
from l2l_tf.training import trainer


class PersistentTrainer(evolution_trainer.EvolutionTrainer):
  """Trains phi on windows of `unroll_length` steps (Vicol et al. 2021, Algorithm 2).

  An episode is `num_steps` on one problem. Its `num_tasks` pairs go through one run after the other
  there, of lengths as an `EvolutionTrainer` draws them, in whole windows. The two of a pair keep
  theta, the optimizer's state, and the sum of their perturbations from window to window.
  """

  def __init__(self, *args, **kwargs):
    """See `Trainer`."""
    super().__init__(*args, **kwargs)
    self._starts: dict[str, Callable[[Any], Any]] = {}
    self._kept: Any = None  # a carry and sums of perturbations, over the replicas
    # What is kept has other shapes for each problem; a checkpoint has it as texts.
    self._saved = tf.Variable(tf.constant([], tf.string), trainable=False, shape=[None])

  def before_saving(self):
    amid = 0 < self.progress.window < self.config.windows
    kept = self.distribution.collect(self._kept) if amid else []
    self._saved.assign([tf.io.serialize_tensor(x) for x in tf.nest.flatten(kept)] or [""])

  def after_restoring(self):
    if 0 < self.progress.window < self.config.windows:
      self._begin_episode()
      like = self.distribution.collect(self._start(0))
      leaves = tf.nest.flatten(like)
      values = [tf.io.parse_tensor(text, x.dtype) for text, x in zip(self._saved, leaves)]
      self._kept = self.distribution.scatter(tf.nest.pack_sequence_as(like, values))

  def trackables(self) -> dict[str, Any]:
    return {**super().trackables(), "kept": self._saved}

  def _begin_episode(self):
    super()._begin_episode()
    self._runs, begun, steps = [], 0, self.config.unroll_length
    while begun < self.config.windows:
      count = min(max(round(self._draw_length() / steps), 1), self.config.windows - begun)
      self._runs.append((begun, count))
      begun += count

  def _run_of(self, window: int) -> tuple[int, int]:
    """The first window of the run that has this one, and how many it has."""
    return next(run for run in reversed(self._runs) if run[0] <= window)

  def _start(self, first: int) -> Any:
    """Where the pairs begin the run of that first window, over the replicas."""
    seeds = self._problem.seeds(*self._words(), first, count=self.config.num_tasks)
    if self._name not in self._starts:
      self._starts[self._name] = self._build_start(self._problem)
    return self._starts[self._name](
      self.distribution.scatter(self.distribution.shares(seeds, "num_tasks"))
    )

  def _build_start(self, problem: Problem) -> Callable[[Any], Any]:
    def begin(seeds):
      zeros = [tf.zeros([seeds.shape[0], *x.shape], x.dtype) for x in self.phi]
      return evolution.start(problem, self.optimizer, seeds), zeros

    return trainer.of_a_problem(lambda seeds: self.distribution.run(begin, seeds))

  def _advance(self, learning_rate):
    window = self.progress.window
    first, count = self._run_of(window)
    kept = self._start(first) if window == first else self._kept
    inputs = kept, self._noise_seeds(window)
    length = count * self.config.unroll_length
    report, kept = self._take(inputs, length, learning_rate)
    if report.finite:
      self._kept = kept
    return report

  def _estimator(self, problem: Problem):
    def estimate(kept, noise_seeds, length):
      carry, sums = kept
      phi, noise = evolution.perturb(self.phi, noise_seeds, self.config.perturbation)
      carry, values, means = evolution.objectives(
        problem, self.optimizer, phi, carry, tf.constant(self.config.unroll_length), length
      )
      sums = [total + own for total, own in zip(sums, noise)]
      return tf.reduce_mean(means), evolution.differences(values), sums, (carry, sums)

    return estimate
