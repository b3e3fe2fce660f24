"""A meta-training with its run directory: config, checkpoints, event files, the best optimizer."""

from collections.abc import Callable, Mapping
import functools
import math
import os
import time
from typing import Any

from absl import logging
import tensorflow as tf

from l2l_tf.config.experiment import Experiment
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import protocol
from l2l_tf.inspection import observation
from l2l_tf.problems.base import Mixture
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import shapes
from l2l_tf.runs import checkpoints
from l2l_tf.runs import config as run_config
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import reporting
from l2l_tf.runs import tensorboard
from l2l_tf.runs import warm_start
from l2l_tf.runs.directory import CONFIG_FILE
from l2l_tf.runs.signals import Interrupted
from l2l_tf.runs.signals import Signals
from l2l_tf.runs.training_report import TrainingReport
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.training import imitation
from l2l_tf.training.counters import Progress
from l2l_tf.training.distribution import Distribution
from l2l_tf.training.evolution_trainer import EvolutionTrainer
from l2l_tf.training.meta_trainer import MetaTrainer
from l2l_tf.training.persistent_trainer import PersistentTrainer
from l2l_tf.training.trainer import Diverged

TRAINERS = {"backprop": MetaTrainer, "es": EvolutionTrainer, "pes": PersistentTrainer}
RIVALS = ("adam", "sgd")  # to compare with


class TrainingRun:
  """One run directory, which is this process's, and the training in it.

  A `with` statement gives the directory back at its end; else it is held until the process ends.
  """

  def __init__(self, directory: str, experiment: Experiment, distribution: Distribution):
    """Builds the problem, the optimizer and its trainer, for `new` and `resume`."""
    self.directory = directory
    self.experiment = experiment
    self.distribution = distribution
    self.problem, self.data = experiment.problem.build()
    training = experiment.training
    with distribution.strategy.scope():
      optimizer = experiment.optimizer.build(training.seed)
    trained_on = [self.problem]
    if isinstance(self.problem, Mixture):
      trained_on = [*self.problem.problems.values(), *self.problem.validation.values()]
    for problem in trained_on:
      optimizer.check(shapes(problem), every_group=True)
    kind = TRAINERS[training.estimator]
    self.trainer = kind(self.problem, optimizer, training, distribution)
    self._checkpoint = checkpoints.TrainingCheckpoint(
      os.path.join(directory, run_directory.CHECKPOINTS), self.trainer.trackables()
    )
    replicas = distribution.num_replicas
    self.config = run_config.make(experiment, self.problem, self.data, optimizer, replicas)

  @classmethod
  def new(
    cls,
    directory: str,
    experiment: Experiment,
    *,
    init_from: str | None = None,
    distribution: Distribution = Distribution(),
    on_round: Callable[[int, imitation.Round], None] = lambda index, result: None,
  ) -> "TrainingRun":
    """Begins a run: sets its first phi, saves it, and then `config.json`.

    Args:
      directory: of the run, new or empty.
      experiment: what to train.
      init_from: directory or pretrained name of an optimizer of the same kind, or of that of every
        group of a partition, whose phi the run starts from.
      distribution: of the instances over devices; a run keeps the number of replicas it began with.
      on_round: is given each round of imitation, if the run begins with that.

    Raises:
      RunError: if the directory holds anything, or another process has it, or it cannot be written.
      DistributionError: if the instances cannot be split over the replicas.
      LabelError: if the optimizer is a partition that the problem's parameters do not fit.
    """
    with run_directory.claimed(directory):
      run = cls(directory, experiment, distribution)
      run._begin(init_from, on_round)
    return run

  @classmethod
  def resume(
    cls,
    directory: str,
    *,
    distribution: Distribution = Distribution(),
    user_problem: str | None = None,
    user_optimizer: str | None = None,
  ) -> "TrainingRun":
    """Takes up the run in `directory` where its newest checkpoint left it.

    Args:
      directory: of the run.
      distribution: of the instances over devices.
      user_problem: the `module:factory` that this run may import and call. What a file alone names
        is not run.
      user_optimizer: likewise, of an optimizer.

    Raises:
      RunError: if the directory holds no run, or one of another user's code, other data or
        another number of replicas, or another process has it, or it cannot be written.
      CheckpointError: if its files are damaged.
    """
    experiment = run_config.read(directory)
    run_config.check_code(directory, "problem", experiment.users_problem, user_problem)
    run_config.check_code(directory, "optimizer", experiment.users_optimizer, user_optimizer)
    with run_directory.taken_up(directory):
      run = cls(directory, experiment, distribution)
      run._go_on()
    return run

  def __enter__(self) -> "TrainingRun":
    return self

  def __exit__(self, *exc_info: Any):
    run_directory.unlock(self.directory)

  def _begin(self, init_from: str | None, on_round: Callable[[int, imitation.Round], None]):
    """Sets the first phi, saves it, and then the config."""
    if init_from:
      self.config["init_from"] = warm_start.copy(
        self.trainer.optimizer, init_from, self.experiment.users_factory
      )
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
    total = len(RIVALS) * protocol.least_to_run(self.shown) * num_runs
    with reporting.Report(total, "run", label=label) as report:
      rates = baselines.tune(self.shown, RIVALS, *setting, num_runs, report.advance)
    reporting.say(f"Running both on the {training.validation_runs} instances of validation")
    return baselines.validate(self.shown, rates, *setting, training.validation_runs)

  def train(
    self,
    tuned: Mapping[str, baselines.Rival] | None = None,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
    command: str = "",
  ):
    """Trains to the end, saving all state after every epoch; then sets phi to the best.

    Args:
      tuned: what `tune_rivals` returned, to draw beside the learned optimizer.
      on_epoch: is given each epoch's row of the history once it is saved; may raise to stop.
      command: that began or resumed the run, for TensorBoard.

    Raises:
      Interrupted: after SIGINT or SIGTERM, with everything saved.
      Diverged: if too many meta-steps in a row were not finite; the best so far is kept.
    """
    trainer, tuned = self.trainer, tuned or {}
    rival_curves = {name: rival.curve for name, rival in tuned.items()}
    events = tensorboard.Summaries(self.directory, self.config, command, rival_curves)
    report = TrainingReport(trainer)
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
        curve = row.pop("validation_curve")
        shown = row | {"best_validation_loss": trainer.progress.best_loss}
        events.epoch(shown, curve, observe, trainer.done)
        if received := self.distribution.highest(signals.received):
          raise Interrupted(received)
        on_epoch(row)
    trainer.use_best()

  def _observer(self, rates: Mapping[str, float]) -> Callable[[], observation.Observation]:
    """Returns what observes phi on the first held-out instance; built when it is first called."""
    training = self.experiment.training

    @functools.cache
    def observer():
      (seed,) = self.shown.seeds(training.seed, Stream.VALIDATION, count=1)
      copy = self.experiment.optimizer.build(training.seed)
      return observation.Observer(self.shown, copy, rates, seed, training.num_steps)

    return lambda: observer()(self.trainer.phi)

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
      _, about = optimizer_files.load_optimizer(self.best_directory, self.experiment.users_factory)
      whole = about.get("epoch") == best_epoch
    except files.CheckpointError as error:
      logging.warning("%s It is written anew from the checkpoint.", error)
      whole = False
    if not whole:
      self._save_best()


def _finite_or_none(row: dict[str, Any]) -> dict[str, Any]:
  """A row of the history in numbers that JSON has: an epoch may have diverged."""
  return {name: value if math.isfinite(value) else None for name, value in row.items()}
