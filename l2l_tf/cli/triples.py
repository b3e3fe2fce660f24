"""Draws the triples of Figure 6: python bin/triples.py --size=64

Content image, the picture that a trained optimizer paints, and style image side by side, a row for
each of a few test photographs. Takes the problem's options as bin/evaluate.py does, but one style.
The picture is runs/figures/figure_6_SIZE.png, or --out.
"""

import os
from typing import Sequence

import numpy as np

from l2l_tf import surroundings
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.problems import NeuralArt
from l2l_tf.evaluation import candidates
from l2l_tf.inspection import painting
from l2l_tf.problems import DataError
from l2l_tf.problems import photographs
from l2l_tf.problems.base import Stream
from l2l_tf.storage import files
from l2l_tf.storage import outputs

with surroundings.extra("art"):
  from PIL import Image

ERRORS = (files.CheckpointError, candidates.ContenderError, DataError, OSError)
LIMITS = {"num_rows": (1, 100), "num_steps": (1, 10**4), "seed": (0, 2**31 - 1)}
GAP = 8  # white pixels around each picture
HEIGHT = 256  # of a picture as drawn


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(
    paths.Read, "optimizer", "neural_art_lstm", "directory of a trained one, or a pretrained name"
  )
  flags.add(bool, "transfer", False, "accept an optimizer trained on another problem")
  flags.add(paths.Written, "out", None, "PNG file to write; default runs/figures/figure_6_SIZE.png")
  flags.add(int, "num_rows", 2, "test photographs")
  flags.add(int, "num_steps", 128, "steps (section 3.4: 128)")
  flags.add(int, "seed", 0, "of the instances, as bin/evaluate.py's")
  flags.group("Problem")
  flags.add_options(NeuralArt, lambda f: NeuralArt())
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if flags.out is not None and not flags.out.endswith(".png"):
    raise experiment_flags.UsageError(f"--out must name a .png file, got {flags.out!r}.")
  flags.check(LIMITS)
  options = experiment_flags.options_of(flags, NeuralArt())
  out = flags.out or os.path.join(outputs.RUNS, "figures", f"figure_6_{options.size}.png")
  flags.check_written("out", out)
  (learned,) = candidates.load([flags.optimizer], [], "neural_art", flags.transfer)
  style, _ = photographs.load_style(options.style, options.size)
  problem, data = options.build()
  print(f"Data: {data}", flush=True)
  os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
  contents = photographs.load(options.content_dir, options.size).images
  rows = []
  for seed in problem.seeds(flags.seed, Stream.TEST, count=flags.num_rows):
    painted = painting.paint(problem, learned.optimizer, seed, flags.num_steps)
    print(f"Loss {painted.losses[0]:.4g} before, {painted.losses[-1]:.4g} after.", flush=True)
    rows.append(np.hstack([_framed(p) for p in (contents[seed[0]], painted.pixels, style)]))
  files.write_aside(out, painting.encoded(np.vstack(rows), "PNG"))
  print(f"Written to {out}")
  return 0


def _framed(pixels: np.ndarray) -> np.ndarray:
  """A picture enlarged to `HEIGHT`, pixel by pixel, within a white frame."""
  width = round(HEIGHT * pixels.shape[1] / pixels.shape[0])
  image = Image.fromarray(pixels).resize((width, HEIGHT), Image.Resampling.NEAREST)
  return np.pad(image, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main, ERRORS)
