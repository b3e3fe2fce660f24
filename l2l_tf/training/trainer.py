"""What every meta-training has: episodes, epochs, validation, the best phi, and its Adam.

An episode is one trajectory of the optimizee; an epoch is `episodes_per_epoch` of them, after which
phi is frozen and validated on held-out instances, and kept if it is the best so far.
"""

import abc
from collections.abc import Callable
import functools
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.config.training import Training
from l2l_tf.optimizers import Adam
from l2l_tf.optimizers import Optimizer
from l2l_tf.optimizers import blocks
from l2l_tf.problems.base import Mixture
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
from l2l_tf.training.counters import Progress
from l2l_tf.training.distribution import Distribution


class Diverged(RuntimeError):
  """Too many meta-steps in a row were not finite."""


class StepReport(NamedTuple):
  """What one meta-step did."""

  loss: float  # what phi is trained to lower: mean of f over the window and the instances
  gradient_norm: float  # of the meta-gradient, before clipping
  finite: bool  # whether phi was updated


class Trainer(abc.ABC):
  """Trains the variables phi of `optimizer`; how meta-gradients come about is left open."""

  def __init__(
    self,
    problem: Problem | Mixture,
    optimizer: Optimizer,
    config: Training,
    distribution: Distribution = Distribution(),
  ):
    """Starts.

    Args:
      problem: what phi is trained on.
      optimizer: whose variables phi is; made in the scope of the distribution's strategy.
      config: how.
      distribution: which devices take which instances; `num_tasks` and `validation_runs` must be
        multiples of its number of replicas.

    Raises:
      DistributionError: if they are not.
    """
    self.problem = problem
    self.optimizer = optimizer
    self.config = config
    self.distribution = distribution
    self.progress = Progress()
    self.phi = optimizer.trainable_variables
    self.best = [tf.Variable(v, trainable=False) for v in self.phi]
    meta_state = Adam(0.0).initial_state(with_tasks_axis(self.phi))
    self.meta_state = tf.nest.map_structure(variable, meta_state)
    self.runner = optimizer if config.jit_compile else blocks.split(optimizer)
    held_out = problem.validation if isinstance(problem, Mixture) else {"": problem}
    self._held_out = {name: Rollout(own, self) for name, own in held_out.items()}
    self._validation_seeds(next(iter(held_out.values())))  # that their number is right shows now

  def before_saving(self):  # noqa: B027
    """Brings `trackables` up to date. All workers of the distribution must call it."""

  def after_restoring(self):  # noqa: B027
    """Goes on from what is in `trackables`."""

  def trackables(self) -> dict[str, Any]:
    """What a checkpoint of this training holds beside its `progress`."""
    return {
      "optimizer": self.optimizer,
      "best": self.best,
      "meta_state": tf.nest.flatten(self.meta_state),
    }

  @abc.abstractmethod
  def _begin_episode(self):
    """Is called at the start of each."""

  @abc.abstractmethod
  def _advance(self, learning_rate: tf.Tensor) -> StepReport:
    """Takes one meta-step; phi and what it leads to stay as they were unless it is finite."""

  @property
  def done(self) -> bool:
    """Whether the last epoch is over, or patience is at its end."""
    stale = self.progress.epoch - self.progress.best_epoch
    return self.progress.epoch >= self.config.num_epochs or 0 < self.config.patience <= stale

  @property
  def epoch_complete(self) -> bool:
    """Whether all meta-steps of the epoch are taken, and `end_epoch` is due."""
    at_last = self.progress.episode == self.config.episodes_per_epoch
    return at_last and self.progress.window == self.config.windows

  @property
  def meta_steps(self) -> int:
    """Meta-steps begun since the start of training, abandoned windows of bad episodes included."""
    p = self.progress
    in_epoch = max(p.episode - 1, 0) * self.config.windows + p.window
    return p.epoch * self.config.steps_per_epoch + in_epoch

  def learning_rate(self) -> float:
    """Adam's learning rate of this meta-step, on a cosine from first to final."""
    config = self.config
    done = self.meta_steps / (config.num_epochs * config.steps_per_epoch)
    weight = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.final_learning_rate + weight * (config.learning_rate - config.final_learning_rate)

  def step(self) -> StepReport:
    """Takes the next meta-step of the epoch.

    A step whose loss or gradient is not finite leaves phi as it was, is counted, and ends its
    episode.

    Raises:
      Diverged: after `max_bad_steps` of them in a row.
    """
    progress = self.progress
    if progress.episode == 0 or progress.window == self.config.windows:
      progress.episode += 1
      progress.window = 0
      self._begin_episode()
    report = self._advance(tf.constant(self.learning_rate()))
    if report.finite:
      progress.window += 1
      progress.bad_in_a_row = 0
      progress.sum_loss += report.loss
      progress.sum_norm += report.gradient_norm
      progress.finite_steps += 1
    else:
      progress.window = self.config.windows
      progress.bad_steps += 1
      progress.bad_in_a_row += 1
      if progress.bad_in_a_row >= self.config.max_bad_steps:
        raise Diverged(
          f"{progress.bad_in_a_row} meta-steps in a row had a loss or gradient that is not finite"
          f" (the last: loss {report.loss}, gradient norm {report.gradient_norm}). Try a smaller"
          " `learning_rate` or `output_scale`."
        )
    return report

  def run_epoch(self) -> dict[str, Any]:
    """Takes the meta-steps that are left of the epoch, and ends it; returns its row."""
    while not self.epoch_complete:
      self.step()
    return self.end_epoch()

  def end_epoch(self, between: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Validates phi, keeps it if it is the best, and returns the epoch's row of the history.

    Args:
      between: as in `validate`. If it raises, the epoch is still to be ended.
    """
    progress = self.progress
    curve, final = self.validate(between)
    progress.epoch += 1
    improved = final < progress.best_loss
    if improved:
      progress.best_loss, progress.best_epoch = final, progress.epoch
      for best, value in zip(self.best, self.phi):
        best.assign(value)
    count = max(progress.finite_steps, 1)
    row = {
      "epoch": progress.epoch,
      "meta_loss": progress.sum_loss / count if progress.finite_steps else math.nan,
      "gradient_norm": progress.sum_norm / count if progress.finite_steps else math.nan,
      "validation_final_loss": final,
      "validation_mean_loss": float(np.mean(curve[1:])),
      "bad_steps": progress.bad_steps,
    }
    progress.history.append(row)
    progress.episode = progress.window = progress.finite_steps = 0
    progress.sum_loss = progress.sum_norm = 0.0
    return {**row, "improved": improved, "validation_curve": curve}

  def validate(self, between: Callable[[], None] = lambda: None) -> tuple[np.ndarray, float]:
    """Runs phi on the held-out instances: their mean curve `[T+1]`, and its final loss.

    Of a mixture it is the geometric mean over the validation problems, so that each counts alike. A
    run that is not finite makes the loss infinite.

    Args:
      between: is called before every window; may raise to stop.
    """
    curves = []
    for held_out in self._held_out.values():
      seeds = self._validation_seeds(held_out.problem)
      curves.append(held_out.mean_curve(seeds, between))
    with np.errstate(divide="ignore", invalid="ignore"):
      curve = np.exp(np.mean(np.log(curves), 0)) if len(curves) > 1 else curves[0]
    final = float(np.mean(curve[-unroll.FINAL_STEPS :]))
    return curve, final if math.isfinite(final) else math.inf

  def use_best(self):
    """Sets phi to the best that validation has seen."""
    for value, best in zip(self.phi, self.best):
      value.assign(best)

  def _update(self, gradients, mean_loss: tf.Tensor, learning_rate: tf.Tensor):
    """In the graph: Adam's update of phi unless something is not finite; the norm, and whether."""
    norm = tf.linalg.global_norm(gradients)
    finite = tf.math.is_finite(mean_loss) & tf.math.is_finite(norm)
    if limit := self.config.max_gradient_norm:
      gradients, _ = tf.clip_by_global_norm(gradients, limit, use_norm=norm)
    state = tf.nest.map_structure(tf.convert_to_tensor, self.meta_state)
    updates, state = Adam(learning_rate)(with_tasks_axis(gradients), state)
    if any(x.dtype.size == 2 for x in self.phi):  # gradients may fit where their updates do not
      finite &= tf.math.is_finite(tf.linalg.global_norm(list(updates.values())))
    for own, update in zip(self.phi, updates.values()):
      own.assign(tf.where(finite, own + update[0], own))
    for own, value in zip(tf.nest.flatten(self.meta_state), tf.nest.flatten(state)):
      own.assign(tf.where(finite, value, own))
    return norm, finite

  def _episode_seeds(self, problem: Problem) -> Any:
    p, config = self.progress, self.config
    seeds = problem.seeds(
      config.seed, Stream.META_TRAINING, p.epoch, p.episode, count=config.num_tasks
    )
    return self.distribution.scatter(self.distribution.shares(seeds, "num_tasks"))

  def _validation_seeds(self, problem: Problem) -> Any:
    count = self.config.validation_runs
    seeds = problem.seeds(self.config.seed, Stream.VALIDATION, count=count)
    return self.distribution.scatter(self.distribution.shares(seeds, "validation_runs"))


class Rollout:
  """Runs of the present phi on one problem, compiled once."""

  def __init__(self, problem: Problem, trainer: Trainer):
    self.problem = problem
    self._config = trainer.config
    self._distribution = distribution = trainer.distribution
    runner, length = trainer.runner, trainer.config.window_length

    def start(seeds):
      return unroll.start(problem, runner, seeds)

    def follow(carry):
      return unroll.unroll(problem, runner, carry, length)

    self._start = of_a_problem(lambda seeds: distribution.run(start, seeds))
    self._follow = of_a_problem(lambda carry: distribution.run(follow, carry))

  def start(self, seeds: Any) -> tuple[Any, Any]:
    """Stands at theta_0: the carries and the losses, over the replicas."""
    return self._start(seeds)

  def mean_curve(self, seeds: Any, between: Callable[[], None]) -> np.ndarray:
    """The mean loss over the instances, `[T+1]`."""
    carry, first = self._start(seeds)
    curves = [self._distribution.concat(first, axis=0)[tf.newaxis]]
    for _ in range(self._config.windows):
      between()
      carry, losses = self._follow(carry)
      curves.append(self._distribution.concat(losses, axis=1))
    return tf.concat(curves, axis=0).numpy().mean(axis=1, dtype=np.float64)


def of_a_problem(
  function: Callable[..., Any], jit_compile: bool | None = None
) -> Callable[..., Any]:
  """Compiles what each of many problems has one of.

  TensorFlow tells functions apart by their code when it warns that one is traced over and over.
  A `partial` has none, so that those of several problems are not taken for one.
  """
  return tf.function(functools.partial(function), autograph=False, jit_compile=jit_compile)


def variable(value: tf.Tensor) -> tf.Variable:
  """A variable that no gradient is taken of."""
  return tf.Variable(value, trainable=False)


def with_tasks_axis(tensors) -> dict[str, tf.Tensor]:
  """Phi as one instance of parameters, so that an `Optimizer` can optimize it."""
  return {str(i): tf.convert_to_tensor(t)[tf.newaxis] for i, t in enumerate(tensors)}
