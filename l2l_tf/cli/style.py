"""Paints a photograph of yours in the style of another picture:

python bin/style.py --content=photo.jpg --style=painting.jpg --out=styled.png

A trained optimizer changes a picture of noise step by step until VGG-16 sees the shapes of the
photograph and the textures of the painting in it (section 3.4). Beside the loss that it reaches
stands that of the best hand-designed rival after as many steps from the same noise.
"""

import os
from typing import Sequence

import numpy as np

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf import surroundings
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.problems import NeuralArt
from l2l_tf.inspection import painting
from l2l_tf.problems import DataError
from l2l_tf.problems import photographs
from l2l_tf.problems import vgg
from l2l_tf.runs import reporting
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files

with surroundings.extra("art"):
  from PIL import Image

ERRORS = (files.CheckpointError, DataError, OSError)
LIMITS = {"size": (photographs.MIN_SIZE, 2048), "num_steps": (1, 10**4), "seed": (0, 2**31 - 1)}
RIVAL = optimizers.Adam  # the best rival of results/neural_art_64.json and _128.json
RIVAL_LEARNING_RATE = 1e-6 * 2**20  # its tuned rate in both


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Read, "content", None, "photograph, of any format that Pillow reads")
  flags.add(paths.Read, "style", None, "picture whose style is wanted")
  flags.add(paths.Written, "out", None, "picture to write; its ending says the format")
  flags.add(int, "size", 512, "pixels of the longer side; memory grows with its square")
  flags.add(int, "num_steps", 128, "steps (section 3.4: 128)")
  flags.add(
    paths.Read, "optimizer", "neural_art_lstm", "directory of a trained one, or a pretrained name"
  )
  flags.add(bool, "rival", True, "run the rival too, for comparison: as long again")
  flags.add(int, "seed", 0, "of the noise to begin with")
  flags.add(float, "style_weight", NeuralArt.style_weight, "of the style, the content having 1")
  flags.add(str, "vgg", "auto", "where VGG-16's weights come from", vgg.SOURCES)
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  image_format = _check(flags)
  try:
    optimizer, _ = optimizer_files.load_optimizer(pretrained.find(flags.optimizer))
  except ValueError as error:
    raise experiment_flags.UsageError(str(error)) from error
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


def _check(flags: experiment_flags.Flags) -> str:
  """Checks the flags before anything takes time; returns the format to write."""
  for name in ("content", "style", "out"):
    if not getattr(flags, name):
      raise experiment_flags.UsageError(
        f"--{name} is missing: --content=photo.jpg --style=painting.jpg --out=styled.png."
      )
  if os.path.isdir(flags.style):
    raise experiment_flags.UsageError(f"--style must be one picture, got the folder {flags.style}.")
  flags.check(LIMITS)
  if not 0 <= flags.style_weight <= 1e9:
    raise experiment_flags.UsageError(f"--style_weight must be 0..1e9, got {flags.style_weight}.")
  ending = os.path.splitext(flags.out)[1].lower()
  image_format = Image.registered_extensions().get(ending)
  if image_format not in Image.SAVE:
    raise experiment_flags.UsageError(
      f"--out must end in that of a picture format, such as .png or .jpg, got {flags.out!r}."
    )
  folder = os.path.dirname(flags.out) or "."
  if not os.path.isdir(folder):
    raise experiment_flags.UsageError(f"--out: there is no directory {folder}.")
  return image_format


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


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main, ERRORS)
