"""Teaches an optimizer what Adam with a schedule does, to start meta-training from:

python bin/imitate.py --problem=mnist --num_steps=100 --out=runs/imitated
python bin/train.py --problem=mnist --init_from=runs/imitated

Over a thousand steps, as on CIFAR-10, truncated backpropagation alone learns slowly what pays only
in the end. So the optimizer first learns to make the updates of a hand-designed teacher, on
gradients that the teacher and then it itself meets (docs/training.md). The same command goes on
after a stop.
"""

from collections.abc import Sequence
import os

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import startup
from l2l_tf.config.problems import SINGLE
from l2l_tf.config.training import Imitation


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(
    paths.Written,
    "out",
    None,
    "directory for the optimizer; OUT.work holds finished parts meanwhile",
  )
  flags.add(paths.Read, "init_from", None, "start phi from a trained optimizer: directory or name")
  experiment_flags.add_experiment(flags, Imitation, SINGLE)
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if not flags.out:
    raise experiment_flags.UsageError("Name the directory for the optimizer: --out=runs/imitated.")
  out = os.path.normpath(flags.out)
  if os.path.exists(out) and not os.path.isdir(out):
    raise experiment_flags.UsageError(f"{out} is no directory. Name another --out.")
  if os.path.isdir(out) and os.listdir(out):
    raise experiment_flags.UsageError(f"{out} is not empty. Name another --out.")
  options = experiment_flags.parts(flags, Imitation)
  return startup.load("l2l_tf.cli.work.imitate").run(flags, options, out)


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
