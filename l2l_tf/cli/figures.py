"""Draws the paper's figures from results files alone: python bin/figures.py

Figure 4: the quadratics, MNIST, and MNIST run on to step 200. Figure 5: MNIST with another network
than the one trained on. Figure 7: CIFAR-10, the training set and the held-out one. Figure 8: neural
art, as trained, and in another style at twice the resolution. Figure 9:
updates along the learned optimizer's trajectory. Figure 10 and appendix C: updates against the
current gradient, a picture a coordinate. Learned optimizers are solid, hand-designed rivals dashed,
95 % intervals shaded. Learning curves become a PNG and an SVG, the others a PNG. It only draws:
every number comes from a file that bin/evaluate.py or bin/visualize.py wrote; yours lie in
runs/results.
"""

from collections.abc import Sequence
import os

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.storage import outputs


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Read, "results", "results", "directory of results files")
  flags.add(
    paths.Written, "out", os.path.join(outputs.RUNS, "figures"), "directory of the pictures"
  )
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status: 1 if a panel could not be drawn."""
  flags = make_flags().parse(argv)
  from l2l_tf.cli.work import figures  # matplotlib takes a while

  return figures.run(argv[0], flags)


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
