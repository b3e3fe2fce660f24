"""Random search of the meta learning rate (section 3), several processes on one study.

The study is an Optuna journal file. Trial i always has the same learning rate, a function of the
experiment's seed and i, and its own run directory, so an interrupted trial is resumed there. A
trial whose validation loss after an epoch is worse than the median of the others' is pruned.

Processes may die at any moment: trials are added and taken by one process at a time, whoever takes
one holds the lock of its run directory, and a line of the journal that was not finished is cut off.
"""

import contextlib
import dataclasses
import os
from typing import Any, Iterator, Optional

import numpy as np
import tensorflow as tf

from l2l_tf import surroundings
from l2l_tf.config.experiment import Experiment
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import kernel_lock
from l2l_tf.runs import literal_path
from l2l_tf.runs.run import RunError
from l2l_tf.runs.run import TrainingRun
from l2l_tf.training.trainer import Diverged

with surroundings.extra("train"):
  import optuna
  from tensorboard.plugins.hparams import summary_v2 as hparams  # its api imports Keras

RATES = (1e-4, 1e-2)  # sampled log-uniformly
STUDY_FILE = "study.log"
TURN_FILE = "search.lock"  # whose turn it is to add and to take trials
JOURNAL_LOCK_FILE = "study.lock"  # who writes into STUDY_FILE
_LINE = b'{"op_code"'  # begins every line of a journal
SETTLED = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


def learning_rate(seed: int, index: int) -> float:
  """Returns the meta learning rate of trial `index`."""
  low, high = np.log(RATES)
  return float(np.exp(np.random.default_rng([seed, index]).uniform(low, high)))


def search(directory: str, experiment: Experiment, num_trials: int) -> optuna.Study:
  """Runs trials 0..num_trials-1 that are neither done nor running elsewhere.

  Args:
    directory: holds the study and a run directory a trial; may hold an earlier search.
    experiment: what to train; its first and final learning rates are scaled alike.
    num_trials: how many trials the study shall have, earlier ones and other processes' included.

  Returns:
    The study; its best trial has the least final validation loss.

  Raises:
    RunError: if the directory's study belongs to another experiment or cannot be read.
    Interrupted: after SIGINT or SIGTERM; the trial can be resumed.
  """
  run_directory.make(directory)
  with _turn(directory):
    study = _open(os.path.join(directory, STUDY_FILE), experiment)
    _enqueue(study, directory, experiment.training.seed, num_trials)
  while trial := _take(study, directory):
    _run(study, trial, directory, experiment)
  return study


def table(study: optuna.Study) -> str:
  """Returns the settled trials in words, best first."""
  lines = [f"  {'trial':>5}  {'learning rate':>13}  {'best validation loss':>20}  state"]
  settled = [t for t in study.get_trials(deepcopy=False) if t.state in SETTLED]
  for trial in sorted(settled, key=lambda t: t.user_attrs["best_validation_loss"]):
    index, loss = trial.user_attrs["index"], trial.user_attrs["best_validation_loss"]
    rate = trial.params["learning_rate"]
    lines.append(f"  {index:5}  {rate:13.3g}  {loss:20.5g}  {trial.state.name.lower()}")
  return "\n".join(lines)


class _Lock:
  """A lock between processes, as Optuna wants it; the kernel frees it when they die."""

  def __init__(self, path: str):
    self._path = path

  def acquire(self) -> bool:
    self._file = open(self._path, "ab")  # noqa: SIM115
    kernel_lock.take(self._file, wait=True)
    return True

  def release(self):
    self._file.close()


class _JournalLock(_Lock):
  """That of a journal; cuts off the line in which a process died, or the disk was full."""

  def __init__(self, path: str):
    super().__init__(os.path.join(os.path.dirname(path), JOURNAL_LOCK_FILE))
    self._journal = path

  def acquire(self) -> bool:
    super().acquire()
    with open(self._journal, "rb+") as file:
      content = file.read()
      if not content.startswith(_LINE[: len(content)]):
        self.release()
        raise ValueError("it does not begin as a journal of Optuna's")
      if not content.endswith(b"\n"):
        file.truncate(content.rfind(b"\n") + 1)
    return True


@contextlib.contextmanager
def _turn(directory: str) -> Iterator[None]:
  """Waits until no other process adds or takes trials, and keeps them waiting in the block."""
  lock = _Lock(os.path.join(directory, TURN_FILE))
  lock.acquire()
  try:
    yield
  finally:
    lock.release()


