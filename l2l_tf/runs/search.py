"""Random search of the meta learning rate (section 3), shared by any number of processes.

Trial i is the run directory `trial_iii`. Its learning rate is a function of the experiment's seed
and i, so the trial is the same whoever runs it, and an interrupted one is resumed there. Whoever
runs it holds the lock of the directory, which goes with the process; its `RESULT_FILE`, written
last, settles it. A trial whose best validation loss is worse than the median of the others' after
as many epochs is pruned.
"""

from collections.abc import Sequence
import glob
import json
import math
import os
import re
import statistics

import numpy as np

from l2l_tf.config.experiment import Experiment
from l2l_tf.config.options import Options
from l2l_tf.runs import config as run_config
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs.directory import RunError
from l2l_tf.runs.run import TrainingRun
from l2l_tf.storage import files
from l2l_tf.training.trainer import Diverged

RATES = (1e-4, 1e-2)  # sampled log-uniformly
RESULT_FILE = "result.json"
SEARCH_FILE = "search.json"  # the experiment whose rate is searched
JOURNAL_FILE = "study.log"  # in which searches of old were kept
LEAST_COMPLETE = 4  # trials that others are compared with
LEAST_EPOCHS = 2  # of a trial that is pruned


class Trial(Options):
  """A settled trial: what its `RESULT_FILE` holds."""

  index: int
  learning_rate: float
  losses: list[float | None]  # final ones of validation, an epoch each; None: not finite
  pruned: bool  # or diverged

  @property
  def best_loss(self) -> float:
    """The least of its losses."""
    return min(map(_or_infinite, self.losses), default=math.inf)


class _Pruned(Exception):
  """The trial is not worth going on."""


def learning_rate(seed: int, index: int) -> float:
  """Returns the meta learning rate of trial `index`."""
  low, high = np.log(RATES)
  return float(np.exp(np.random.default_rng([seed, index]).uniform(low, high)))


def search(directory: str, experiment: Experiment, num_trials: int) -> list[Trial]:
  """Runs those of the trials 0..num_trials-1 that are neither settled nor running elsewhere.

  Args:
    directory: holds a run directory a trial; may hold those of an earlier search.
    experiment: what to train; its first and final learning rates are scaled alike.
    num_trials: how many trials there shall be, earlier ones and other processes' included.

  Returns:
    The settled trials, that of the least validation loss first.

  Raises:
    RunError: if the directory's trials are of another experiment or cannot be read.
    Interrupted: after SIGINT or SIGTERM; the trial can be resumed.
  """
  run_directory.make(directory)
  if os.path.exists(os.path.join(directory, JOURNAL_FILE)):
    raise RunError(
      f"{directory} holds a search of an older version, whose trials are listed in {JOURNAL_FILE}."
      " Remove that file to go on with them (pruned ones are then trained to their end), or name"
      " another `run_dir`."
    )
  _take_up(directory, experiment)
  for index in range(num_trials):
    _settle(directory, index, experiment)
  return settled(directory)


def settled(directory: str) -> list[Trial]:
  """Returns the settled trials of a search, that of the least validation loss first.

  Raises:
    RunError: if what one has left cannot be read.
  """
  names = glob.glob(os.path.join("trial_*", RESULT_FILE), root_dir=directory)
  trials = [read(os.path.join(directory, name)) for name in names]
  return sorted(trials, key=lambda trial: (trial.best_loss, trial.index))


def read(path: str) -> Trial:
  """Reads a `RESULT_FILE`.

  Raises:
    RunError: if it holds no trial.
  """
  try:
    return Trial.from_dict(files.read_json(path))
  except (files.CheckpointError, ValueError) as error:
    raise RunError(
      f"{path} is not the result of a trial ({error!s:.200}). Remove it, and the same command"
      " settles that trial again from its checkpoint."
    ) from error


def table(trials: Sequence[Trial]) -> str:
  """Returns the trials in words, in their order."""
  lines = [f"  {'trial':>5}  {'learning rate':>13}  {'best validation loss':>20}  state"]
  for trial in trials:
    state = "pruned" if trial.pruned else "complete"
    lines.append(
      f"  {trial.index:5}  {trial.learning_rate:13.3g}  {trial.best_loss:20.5g}  {state}"
    )
  return "\n".join(lines)


