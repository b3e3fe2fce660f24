"""Meta-trains an optimizer: python bin/train.py --problem=mnist

An LSTM learns to optimize a family of functions by gradient descent (Andrychowicz et al. 2016).
The run directory gets the config, what TensorBoard shows, checkpoints to resume from, a page that
shows what was learned (view.html), and under best/ the trained optimizer. At the end a table
compares it with a tuned Adam on fresh instances; a sentence says who is ahead, and three commands
go on from there. Ctrl-C stops cleanly; --resume goes on. --problem=module:factory trains on a
problem of your own: factory() in module.py returns it (docs/own_problem.md).
--optimizer=module:factory trains an optimizer of your own: factory(seed) returns it
(docs/own_optimizer.md).
"""

from collections.abc import Sequence

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import startup
from l2l_tf.config.training import STRATEGIES


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "run_dir", None, "run directory; default runs/PROBLEM-DATE-TIME")
  flags.add(bool, "resume", False, "continue the run in --run_dir; its config rules")
  flags.add(paths.Read, "init_from", None, "start phi from a trained optimizer: directory or name")
  text = "fresh instances for the table at the end"
  flags.add(int, "test_runs", 20, text, bounds=(2, 10**5))
  flags.add(
    int,
    "tuning_runs",
    5,
    "instances for each of the 30 learning rates of Adam, which the optimizer is compared with;"
    " 0: no comparison, where that takes too long",
    bounds=(0, 10**4),
  )
  flags.add(
    int,
    "search",
    None,
    "random search of --learning_rate with so many trials; several processes may share a --run_dir,"
    " and a search that was stopped goes on with the same command",
    bounds=(1, 10**4),
  )
  flags.add(
    str,
    "strategy",
    "single",
    "devices that share the instances: mirrored all of this machine, multi_worker those of all"
    " machines in TF_CONFIG",
    STRATEGIES,
  )
  experiment_flags.add_experiment(flags)
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if flags.search is not None:
    _check_search(flags)
  elif flags.resume:
    _check_resume(flags)
  experiment = None if flags.resume else experiment_flags.experiment(flags)
  return startup.load("l2l_tf.cli.work.train").run(flags, experiment)


def _check_search(flags: experiment_flags.Flags):
  for name in ("resume", "learning_rate", "init_from", "strategy"):
    if name in flags.given():
      raise experiment_flags.UsageError(f"--{name} cannot be given with --search.")


def _check_resume(flags: experiment_flags.Flags):
  if not flags.run_dir:
    raise experiment_flags.UsageError("--resume needs the --run_dir to continue.")
  others = set(flags.given()) - {"resume", "run_dir", "test_runs", "tuning_runs", "strategy"}
  if experiment_flags.users_problem(flags):
    others -= {"problem"}
  if experiment_flags.users_optimizer(flags):
    others -= {"optimizer"}
  if others:
    raise experiment_flags.UsageError(
      f"--{min(others)} cannot be given with --resume: a run keeps the config it began with."
    )


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
