"""A meta-training with its run directory: config, checkpoints, event files, the best optimizer."""

import functools
import math
import os
import time
from typing import Any, Callable, Mapping, Optional, Sequence

from absl import logging
import tensorflow as tf

from l2l_tf.config.experiment import Experiment
from l2l_tf.config.user_problem import user_code
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import protocol
from l2l_tf.inspection import observation
from l2l_tf.optimizers import partition
from l2l_tf.problems.base import Mixture
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import seeds_of
from l2l_tf.problems.base import shapes
from l2l_tf.problems.base import Stream
from l2l_tf.runs import checkpoints
from l2l_tf.runs import config as run_config
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import reporting
from l2l_tf.runs import tensorboard
from l2l_tf.runs import warm_start
from l2l_tf.runs.directory import CONFIG_FILE
from l2l_tf.runs.directory import RunError
from l2l_tf.runs.signals import Interrupted
from l2l_tf.runs.signals import Signals
from l2l_tf.runs.training_report import TrainingReport
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.training import imitation
from l2l_tf.training.distribution import Distribution
from l2l_tf.training.trainer import Diverged
from l2l_tf.training.evolution_trainer import EvolutionTrainer
from l2l_tf.training.persistent_trainer import PersistentTrainer
from l2l_tf.training.meta_trainer import MetaTrainer
from l2l_tf.training.counters import Progress

TRAINERS = {"backprop": MetaTrainer, "es": EvolutionTrainer, "pes": PersistentTrainer}
RIVALS = ("adam", "sgd")  # to compare with