def _open(path: str, experiment: Experiment) -> optuna.Study:
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  try:
    journal = optuna.storages.journal.JournalFileBackend(path, _JournalLock(path))
    study = optuna.create_study(
      storage=optuna.storages.JournalStorage(journal),
      study_name="meta_learning_rate",
      load_if_exists=True,
      sampler=optuna.samplers.RandomSampler(),  # never asked: every trial comes with its rate
      pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )
  except (OSError, ValueError, KeyError) as error:
    raise RunError(f"{path} is not a study that can be read: {error}.") from error
  expected = experiment.to_dict()
  recorded = study.user_attrs.get("experiment", expected)
  if recorded != expected:
    raise RunError(f"{path} searches for another experiment; name another `run_dir`.")
  study.set_user_attr("experiment", expected)
  return study


def _enqueue(study: optuna.Study, directory: str, seed: int, num_trials: int):
  """Makes trials for the indices that are neither settled, waiting nor running."""
  taken = set()
  for trial in study.get_trials(deepcopy=False):
    if trial.state == optuna.trial.TrialState.RUNNING and _abandoned(trial, directory):
      study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    elif trial.state != optuna.trial.TrialState.FAIL:
      taken.add(trial.user_attrs.get("index"))
  for index in range(num_trials):
    if index not in taken:
      rate = learning_rate(seed, index)
      study.enqueue_trial({"learning_rate": rate}, user_attrs={"index": index})


def _abandoned(trial: optuna.trial.FrozenTrial, directory: str) -> bool:
  """Whether the process that ran `trial` holds its run directory no more."""
  run_dir = _run_directory(trial, directory)
  if not os.path.isdir(run_dir):
    return True
  try:
    run_directory.lock(run_dir)
  except run_directory.DirectoryTaken:
    return False
  run_directory.unlock(run_dir)
  return True


def _take(study: optuna.Study, directory: str) -> Optional[optuna.Trial]:
  """Takes a trial that waits, with the lock of its run directory; None if none waits."""
  with _turn(directory):
    trials = study.get_trials(deepcopy=False)
    if all(trial.state != optuna.trial.TrialState.WAITING for trial in trials):
      return None
    trial = study.ask()
    try:
      run_dir = _run_directory(trial, directory)
      run_directory.make(run_dir)
      run_directory.lock(run_dir)
    except BaseException:
      study.tell(trial, state=optuna.trial.TrialState.FAIL)
      raise
  return trial


def _run_directory(trial: optuna.Trial | optuna.trial.FrozenTrial, directory: str) -> str:
  return os.path.join(directory, f"trial_{trial.user_attrs.get('index', -1):03d}")


def _run(study: optuna.Study, trial: optuna.Trial, directory: str, experiment: Experiment):
  """Trains trial's optimizer to its end, or until it is pruned, and tells the study."""
  rate = trial.suggest_float("learning_rate", *RATES, log=True)
  run_dir = _run_directory(trial, directory)
  training = experiment.training
  decay = training.final_learning_rate / training.learning_rate if training.learning_rate else 1.0
  training = dataclasses.replace(training, learning_rate=rate, final_learning_rate=decay * rate)
  print(f"Trial {trial.user_attrs['index']}: learning rate {rate:.3g}, {run_dir}", flush=True)

  def on_epoch(row: dict[str, Any]):
    trial.report(row["validation_final_loss"], row["epoch"])
    if trial.should_prune():
      raise optuna.TrialPruned

  try:
    if os.path.isfile(os.path.join(run_dir, run_directory.CONFIG_FILE)):
      user_problem = getattr(experiment.problem, "name", None)
      run = TrainingRun.resume(run_dir, user_problem=user_problem)
    else:
      run = TrainingRun(run_dir, dataclasses.replace(experiment, training=training), resume=False)
    state = optuna.trial.TrialState.COMPLETE
    try:
      run.train(None, on_epoch)
    except (optuna.TrialPruned, Diverged):
      state = optuna.trial.TrialState.PRUNED
    loss = run.trainer.progress.best_loss
    _log_hparams(run_dir, rate, loss)
    trial.set_user_attr("best_validation_loss", loss)
    study.tell(trial, loss if state == optuna.trial.TrialState.COMPLETE else None, state=state)
  except BaseException:
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    raise
  finally:
    run_directory.unlock(run_dir)


def _log_hparams(run_dir: str, rate: float, loss: float):
  """Writes the trial for TensorBoard's HParams tab."""
  with run_directory.writing(run_dir):
    writer = literal_path.event_writer(os.path.join(run_dir, "events"))
    with writer.as_default(step=0):
      hparams.hparams({"learning_rate": rate}, trial_id=os.path.basename(run_dir))
      tf.summary.scalar("search/best_validation_loss", loss)
    writer.close()
