"""Compares trained optimizers with tuned rivals: python bin/evaluate.py --optimizer=mnist_lstm

The protocol of the paper (section 3): each of the six hand-designed rivals gets the learning rate,
of 30, with the best final loss on tuning instances; then all optimizers run on the same fresh
instances, from the same theta_0 and on the same minibatches. The table is printed, and everything
behind it written to runs/results/NAME.json, from which bin/figures.py draws. It takes the place of
older results only if nothing of them is lost (--overwrite: in any case). Finished parts are kept in
a work directory beside it: the same command goes on after an interruption.
"""

from collections.abc import Sequence
import os
import re

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import startup
from l2l_tf.storage import outputs


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  names = tuple[paths.Read, ...]
  flags.add(names, "optimizer", None, "directories of trained optimizers, or pretrained names")
  flags.add(
    names, "peer", None, "files of another implementation's weights (l2l_tf/storage/peers.py)"
  )
  flags.add(bool, "transfer", False, "accept optimizers trained on another problem")
  experiment_flags.add_user_optimizer(flags)
  text = "steps of each run; the rivals are tuned for them"
  flags.add(int, "num_steps", 100, text, bounds=(1, 10**6))
  flags.add(int, "num_runs", 100, "fresh instances, at least 2", bounds=(2, 10**6))
  text = "instances that pick the learning rates"
  flags.add(int, "tuning_runs", 10, text, bounds=(1, 10**4))
  text = "compare each rival's best rate with its neighbours on so many; 0: don't"
  flags.add(int, "finalist_runs", 0, text, bounds=(0, 10**4))
  flags.add(int, "seed", 0, "of all instances", bounds=(0, 2**31 - 1))
  flags.add(str, "name", None, "of the file runs/results/NAME.json; default PROBLEM_STEPS")
  experiment_flags.add_output(flags, None, "the results file itself, in place of --name")
  flags.add(
    paths.Written,
    "work_dir",
    None,
    "finished parts; default OUT.work, removed at the end; a named one stays",
  )
  flags.group("Problem")
  experiment_flags.add_problem(flags, "what is optimized")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if 0 < flags.finalist_runs <= flags.tuning_runs:
    raise experiment_flags.UsageError(
      f"--finalist_runs must be more than --tuning_runs={flags.tuning_runs}, or 0, got"
      f" {flags.finalist_runs}."
    )
  options = experiment_flags.problem(flags)
  flags.check_written("out", path := _output(flags))
  return startup.load("l2l_tf.cli.work.evaluate").run(flags, options, path)


def _output(flags: experiment_flags.Flags) -> str:
  if flags.out and flags.name:
    raise experiment_flags.UsageError(
      "--out and --name both name the results file; give one of them."
    )
  name = flags.name or f"{experiment_flags.problem_label(flags)}_{flags.num_steps}"
  if not re.fullmatch(r"\w[\w.-]*", name):
    raise experiment_flags.UsageError(
      f"--name must consist of letters, digits and _.-, got {name!r}."
    )
  return flags.out or os.path.join(outputs.RUNS, "results", f"{name}.json")


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