class TrainingRun:
  """One run directory and the training in it."""

  def __init__(
    self,
    directory: str,
    experiment: Experiment,
    resume: bool = False,
    init_from: Optional[str] = None,
    distribution: Distribution = Distribution(),
    on_round: Callable[[int, imitation.Round], None] = lambda index, result: None,
  ):
    """Builds the problem and the optimizer; writes `config.json`, or checks it against a resume.

    Args:
      directory: of the run.
      experiment: what to train.
      resume: go on from the newest checkpoint in `directory`, which holds this experiment.
      init_from: directory or pretrained name of an optimizer of the same kind, or of that of every
        group of a partition, whose phi a new run starts from.
      distribution: of the instances over devices; a run keeps the number of replicas it began with.
      on_round: is given each round of imitation, if a new run begins with that.

    Raises:
      RunError: if the directory holds anything and `resume` is false, or another process has it,
        or it cannot be written, or it is to be resumed and the data or the replicas are not those
        it began with.
      DistributionError: if the instances cannot be split over the replicas.
      LabelError: if the optimizer is a partition that the problem's parameters do not fit.
    """
    self.directory = directory
    self.experiment = experiment
    self.distribution = distribution
    if resume:
      with run_directory.taken_up(directory):
        self._build()
        self._go_on()
    else:
      with run_directory.claimed(directory):
        self._build()
        self._begin(init_from, on_round)

  def _build(self):
    """Builds the problem, the optimizer and its trainer."""
    self.problem, self.data = self.experiment.problem.build()
    training = self.experiment.training
    with self.distribution.strategy.scope():
      optimizer = self.experiment.optimizer.build(training.seed)
    trained_on = [self.problem]
    if isinstance(self.problem, Mixture):
      trained_on = [*self.problem.problems.values(), *self.problem.validation.values()]
    for problem in trained_on:
      partition.check(optimizer, shapes(problem), every_group=True)
    kind = TRAINERS[training.estimator]
    self.trainer = kind(self.problem, optimizer, training, self.distribution)
    self._checkpoint = checkpoints.TrainingCheckpoint(
      os.path.join(self.directory, run_directory.CHECKPOINTS), self.trainer.trackables()
    )
    replicas = self.distribution.num_replicas
    self.config = run_config.make(self.experiment, self.problem, self.data, replicas)

  def _begin(self, init_from: Optional[str], on_round: Callable[[int, imitation.Round], None]):
    """Sets the first phi, saves it, and then the config."""
    if init_from:
      self.config["init_from"] = warm_start.copy(self.trainer.optimizer, init_from)
    if self.experiment.training.imitation_rounds:
      self.config["imitation"] = self._imitate(on_round)
    self._save()
    with run_directory.writing(self.directory):
      files.write_json(os.path.join(self.directory, CONFIG_FILE), self.config)

  def _imitate(self, on_round: Callable[[int, imitation.Round], None]) -> dict[str, Any]:
    """Fits phi to a teacher, the same on all workers; returns the options of that."""
    phi, training = self.trainer.phi, self.experiment.training
    student = self.experiment.optimizer.build(training.seed)  # of one device
    for own, value in zip(student.trainable_variables, phi):
      own.assign(value)
    options = warm_start.imitate(self.problem, student, training, on_round)
    values = [tf.convert_to_tensor(value) for value in student.trainable_variables]
    for variable, value in zip(phi, self.distribution.agree(values)):
      variable.assign(value)
    return options

  def _go_on(self):
    """Restores the newest checkpoint of the same experiment on the same data."""
    began = files.read_json(os.path.join(self.directory, CONFIG_FILE))
    run_config.check(self.directory, began, self.config)
    self.config |= {name: began[name] for name in ("init_from", "imitation") if name in began}
    text = self._checkpoint.restore()
    try:
      self.trainer.progress = Progress.from_json(text)
      self.trainer.after_restoring()
    except ValueError as error:
      raise files.CheckpointError(
        f"The checkpoint in {self.directory} does not fit this training: {error}"
      ) from error
    self._mend_best()

  @classmethod
  def resume(
    cls,
    directory: str,
    distribution: Distribution = Distribution(),
    user_problem: Optional[str] = None,
  ) -> "TrainingRun":
    """Takes up the run in `directory` where its newest checkpoint left it.

    Args:
      directory: of the run.
      distribution: of the instances over devices.
      user_problem: the `module:factory` that this run may import and call. What a file alone names
        is not run.

    Raises:
      RunError: if the directory holds no run, or one on another user's problem.
      CheckpointError: if its files are damaged.
    """
    path = os.path.join(directory, CONFIG_FILE)
    try:
      os.stat(path)
    except OSError as error:
      raise RunError(
        f"There is no run to resume in {directory}: no {CONFIG_FILE} there ({error.strerror})."
      ) from error
    config = files.read_json(path)
    try:
      experiment = Experiment.from_dict(config.get("experiment"))
    except (AttributeError, ValueError) as error:
      raise RunError(f"{directory}/{CONFIG_FILE} is not the config of a run: {error}") from error
    name = user_code(experiment.problem)
    if name != user_problem:
      raise RunError(
        f"{directory} was trained on the code {name}. Add `problem`={name} if you trust it."
        if name
        else f"{directory} was not trained on `problem`={user_problem}; leave that out."
      )
    return cls(directory, experiment, resume=True, distribution=distribution)

  @property
  def held_out(self) -> dict[str, Problem]:
    """The problems that phi is compared on: those that validate a mixture, or the only one."""
    return self.problem.validation if isinstance(self.problem, Mixture) else {"": self.problem}

  @property
  def shown(self) -> Problem:
    """The problem of the pictures: the first that phi is compared on."""
    return next(iter(self.held_out.values()))

  @property
  def best_directory(self) -> str:
    return os.path.join(self.directory, "best")

  def tune_rivals(self, num_runs: int) -> dict[str, baselines.Rival]:
    """Returns Adam and SGD, each at its best of the 30 learning rates, by name.

    Args:
      num_runs: instances for each learning rate.
    """
    training = self.experiment.training
    setting = (training.seed, training.num_steps)
    label = f"Tuning Adam and SGD, {len(protocol.LEARNING_RATES)} learning rates each"
    with reporting.Report(len(RIVALS) * num_runs, "instance", label=label) as report:
      rates = baselines.tune(self.shown, RIVALS, *setting, num_runs, report.over)
    reporting.say(f"Running both on the {training.validation_runs} instances of validation")
    return baselines.validate(self.shown, rates, *setting, training.validation_runs)

  def train(
    self,
    tuned: Optional[Mapping[str, baselines.Rival]] = None,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
  ):
    """Trains to the end, saving all state after every epoch; then sets phi to the best.

    Args:
      tuned: what `tune_rivals` returned, to draw beside the learned optimizer.
      on_epoch: is given each epoch's row of the history once it is saved; may raise to stop.

    Raises:
      Interrupted: after SIGINT or SIGTERM, with everything saved.
      Diverged: if too many meta-steps in a row were not finite; the best so far is kept.
    """
    trainer, tuned = self.trainer, tuned or {}
    events = tensorboard.Summaries(os.path.join(self.directory, "events"), self.config)
    report = TrainingReport(trainer)
    rival_curves = {name: rival.curve for name, rival in tuned.items()}
    rates = {name: rival.learning_rate for name, rival in tuned.items()}
    observe = self._observer({name: rate for name, rate in rates.items() if rate is not None})
    with Signals() as signals, events, report:
      while not trainer.done:
        seconds = self._meta_steps(report, signals)
        row = trainer.end_epoch(between=lambda: (report.validating(), self._check(signals)))
        report.epoch(row)
        row |= {"learning_rate": trainer.learning_rate(), "seconds_per_meta_step": seconds}
        self._save()
        if row["improved"]:
          self._save_best()
        curves = {"learned": row.pop("validation_curve"), **rival_curves}
        phi = [tf.convert_to_tensor(variable) for variable in trainer.phi]  # as it is now
        events.epoch(row, curves, functools.partial(observe, phi), trainer.done)
        if received := self.distribution.highest(signals.received):
          raise Interrupted(received)
        on_epoch(row)
      report.close()
      reporting.say("Drawing what the last epoch has learned")
    trainer.use_best()

  def _observer(
    self, rates: Mapping[str, float]
  ) -> Callable[[Sequence[tf.Tensor]], observation.Observation]:
    """Returns what observes a phi on the first held-out instance; built when it is first called."""
    training = self.experiment.training

    @functools.cache
    def observer():
      (seed,) = seeds_of(self.shown, training.seed, Stream.VALIDATION, count=1)
      copy = self.experiment.optimizer.build(training.seed)
      return observation.Observer(self.shown, copy, rates, seed, training.num_steps)

    return lambda phi: observer()(phi)

  def _meta_steps(self, report: TrainingReport, signals: Signals) -> float:
    """Takes the meta-steps that the epoch still needs; returns the mean seconds of one."""
    trainer, seconds, count = self.trainer, 0.0, 0
    while not trainer.epoch_complete:
      began = time.monotonic()
      try:
        step = trainer.step()
      except Diverged:
        self._save()
        raise
      seconds, count = seconds + time.monotonic() - began, count + 1
      if not step.finite:
        logging.warning("Skipped a meta-step: loss %g, gradient norm %g.", *step[:2])
      report.step(step)
      self._check(signals)
    return seconds / count if count else math.nan

  def _check(self, signals: Signals):
    """After a signal, saves everything and raises `Interrupted`. All workers must call it."""
    if received := self.distribution.highest(signals.received):
      self._save()
      raise Interrupted(received)

  def _save(self):
    self.trainer.before_saving()
    with run_directory.writing(self.directory):
      self._checkpoint.save(self.trainer.progress.to_json())

  def _save_best(self):
    """Writes best/ from the best phi of the trainer, which a checkpoint holds too."""
    experiment, progress = self.experiment, self.trainer.progress
    optimizer = experiment.optimizer.build(experiment.training.seed)
    for variable, value in zip(optimizer.trainable_variables, self.trainer.best):
      variable.assign(value)
    about = {
      **self.config,
      "epoch": progress.best_epoch,
      "validation_final_loss": progress.best_loss,
      "history": [_finite_or_none(row) for row in progress.history[: progress.best_epoch]],
    }
    with run_directory.writing(self.best_directory):
      optimizer_files.save_optimizer(self.best_directory, optimizer, about)

  def _mend_best(self):
    """Writes best/ again unless it is what the checkpoint says: a kill may have come between."""
    best_epoch = self.trainer.progress.best_epoch
    if not best_epoch:
      return
    try:
      _, about = optimizer_files.load_optimizer(self.best_directory)
      whole = about.get("epoch") == best_epoch
    except files.CheckpointError as error:
      logging.warning("%s It is written anew from the checkpoint.", error)
      whole = False
    if not whole:
      self._save_best()


def _finite_or_none(row: dict[str, Any]) -> dict[str, Any]:
  """A row of the history in numbers that JSON has: an epoch may have diverged."""
  return {name: value if math.isfinite(value) else None for name, value in row.items()}