def _trial(experiment: Experiment, index: int) -> Experiment:
  """The experiment at the learning rate of a trial, which decays alike."""
  rate = learning_rate(experiment.training.seed, index)
  return experiment.replace(training=experiment.training.replace(learning_rate=rate))


def _take_up(directory: str, experiment: Experiment):
  """Notes what is searched for, before a trial has its config: that may take minutes of imitation.

  Raises:
    RunError: if trials are of something else, or another process has noted it.
  """
  for name in glob.glob("trial_*", root_dir=directory):
    if index := re.fullmatch(r"trial_(\d{3,})", name):
      _check_trial(directory, int(index[1]), experiment)
  path = os.path.join(directory, SEARCH_FILE)
  with run_directory.writing(directory):
    if files.write_new(path, json.dumps(experiment.to_dict(), indent=2).encode()):
      return
  try:
    found = Experiment.from_dict(files.read_json(path))
  except ValueError as error:
    raise RunError(f"{path} is not the experiment of a search: {error}") from error
  if found != experiment:
    raise _another(directory)


def _another(directory: str) -> RunError:
  return RunError(f"{directory} searches for another experiment; name another `run_dir`.")


def _settle(directory: str, index: int, experiment: Experiment):
  """Settles a trial, unless it is so or another process is at it."""
  _check_trial(directory, index, experiment)
  run_dir = _run_dir(directory, index)
  run_directory.make(run_dir)
  try:
    run_directory.lock(run_dir)
  except run_directory.DirectoryTaken:
    return
  try:
    if not os.path.exists(os.path.join(run_dir, RESULT_FILE)):
      _train(directory, run_dir, index, _trial(experiment, index))
  finally:
    run_directory.unlock(run_dir)


def _check_trial(directory: str, index: int, experiment: Experiment):
  """Makes sure that a trial, if it has begun, is one of the experiment."""
  run_dir = _run_dir(directory, index)
  if _has_begun(run_dir) and run_config.read(run_dir) != _trial(experiment, index):
    raise _another(directory)


def _run_dir(directory: str, index: int) -> str:
  return os.path.join(directory, f"trial_{index:03d}")


def _has_begun(run_dir: str) -> bool:
  return os.path.exists(os.path.join(run_dir, run_directory.CONFIG_FILE))


def _train(directory: str, run_dir: str, index: int, experiment: Experiment):
  """Trains a trial's optimizer to its end, or until it is pruned, and writes its result."""
  rate = experiment.training.learning_rate
  print(f"Trial {index}: learning rate {rate:.3g}, {run_dir}", flush=True)
  if _has_begun(run_dir):
    run = TrainingRun.resume(
      run_dir,
      user_problem=experiment.users_problem,
      user_optimizer=experiment.users_optimizer,
    )
  else:
    run = TrainingRun.new(run_dir, experiment)
  progress = run.trainer.progress

  def on_epoch(row: dict[str, float]):
    if _is_worse(progress.best_loss, progress.epoch, settled(directory)):
      raise _Pruned

  try:
    run.train(on_epoch=on_epoch)
    pruned = False
  except (_Pruned, Diverged):
    pruned = True
  losses = [row["validation_final_loss"] for row in progress.history]
  finite = [loss if math.isfinite(loss) else None for loss in losses]
  trial = Trial(index=index, learning_rate=rate, losses=finite, pruned=pruned)
  with run_directory.writing(run_dir):
    files.write_json(os.path.join(run_dir, RESULT_FILE), trial.to_dict())


def _is_worse(best_loss: float, epoch: int, trials: Sequence[Trial]) -> bool:
  """Whether the best loss of a trial up to an epoch is above the median of complete ones then."""
  complete = (t.losses for t in trials if not t.pruned and len(t.losses) >= epoch)
  others = [_or_infinite(losses[epoch - 1]) for losses in complete]
  enough = epoch >= LEAST_EPOCHS and len(others) >= LEAST_COMPLETE
  return enough and best_loss > statistics.median(others)


def _or_infinite(loss: float | None) -> float:
  return math.inf if loss is None else loss
