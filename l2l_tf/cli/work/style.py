"""What bin/style.py does once its flags are right."""

import numpy as np

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import surroundings
from l2l_tf.cli import experiment_flags
from l2l_tf.inspection import painting
from l2l_tf.problems import DataError
from l2l_tf.problems import photographs
from l2l_tf.problems import vgg
from l2l_tf.runs import reporting
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files

with surroundings.extra("art"):
  from PIL import Image


RIVAL = optimizers.Adam  # the best rival of results/neural_art_64.json and _128.json
RIVAL_LEARNING_RATE = 1e-6 * 2**20  # its tuned rate in both


def run(flags: experiment_flags.Flags, directory: str, image_format: str) -> int:
  """Paints with the optimizer in `directory`, and writes the picture in a format of Pillow's."""
  optimizer, _ = optimizer_files.load_optimizer(directory)
  content, style = photographs.read(flags.content), photographs.read(flags.style)
  content = _within(content, flags.size)
  style = np.asarray(photographs.resized(style, min(content.size)))
  network = vgg.load(flags.vgg)
  print(f"{network.source}; {content.width} x {content.height} pixels", flush=True)
  images = photographs.Photographs(np.asarray(content)[np.newaxis], (1, 0, 0), flags.content)
  problem = problems.style_transfer(images, style, network, style_weight=flags.style_weight)
  seed = np.array([0, flags.seed], np.int32)
  painted = _paint(problem, optimizer, seed, flags.num_steps, "painting")
  files.write_aside(flags.out, painting.encoded(painted.pixels, image_format))
  print(f"Loss {painted.losses[0]:.4g} before, {painted.losses[-1]:.4g} after.")
  if flags.rival:
    rival = _paint(problem, RIVAL(RIVAL_LEARNING_RATE), seed, flags.num_steps, "the rival")
    print(
      f"{RIVAL.__name__}, learning rate {RIVAL_LEARNING_RATE:.3g}, after as many steps:"
      f" {rival.losses[-1]:.4g}."
    )
  print(f"Written to {flags.out}")
  return 0


def _paint(problem, optimizer, seed, num_steps, label) -> painting.Painting:
  with reporting.Report(num_steps, "step", label=label) as report:
    advance = lambda loss: report.advance(1, f"loss {loss:.4g}")  # noqa: E731
    return painting.paint(problem, optimizer, seed, num_steps, advance)


def _within(image: Image.Image, size: int) -> Image.Image:
  """The image with a longer side of `size` pixels.

  Raises:
    DataError: if the shorter one would be too short for VGG-16.
  """
  smaller = photographs.resized(image, size, max)
  if min(smaller.size) < photographs.MIN_SIZE:
    raise DataError(
      f"The photograph of {image.width} x {image.height} pixels would have {smaller.width} x"
      f" {smaller.height}; {photographs.MIN_SIZE} a side are needed. Give a larger --size, or cut"
      " it."
    )
  return smaller
