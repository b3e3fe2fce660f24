"""Why does it not learn? python bin/diagnose.py --optimizer=mnist_lstm --activation=relu

Runs a trained optimizer, and SGD and Adam at a few learning rates, on the same few instances of a
problem. Prints the size of gradients and updates by parameter, how much of the preprocessing and of
the LSTM's units is saturated, and what follows from it. --problem=module:factory looks at a problem
of your own. In Python: l2l_tf.diagnose and l2l_tf.advise (docs/keras.md).
"""

from collections.abc import Sequence

from l2l_tf import pretrained
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import startup


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Read, "optimizer", None, "directory of a trained optimizer, or a pretrained name")
  experiment_flags.add_user_optimizer(flags)
  flags.add(int, "num_steps", 100, "steps of each run", bounds=(1, 10**5))
  flags.add(int, "num_runs", 4, "instances", bounds=(1, 1000))
  flags.add(int, "seed", 0, "of all instances", bounds=(0, 2**31 - 1))
  flags.group("Problem")
  experiment_flags.add_problem(flags, "what is optimized")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if not flags.optimizer:
    raise experiment_flags.UsageError("Name the optimizer: --optimizer=mnist_lstm or a directory.")
  try:
    directory = pretrained.find(flags.optimizer)
  except ValueError as error:
    raise experiment_flags.UsageError(str(error)) from error
  options = experiment_flags.problem(flags)
  return startup.load("l2l_tf.cli.work.diagnose").run(flags, directory, options)


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
