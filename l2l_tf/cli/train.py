"""Meta-trains an optimizer: python bin/train.py --problem=mnist

An LSTM learns to optimize a family of functions by gradient descent (Andrychowicz et al. 2016).
The run directory gets the config, TensorBoard event files, checkpoints to resume from, and under
best/ the trained optimizer. At the end a table compares it with a tuned Adam on fresh instances; a
sentence says who is ahead, and three commands go on from there. Ctrl-C stops cleanly; --resume goes
on. --problem=module:factory trains on a problem of your own: factory() in module.py returns it
(docs/keras.md).
"""

import os
import shutil
import sys
import tempfile
import time
from typing import Mapping, Optional, Sequence

import numpy as np

from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import mixture_report
from l2l_tf.cli import next_steps
from l2l_tf.cli.imitate import print_round
from l2l_tf.config import user_problem
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import verdict
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import partition
from l2l_tf.plotting import curves as plots
from l2l_tf.plotting import terminal
from l2l_tf.problems import DataError
from l2l_tf.problems.base import Mixture
from l2l_tf.problems.base import Stream
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import reporting
from l2l_tf.runs import run as training_run
from l2l_tf.runs import search
from l2l_tf.storage import files
from l2l_tf.training import distribution
from l2l_tf.training import imitation
from l2l_tf.training import trainer as trainer_lib

LIMITS = {"test_runs": (2, 10**5), "tuning_runs": (0, 10**4)}
MAX_TRIALS = 10**4
ERRORS = (
  training_run.RunError,
  files.CheckpointError,
  user_problem.UserProblemError,
  distribution.DistributionError,
  partition.LabelError,
  DataError,
  OSError,
)


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "run_dir", None, "run directory; default runs/PROBLEM-DATE-TIME")
  flags.add(bool, "resume", False, "continue the run in --run_dir; its config rules")
  flags.add(paths.Read, "init_from", None, "start phi from a trained optimizer: directory or name")
  flags.add(int, "test_runs", 20, "fresh instances for the table at the end")
  flags.add(
    int,
    "tuning_runs",
    5,
    "instances for each of the 30 learning rates of Adam, which the optimizer is compared with;"
    " 0: no comparison, where that takes too long",
  )
  flags.add(
    int,
    "search",
    None,
    "random search of --learning_rate with so many trials; several processes may share a --run_dir,"
    " and a search that was stopped goes on with the same command",
  )
  flags.add(
    str,
    "strategy",
    "single",
    "devices that share the instances: mirrored all of this machine, multi_worker those of all"
    " machines in TF_CONFIG",
    distribution.STRATEGIES,
  )
  experiment_flags.add_experiment(flags)
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  flags.check(LIMITS)
  blocks.use_a_thread_a_block()
  if flags.search is not None:
    return _search(flags)
  replicas = distribution.make(flags.strategy)
  with distribution.lost_workers():
    status = _train(flags, replicas) if replicas.is_chief else _assist(flags, replicas)
    replicas.highest(0)  # none leaves before the others
  return status


def _train(flags: experiment_flags.Flags, replicas: distribution.Distribution) -> int:
  """Trains and reports."""
  run = _open_run(flags, replicas)
  print(f"Data: {run.data}")
  print(f"Run directory: {run.directory}; watch it with\n  {_watch_command(run.directory)}")
  tuned = run.tune_rivals(flags.tuning_runs) if flags.tuning_runs else {}
  rates = {name: rival.learning_rate for name, rival in tuned.items()}
  if tuned:
    best = {name: "none, all diverge" if r is None else f"{r:.3g}" for name, r in rates.items()}
    print(
      f"Adam's best of {len(protocol.LEARNING_RATES)} learning rates: {best['adam']}, SGD's:"
      f" {best['sgd']}",
      flush=True,
    )
  try:
    run.train(tuned)
  except training_run.Interrupted as stop:
    print(f"Stopped by {stop}. Everything is saved; go on with\n  {_resume_command(run, flags)}")
    return 128 + stop.signum
  except trainer_lib.Diverged as error:
    kept = f" The best so far is in {run.best_directory}." if _has_best(run) else ""
    raise training_run.RunError(f"{error}{kept}") from error
  if not _has_best(run):
    raise training_run.RunError("No epoch had a finite validation loss; nothing was kept.")
  if isinstance(run.problem, Mixture):
    print(mixture_report.table(run, flags.test_runs, flags.tuning_runs))
  else:
    curves = _report(run, rates, flags.test_runs)
  progress, at_most = run.trainer.progress, run.experiment.training.num_epochs
  print(f"  optimizer     {run.best_directory}")
  print(f"  TensorBoard   {_watch_command(run.directory)}")
  print(
    f"Trained {progress.epoch} of at most {at_most} epochs, the best was {progress.best_epoch};"
    f" {progress.bad_steps} meta-steps were not finite and skipped."
  )
  if not isinstance(run.problem, Mixture):
    print(f"\n{verdict.sentence(*curves)}{'' if tuned else ' (--tuning_runs=0)'}\n")
  next_steps.show(run, flags)
  return 0


def _assist(flags: experiment_flags.Flags, replicas: distribution.Distribution) -> int:
  """Takes this worker's share of a training; the files it leaves to the chief."""
  with tempfile.TemporaryDirectory() as directory:
    own = os.path.join(directory, "run")
    if flags.resume:
      _check_resume(flags)
      shutil.copytree(flags.run_dir, own, ignore=shutil.ignore_patterns("best", "events", "lock"))
      run = training_run.TrainingRun.resume(own, replicas, _user_problem(flags))
    else:
      experiment = experiment_flags.experiment(flags)
      run = training_run.TrainingRun(own, experiment, False, flags.init_from, replicas)
    try:
      run.train()
    except training_run.Interrupted as stop:
      return 128 + stop.signum
    except trainer_lib.Diverged as error:  # on all workers at the same step
      raise training_run.RunError(str(error)) from error
  return 0


