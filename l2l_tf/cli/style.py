"""Paints a photograph of yours in the style of another picture:

python bin/style.py --content=photo.jpg --style=painting.jpg --out=styled.png

A trained optimizer changes a picture of noise step by step until VGG-16 sees the shapes of the
photograph and the textures of the painting in it (section 3.4). Beside the loss that it reaches
stands that of the best hand-designed rival after as many steps from the same noise.
"""

import io
import os
import typing

from l2l_tf import pretrained
from l2l_tf import surroundings
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import startup
from l2l_tf.config.problems import NeuralArt


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Read, "content", None, "photograph, of any format that Pillow reads")
  flags.add(paths.Read, "style", None, "picture whose style is wanted")
  flags.add(paths.Written, "out", None, "picture to write; its ending says the format")
  flags.add(bool, "overwrite", False, "replace a picture that is there")
  text = "pixels of the longer side; memory grows with its square"
  flags.add(int, "size", 512, text, bounds=(32, 2048))
  flags.add(int, "num_steps", 128, "steps (section 3.4: 128)", bounds=(1, 10**4))
  flags.add(
    paths.Read, "optimizer", "neural_art_lstm", "directory of a trained one, or a pretrained name"
  )
  flags.add(bool, "rival", True, "run the rival too, for comparison: as long again")
  flags.add(int, "seed", 0, "of the noise to begin with", bounds=(0, 2**31 - 1))
  weight, text = NeuralArt().style_weight, "of the style, the content having 1"
  flags.add(float, "style_weight", weight, text, bounds=(0, 10**9))
  sources = typing.get_args(NeuralArt.model_fields["vgg"].annotation)
  flags.add(str, "vgg", "auto", "where VGG-16's weights come from", sources)
  return flags


def main(argv: typing.Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  image_format = _check(flags)
  try:
    directory = pretrained.find(flags.optimizer)
  except ValueError as error:
    raise experiment_flags.UsageError(str(error)) from error
  return startup.load("l2l_tf.cli.work.style").run(flags, directory, image_format)


def _check(flags: experiment_flags.Flags) -> str:
  """Checks the flags before anything takes time; returns the format to write."""
  with surroundings.extra("art"):
    from PIL import Image
  for name in ("content", "style", "out"):
    if not getattr(flags, name):
      raise experiment_flags.UsageError(
        f"--{name} is missing: --content=photo.jpg --style=painting.jpg --out=styled.png."
      )
  if os.path.isdir(flags.style):
    raise experiment_flags.UsageError(f"--style must be one picture, got the folder {flags.style}.")
  ending = os.path.splitext(flags.out)[1].lower()
  image_format = Image.registered_extensions().get(ending)
  if image_format not in Image.SAVE:
    raise experiment_flags.UsageError(
      f"--out must end in that of a picture format, such as .png or .jpg, got {flags.out!r}."
    )
  folder = os.path.dirname(flags.out) or "."
  if not os.path.isdir(folder):
    raise experiment_flags.UsageError(f"--out: there is no directory {folder}.")
  if os.path.isdir(flags.out):
    raise experiment_flags.UsageError(f"--out must name a picture, got the folder {flags.out}.")
  if os.path.lexists(flags.out) and not flags.overwrite:
    raise experiment_flags.UsageError(
      f"{flags.out} is there. It is not replaced: name another --out, or add --overwrite."
    )
  if not _is_kept(Image, image_format):
    raise experiment_flags.UsageError(
      f"--out: {ending} does not hold every picture of this kind; name one such as .png or .jpg."
    )
  return image_format


def _is_kept(image_library: typing.Any, image_format: str) -> bool:
  """Whether a colour picture of any size can be written in the format, and has that size then."""
  size, file = (70, 50), io.BytesIO()
  try:
    image_library.new("RGB", size).save(file, image_format)
  except (OSError, ValueError):  # of formats for two colours, or that need another program
    return False
  try:
    return image_library.open(file).size == size
  except image_library.UnidentifiedImageError:  # of those that it only writes, as PDF
    return True


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
