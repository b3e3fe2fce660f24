"""Why does it not learn? python bin/diagnose.py --optimizer=mnist_lstm --activation=relu

Runs a trained optimizer, and SGD and Adam at a few learning rates, on the same few instances of a
problem. Prints the size of gradients and updates by parameter, how much of the preprocessing and of
the LSTM's units is saturated, and what follows from it. --problem=module:factory looks at a problem
of your own. In Python: l2l_tf.diagnose and l2l_tf.advise (docs/keras.md).
"""

import textwrap
from typing import Sequence

from l2l_tf import pretrained
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import user_problem
from l2l_tf.inspection import advice
from l2l_tf.inspection import diagnosis
from l2l_tf.optimizers import partition
from l2l_tf.problems import DataError
from l2l_tf.problems.base import Stream
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files

ERRORS = (
  files.CheckpointError,
  user_problem.UserProblemError,
  partition.LabelError,
  DataError,
  OSError,
)
LIMITS = {"num_steps": (1, 10**5), "num_runs": (1, 1000), "seed": (0, 2**31 - 1)}


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Read, "optimizer", None, "directory of a trained optimizer, or a pretrained name")
  flags.add(int, "num_steps", 100, "steps of each run")
  flags.add(int, "num_runs", 4, "instances")
  flags.add(int, "seed", 0, "of all instances")
  flags.group("Problem")
  experiment_flags.add_problem(flags, "what is optimized")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if not flags.optimizer:
    raise experiment_flags.UsageError("Name the optimizer: --optimizer=mnist_lstm or a directory.")
  flags.check(LIMITS)
  try:
    directory = pretrained.find(flags.optimizer)
  except ValueError as error:
    raise experiment_flags.UsageError(str(error)) from error
  optimizer, about = optimizer_files.load_optimizer(directory)
  problem, data = experiment_flags.problem(flags).build()
  print(f"Data: {data}", flush=True)
  seeds = problem.seeds(flags.seed, Stream.VALIDATION, count=flags.num_runs)
  found = diagnosis.diagnose(problem, optimizer, seeds, flags.num_steps, about.horizon)
  print(advice.table(found))
  experiment_flags.add_experiment(training := experiment_flags.Flags(""))  # what advice is about
  for finding in advice.advise(found):
    text = f"{finding.cause[0].upper()}{finding.cause[1:]}. {finding.text}"
    print("\n" + textwrap.fill(training.dashed(text), 100))
  return 0


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main, ERRORS)
