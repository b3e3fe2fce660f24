"""Compiles the LSTM's cell for this machine: python bin/compile.py

It takes g++ and some fifteen seconds, once. From then on all programs but the zoo train and
evaluate LSTMs by that cell, in less time and memory (docs/performance.md). In Python
lstm_kernel.load() asks for it. Prints what it gains, and the file, which is removed to go back.
"""

from collections.abc import Sequence

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import startup


def make_flags() -> experiment_flags.Flags:
  """The flags of this program: it has none but --help."""
  return experiment_flags.Flags(__doc__)


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  make_flags().parse(argv)
  return startup.load("l2l_tf.cli.work.compile", kernel=False).run()


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
