"""What bin/triples.py does once its flags are right."""

import os

import numpy as np

from l2l_tf import surroundings
from l2l_tf.cli import experiment_flags
from l2l_tf.config.problems import NeuralArt
from l2l_tf.evaluation import candidates
from l2l_tf.inspection import painting
from l2l_tf.problems import photographs
from l2l_tf.problems.base import Stream
from l2l_tf.storage import files

with surroundings.extra("art"):
  from PIL import Image


GAP = 8  # white pixels around each picture
HEIGHT = 256  # of a picture as drawn


def run(flags: experiment_flags.Flags, options: NeuralArt, out: str) -> int:
  """Paints test photographs and writes the rows of pictures to `out`."""
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
  return np.pad(np.asarray(image), ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)