def _open_run(
  flags: experiment_flags.Flags, replicas: distribution.Distribution
) -> training_run.TrainingRun:
  if not flags.resume:
    return _new_run(flags, replicas)
  _check_resume(flags)
  return training_run.TrainingRun.resume(flags.run_dir, replicas, _user_problem(flags))


def _user_problem(flags: experiment_flags.Flags) -> Optional[str]:
  """The code of the user's that the command line, not a file, names."""
  return flags.problem if user_problem.is_name(flags.problem) else None


def _check_resume(flags: experiment_flags.Flags):
  if not flags.run_dir:
    raise experiment_flags.UsageError("--resume needs the --run_dir to continue.")
  others = set(flags.given()) - {"resume", "run_dir", "test_runs", "tuning_runs", "strategy"}
  if _user_problem(flags):
    others -= {"problem"}
  if others:
    raise experiment_flags.UsageError(
      f"--{min(others)} cannot be given with --resume: a run keeps the config it began with."
    )


def _new_run(
  flags: experiment_flags.Flags, replicas: distribution.Distribution
) -> training_run.TrainingRun:
  arguments = (experiment_flags.experiment(flags), False, flags.init_from, replicas, print_round)
  if flags.run_dir:
    return training_run.TrainingRun(flags.run_dir, *arguments)
  first = os.path.join(
    "runs", f"{experiment_flags.problem_label(flags)}-{time.strftime('%Y%m%d-%H%M%S')}"
  )
  for directory in run_directory.names(first):  # another run may have begun in this second
    try:
      return training_run.TrainingRun(directory, *arguments)
    except run_directory.DirectoryTaken:
      continue


def _search(flags: experiment_flags.Flags) -> int:
  """Searches the meta learning rate, and prints what it found."""
  if not 1 <= flags.search <= MAX_TRIALS:
    raise experiment_flags.UsageError(
      f"--search must be 1..{MAX_TRIALS} trials, got {flags.search}."
    )
  for name in ("resume", "learning_rate", "init_from", "strategy"):
    if name in flags.given():
      raise experiment_flags.UsageError(f"--{name} cannot be given with --search.")
  label = experiment_flags.problem_label(flags)
  directory = flags.run_dir or os.path.join("runs", f"{label}-search")
  try:
    study = search.search(directory, experiment_flags.experiment(flags), flags.search)
  except training_run.Interrupted as stop:
    print(f"Stopped by {stop}. Everything is saved; the same command goes on in {directory}.")
    return 128 + stop.signum
  print(search.table(study))
  print(f"  TensorBoard   {_watch_command(directory)}   (tab HParams)")
  return 0


def _resume_command(run: training_run.TrainingRun, flags: experiment_flags.Flags) -> str:
  names = ["strategy", "tuning_runs", *(["problem"] if _user_problem(flags) else [])]
  given = [f"--{name}={getattr(flags, name)}" for name in names if name in flags.given()]
  return next_steps.python(
    os.path.relpath(sys.argv[0]), "--resume", f"--run_dir={run.directory}", *given
  )


def _watch_command(directory: str) -> str:
  return next_steps.python("-m", "tensorboard.main", f"--logdir={directory}")


def _has_best(run: training_run.TrainingRun) -> bool:
  return run.trainer.progress.best_epoch > 0


def _report(
  run: training_run.TrainingRun, rates: Mapping[str, Optional[float]], test_runs: int
) -> list[np.ndarray]:
  """Prints the table of fresh instances, with Adam if it was tuned; draws its curves.

  The teacher that phi has imitated, if so, has a row too.

  Returns:
    The losses of the learned optimizer, and then of Adam, `[R, T+1]`.
  """
  steps = run.experiment.training.num_steps
  seeds = run.problem.seeds(run.experiment.training.seed, Stream.DEVELOPMENT, count=test_runs)
  reporting.say(f"Testing on {test_runs} fresh instances")
  curves = {"learned": protocol.curves(run.problem, run.trainer.optimizer, seeds, steps)}
  if "adam" in rates:
    rate = rates["adam"]
    label = "Adam, no learning rate" if rate is None else f"Adam, learning rate {rate:.3g}"
    curves[label] = baselines.curves_at(run.problem, "adam", rate, seeds, steps)
  if taught := run.config.get("imitation"):
    rate, warmup = taught["teacher_rate"], taught["warmup_steps"]
    teacher = imitation.Teacher(rate, warmup, taught["num_steps"])
    label = f"its teacher, at most {rate:.3g}"
    curves[label] = protocol.curves(run.problem, teacher, seeds, steps)
  means = {name: losses.mean(axis=0) for name, losses in curves.items()}
  path = os.path.join(run.directory, "learning_curves.png")
  with run_directory.writing(run.directory):
    files.write_aside(path, plots.png(plots.learning_curves(means)))
  print(f"\n{test_runs} fresh instances of {steps} steps ({run.data}), mean ± 95 % interval")
  print(f"  {'optimizer':32}{'mean loss':>20}{'final loss':>20}")
  for name, losses in curves.items():
    mean = intervals.interval(losses[:, 1:].mean(axis=1))
    final = intervals.interval(protocol.final_losses(losses))
    print(f"  {name:32}{mean!s:>20}{final!s:>20}")
  print(f"mean loss: of steps 1-{steps}; final loss: of the last {unroll.FINAL_STEPS}\n")
  print(f"{terminal.curves(means)}\n")
  print(f"  curves        {path}")
  return [losses for name, losses in curves.items() if not name.startswith("its teacher")]


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main, ERRORS)
