"""Scores optimizers on Keras models that they were never trained on:

python bin/zoo.py --optimizer=mnist_lstm --family=convolutional

Optimizers are Keras's by class (Adam), one at a rate (Adam@0.003), the ports (Prodigy, Celo ...),
trained ones by name or directory; "all" are all without a setting, "tuned" is Adam at 15 rates, of
which the best are picked. Default Adam is run beside them, from the same weights with the same
minibatches. Each run leaves a file: an interrupted command goes on where it was. With --report the
page docs/zoo.md is written from the results files, and nothing is run.
"""

from collections.abc import Sequence
import os

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import startup
from l2l_tf.zoo import protocol


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[paths.Read, ...], "optimizer", (), "what to score: names, or directories")
  flags.add(
    tuple[str, ...], "family", (), f"of tasks: {', '.join(protocol.FAMILIES)}; all but the last"
  )
  flags.add(tuple[str, ...], "task", (), "names of tasks, in place of families")
  horizons = protocol.HORIZONS
  flags.add(tuple[int, ...], "horizon", horizons, "numbers of steps; the longest on some tasks")
  text = "at most so many a task and horizon; 5, 3 and 2 there are"
  flags.add(int, "seeds", 5, text, bounds=(1, max(protocol.SEEDS.values())))
  flags.add(int, "jobs", os.cpu_count() or 1, "processes, one core each", bounds=(1, 256))
  flags.add(str, "metric", "loss", "what the table shows", protocol.METRICS)
  flags.add(paths.Written, "runs", os.path.join("runs", "zoo"), "directory of the runs' files")
  flags.add(paths.Written, "results", None, "directory of results files; default that of the runs")
  flags.add(bool, "overwrite", False, "replace results files even by fewer tasks or seeds")
  flags.add(bool, "full", False, "measure all that docs/zoo.md tells of, some hours")
  flags.add(bool, "report", False, "write the page zoo.md from the results files and stop")
  flags.add(paths.Written, "docs", None, "directory of the page; default that of the results files")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status: 1 if a run failed."""
  flags = make_flags().parse(argv)
  if not (flags.optimizer or flags.full or flags.report):
    raise experiment_flags.UsageError("--optimizer is missing, such as --optimizer=mnist_lstm.")
  for horizon in flags.horizon:
    if horizon not in protocol.HORIZONS:
      known = ", ".join(map(str, protocol.HORIZONS))
      raise experiment_flags.UsageError(f"--horizon must be of {known}, got {horizon}.")
  # Each task is a process of its own, frozen before there was a cell in C++.
  return startup.load("l2l_tf.cli.work.zoo", kernel=False).run(flags)


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
