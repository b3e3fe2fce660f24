"""Draws Figure 6: python bin/triples.py --size=64

A row for each of a few test photographs: the photograph, and for each style what the trained
optimizer paints and what tuned Adam paints in as many steps, with the losses below. Takes the
problem's options as bin/evaluate.py does; a folder of styles gives two columns a style. The picture
is runs/figures/figure_6_SIZE.png, or --out.
"""

from collections.abc import Sequence
import os

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import startup
from l2l_tf.config.problems import NeuralArt
from l2l_tf.storage import outputs


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(
    paths.Read, "optimizer", "neural_art_lstm", "directory of a trained one, or a pretrained name"
  )
  flags.add(bool, "transfer", False, "accept an optimizer trained on another problem")
  flags.add(paths.Written, "out", None, "PNG file to write; default runs/figures/figure_6_SIZE.png")
  flags.add(int, "num_rows", 6, "test photographs", bounds=(1, 100))
  flags.add(int, "num_steps", 128, "steps (section 3.4: 128)", bounds=(1, 10**4))
  flags.add(int, "seed", 0, "of the instances, as bin/evaluate.py's", bounds=(0, 2**31 - 1))
  flags.group("Problem")
  flags.add_options(NeuralArt, lambda f: NeuralArt())
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if flags.out is not None and not flags.out.endswith(".png"):
    raise experiment_flags.UsageError(f"--out must name a .png file, got {flags.out!r}.")
  options = experiment_flags.options_of(flags, NeuralArt())
  out = flags.out or os.path.join(outputs.RUNS, "figures", f"figure_6_{options.size}.png")
  flags.check_written("out", out)
  return startup.load("l2l_tf.cli.work.triples").run(flags, options, out)


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
