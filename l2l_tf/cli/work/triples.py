"""What bin/triples.py does once its flags are right."""

import io
import os

from l2l_tf import surroundings
from l2l_tf.cli import experiment_flags
from l2l_tf.cli.work import style as style_program
from l2l_tf.config.problems import NeuralArt
from l2l_tf.evaluation import candidates
from l2l_tf.inspection import painting
from l2l_tf.plotting import curves as plots
from l2l_tf.plotting import pictures
from l2l_tf.problems import DataError
from l2l_tf.problems import photographs
from l2l_tf.problems.base import Stream
from l2l_tf.storage import files

with surroundings.extra("art"):
  from PIL import Image


def run(flags: experiment_flags.Flags, options: NeuralArt, out: str) -> int:
  """Paints test photographs in each style and writes the rows of pictures to `out`."""
  (learned,) = candidates.load([flags.optimizer], [], "neural_art", flags.transfer)
  rival = style_program.RIVAL(style_program.RIVAL_LEARNING_RATE)
  optimizers = {"learned": learned.optimizer, style_program.RIVAL.__name__: rival}
  os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
  contents = photographs.load(options.content_dir, options.size).images
  rows: list[pictures.Row] = []
  styles = []
  for path in _styles(options.style):
    one = options.replace(style=path)
    problem, data = one.build()
    print(f"Data: {data}", flush=True)
    pixels, _ = photographs.load_style(path, options.size)
    styles.append((_title(path), pixels))
    seeds = problem.seeds(flags.seed, Stream.TEST, count=flags.num_rows)
    rows = rows or [pictures.Row(contents[seed[0]], []) for seed in seeds]
    for row, seed in zip(rows, seeds):
      for name, optimizer in optimizers.items():
        painted = painting.paint(problem, optimizer, seed, flags.num_steps)
        before, after = painted.losses[0], painted.losses[-1]
        print(f"Loss {before:.4g} before, {after:.4g} after: {name}.", flush=True)
        row.painted.append((painted.pixels, after))
  figure = pictures.paintings(styles, list(optimizers), rows)
  files.write_aside(out, _small(plots.png(figure, dpi=130)))
  print(f"Written to {out}")
  return 0


def _small(png: bytes) -> bytes:
  """The picture in 256 colours: a third of the bytes, for the eye the same."""
  buffer = io.BytesIO()
  Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(buffer, "PNG", optimize=True)
  return buffer.getvalue()


def _styles(path: str | None) -> list[str | None]:
  """The style images that `path` names: itself, or those of a folder."""
  if path is None or not os.path.isdir(path):
    return [path]
  if not (found := photographs.files(path)):
    raise DataError(f"{path} holds no style image ({', '.join(photographs.EXTENSIONS)}).")
  return [*found]


def _title(path: str | None) -> str:
  """The style's name, as the file has it."""
  name = "a tissue" if path is None else os.path.splitext(os.path.basename(path))[0]
  return name.replace("_", " ")
