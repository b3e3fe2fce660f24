"""What bin/train.py does once its flags are right."""

from collections.abc import Mapping
import os
import shutil
import sys
import tempfile
import time
from typing import cast

from absl import logging
import numpy as np

from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli.work import mixture_report
from l2l_tf.cli.work import next_steps
from l2l_tf.cli.work.imitate import print_round
from l2l_tf.config.experiment import Experiment
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import verdict
from l2l_tf.inspection import sweep_files
from l2l_tf.inspection.proposal_files import VisualizationError
from l2l_tf.optimizers import blocks
from l2l_tf.plotting import curves as plots
from l2l_tf.plotting import terminal
from l2l_tf.problems.base import Mixture
from l2l_tf.problems.base import Stream
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import reporting
from l2l_tf.runs import run as training_run
from l2l_tf.runs import search
from l2l_tf.runs.directory import RunError
from l2l_tf.storage import files
from l2l_tf.training import distribution
from l2l_tf.training import imitation
from l2l_tf.training import trainer as trainer_lib
from l2l_tf.training.distribution import Distribution
from l2l_tf.view import page

PATH_FLAGS = ("run_dir", "init_from", "data_dir", "content_dir", "style")
LEFT = ("best", "*tfevents*", "lock", sweep_files.SWEEPS)  # of a run, by workers that assist


def run(flags: experiment_flags.Flags, experiment: Experiment | None) -> int:
  """Trains what is described, or goes on with a run; returns the exit status."""
  blocks.use_a_thread_a_block()
  if flags.search is not None:
    return _search(flags, cast(Experiment, experiment))
  replicas = distribution.make(flags.strategy)
  with distribution.lost_workers():
    if replicas.is_chief:
      with _open_run(flags, experiment, replicas) as run_:
        status = _train(run_, flags)
    else:
      status = _assist(flags, experiment, replicas)
    replicas.highest(0)  # none leaves before the others
  return status


def _train(run: training_run.TrainingRun, flags: experiment_flags.Flags) -> int:
  """Trains and reports."""
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
    command = experiment_flags.command("bin/train.py", flags, PATH_FLAGS, ())
    run.train(tuned, command=command)
  except training_run.Interrupted as stop:
    print(f"Stopped by {stop}. Everything is saved; go on with\n  {_resume_command(run, flags)}")
    return 128 + stop.signum
  except trainer_lib.Diverged as error:
    kept = f" The best so far is in {run.best_directory}." if _has_best(run) else ""
    raise RunError(f"{error}{kept}") from error
  if not _has_best(run):
    raise RunError("No epoch had a finite validation loss; nothing was kept.")
  if isinstance(run.problem, Mixture):
    print(mixture_report.table(run, flags.test_runs, flags.tuning_runs))
  else:
    curves = _report(run, rates, flags.test_runs)
  progress, at_most = run.trainer.progress, run.experiment.training.num_epochs
  if view := _write_view(run):
    print(f"  view          {view}   (open it in a browser)")
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


def _write_view(run: training_run.TrainingRun) -> str | None:
  """Writes the sweeps of all epochs as a page beside them; None if there are none."""
  try:
    content = page.of_run(run.directory)
  except VisualizationError as error:
    logging.warning("There is no view: %s", error)
    return None
  if content is None:
    return None
  path = os.path.join(run.directory, "view.html")
  with run_directory.writing(run.directory):
    files.write_aside(path, content)
  return path


def _assist(
  flags: experiment_flags.Flags, experiment: Experiment | None, replicas: Distribution
) -> int:
  """Takes this worker's share of a training; the files it leaves to the chief."""
  with tempfile.TemporaryDirectory() as directory:
    own = os.path.join(directory, "run")
    if flags.resume:
      shutil.copytree(flags.run_dir, own, ignore=shutil.ignore_patterns(*LEFT))
    with _open(own, flags, experiment, replicas) as run_:
      try:
        run_.train()
      except training_run.Interrupted as stop:
        return 128 + stop.signum
      except trainer_lib.Diverged as error:  # on all workers at the same step
        raise RunError(str(error)) from error
  return 0


def _open_run(  # type: ignore[return]  # the names never end
  flags: experiment_flags.Flags, experiment: Experiment | None, replicas: Distribution
) -> training_run.TrainingRun:
  """The run that the flags name, or a new one under a name that is free."""
  if flags.run_dir:
    return _open(flags.run_dir, flags, experiment, replicas)
  first = os.path.join(
    "runs", f"{experiment_flags.problem_label(flags)}-{time.strftime('%Y%m%d-%H%M%S')}"
  )
  for directory in run_directory.names(first):  # another run may have begun in this second
    try:
      return _open(directory, flags, experiment, replicas)
    except run_directory.DirectoryTaken:
      continue


def _open(
  directory: str,
  flags: experiment_flags.Flags,
  experiment: Experiment | None,
  replicas: Distribution,
) -> training_run.TrainingRun:
  """Takes up the run in `directory`, or begins it."""
  if experiment is None:
    return training_run.TrainingRun.resume(
      directory,
      distribution=replicas,
      user_problem=experiment_flags.users_problem(flags),
      user_optimizer=experiment_flags.users_optimizer(flags),
    )
  return training_run.TrainingRun.new(
    directory,
    experiment,
    init_from=flags.init_from,
    distribution=replicas,
    on_round=print_round if replicas.is_chief else lambda index, result: None,
  )


def _search(flags: experiment_flags.Flags, experiment: Experiment) -> int:
  """Searches the meta learning rate, and prints what it found."""
  label = experiment_flags.problem_label(flags)
  directory = flags.run_dir or os.path.join("runs", f"{label}-search")
  try:
    trials = search.search(directory, experiment, flags.search)
  except training_run.Interrupted as stop:
    print(f"Stopped by {stop}. Everything is saved; the same command goes on in {directory}.")
    return 128 + stop.signum
  print(search.table(trials))
  print(f"  TensorBoard   {_watch_command(directory)}   (tab HParams)")
  return 0


def _resume_command(run: training_run.TrainingRun, flags: experiment_flags.Flags) -> str:
  names = list(next_steps.KEPT)
  names += ["problem"] if experiment_flags.users_problem(flags) else []
  names += ["optimizer"] if experiment_flags.users_optimizer(flags) else []
  given = [f"--{name}={getattr(flags, name)}" for name in names if name in flags.given()]
  return next_steps.python(
    os.path.relpath(sys.argv[0]), "--resume", f"--run_dir={run.directory}", *given
  )


def _watch_command(directory: str) -> str:
  return next_steps.python("-m", "tensorboard.main", f"--logdir={directory}")


def _has_best(run: training_run.TrainingRun) -> bool:
  return run.trainer.progress.best_epoch > 0


def _report(
  run: training_run.TrainingRun, rates: Mapping[str, float | None], test_runs: int
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
