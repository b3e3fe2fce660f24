"""Photographs and paintings: read from any file, split so that no photograph is on two sides."""

from collections.abc import Callable, Iterator, Sequence
import hashlib
import os
import stat
from typing import Any, NamedTuple

import numpy as np

from l2l_tf import surroundings
from l2l_tf.problems import base
from l2l_tf.problems import tfds_images
from l2l_tf.problems.datasets import DataError

with surroundings.extra("art"):
  from PIL import Image
  from PIL import ImageOps

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
NUM_VALIDATION = 20  # section 3.4
NUM_TEST = 100
TFDS = "tfds:"  # begins what names a TFDS data set in place of a folder
MAX_TFDS = 2000  # images of one, so that they fit into memory; the paper takes 1,920 (section 3.4)
FOREIGN = ("EPS",)  # which Pillow has another program run
MIN_SIZE = 32  # pixels a side; in block 5 of VGG-16 that is 2
MAX_ASPECT = 20
# In the wheels of scikit-image (the extra "art"). The paper's 1800 photographs a split cannot be
# had from nine; crops of different photographs stand for them.
_BUNDLED_TRAIN = ("astronaut.png", "motorcycle_left.png", "hubble_deep_field.jpg", "rocket.jpg")
_BUNDLED_VALIDATION = ("retina.jpg",)
_BUNDLED_TEST = ("chelsea.png", "coffee.png")
_BUNDLED_STYLE = "ihc.png"  # no wheel known to us has a painting; this is a stained tissue
_BUNDLED_TRAIN_CROPS = 800


class Photographs(NamedTuple):
  """Content images of one size, those of meta-training first, then validation's, then the test's.

  Attributes:
    images: uint8 `[N, height, width, 3]`, red, green, blue.
    counts: how many are for meta-training, validation and test; they add up to N.
    source: what they are, in words.
  """

  images: np.ndarray
  counts: tuple[int, int, int]
  source: str

  def indices(self, stream: base.Stream, words: np.ndarray) -> np.ndarray:
    """Which photographs the R instances of a stream have, `[R]`: see `base.Problem`.

    Meta-training draws at random from its own photographs. Validation, the tuning of rivals and the
    table at the end of a training visit those of validation in order, each with noise of its own,
    and the test its own: up to as many instances as there are, no photograph comes twice.

    Args:
      stream: of the instances.
      words: uint32 `[R]`, random.
    """
    num_train, num_validation, num_test = self.counts
    if stream == base.Stream.META_TRAINING:
      return words % num_train
    order = np.arange(len(words))
    if stream == base.Stream.TEST:
      return num_train + num_validation + order % num_test
    return num_train + order % num_validation


def load(folder: str | None, size: int) -> Photographs:
  """Reads all photographs of a folder, or of a TFDS data set, or crops of the bundled ones.

  The files are put in an order that depends on their names alone and looks random; the first 100
  are the test's, the next 20 validation's, and meta-training has the others (section 3.4).
  Examples of TFDS have no names: their pixels decide the order, and of equal ones one is kept.

  Args:
    folder: of images, at least 121; or "tfds:NAME" for a prepared TFDS data set with a feature
      "image" (`tfds_images.load`), of which the first 2,000 images serve, less those in grey or of
      fewer than `MIN_SIZE` pixels a side; None for the bundled photographs. (A folder of the name
      tfds:NAME is ./tfds:NAME.)
    size: pixels a side. Photographs are cut to their central square and resized.

  Raises:
    DataError: if the folder, the data set or a photograph cannot be read, or they are too few.
  """
  if folder is None:
    return _bundled(size)
  if folder.startswith(TFDS):
    return _load_tfds(folder.removeprefix(TFDS), size)
  paths = sorted(files(folder), key=lambda path: _digest(os.path.basename(path).encode()))
  counts = _counts(len(paths), f"{folder} holds {len(paths)} images")
  images = np.stack([square(read(path), size) for path in reversed(paths)])
  return _described(images, counts, f"photographs of {_name(folder)}")


def load_style(path: str | None, size: int) -> tuple[np.ndarray, str]:
  """Reads a style image: uint8 `[height, width, 3]`, and what it is in words.

  Args:
    path: of an image, or None for the bundled one: a tissue under the microscope, stained brown and
      blue. It is a texture, not a painting.
    size: pixels of the shorter side, to which it is resized.

  Raises:
    DataError: if it cannot be read, as a folder.
  """
  if path is not None and os.path.isdir(path):
    raise DataError(f"{path} is a folder; the style here is one picture: name one of its files.")
  image = _read_bundled(_BUNDLED_STYLE) if path is None else read(path)
  pixels = np.asarray(resized(image, size))
  name = f"bundled scikit-image {_BUNDLED_STYLE}" if path is None else _name(path)
  return pixels, f"style {name} ({_digest(pixels.tobytes())})"


def load_styles(path: str | None, size: int) -> tuple[list[np.ndarray], str]:
  """Reads the style image `path`, or all those of the folder `path`, sorted by their names.

  Args:
    path: of an image, or of a folder of at least one; None for the bundled image.
    size: pixels of the shorter side of each, to which it is resized.

  Returns:
    uint8 `[height, width, 3]` each, of its own shape, and what they are in words; of one image
    what `load_style` says of it.

  Raises:
    DataError: if one of them cannot be read, or the folder holds none.
  """
  if path is None or not os.path.isdir(path):
    pixels, source = load_style(path, size)
    return [pixels], source
  paths = files(path)
  if not paths:
    raise DataError(f"{path} holds no style image ({', '.join(EXTENSIONS)}).")
  styles = [np.asarray(resized(read(p), size)) for p in paths]
  digest = _digest("".join(_digest(pixels.tobytes()) for pixels in styles).encode())
  return styles, f"{len(styles)} styles of {_name(path)} ({digest})"


def files(folder: str) -> list[str]:
  """The image files of a folder, sorted.

  Raises:
    DataError: if there is no such folder.
  """
  try:
    names = sorted(os.listdir(folder))
  except OSError as error:
    raise DataError(f"Cannot read the folder of images {folder}: {error.strerror}.") from error
  return [os.path.join(folder, n) for n in names if n.lower().endswith(EXTENSIONS)]


def read(path: str) -> Image.Image:
  """Reads an image upright, in red, green and blue.

  Raises:
    DataError: if it is none that Pillow can read by itself, grey, transparent, or smaller than
      `MIN_SIZE`.
  """
  Image.init()
  try:
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe would be waited for
      raise ValueError("it is no regular file")
    with Image.open(path, formats=[name for name in Image.ID if name not in FOREIGN]) as file:
      image = ImageOps.exif_transpose(file)
      image.load()
  except Exception as error:  # Pillow's many decoders raise many kinds
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    raise DataError(f"Cannot read the image {path}: {reason.rstrip('.')}.") from error
  if min(image.size) < MIN_SIZE:
    raise DataError(
      f"{path} has {image.width} x {image.height} pixels; at least {MIN_SIZE} a side are needed."
    )
  if max(image.size) > MAX_ASPECT * min(image.size):  # the shorter side is made as large as asked
    raise DataError(
      f"{path} has {image.width} x {image.height} pixels; one side is more than {MAX_ASPECT} times"
      " the other."
    )
  if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;"):
    raise DataError(
      f"{path} is a grey image; colours are needed (save it as RGB if grey is meant)."
    )
  if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
    raise DataError(f"{path} is transparent in places; give an image without (flatten it first).")
  return image.convert("RGB")


def resized(image: Image.Image, size: int, side: Callable[..., int] = min) -> Image.Image:
  """The whole image at another size, its shorter side (`min`) or longer one (`max`) of `size`."""
  scale = size / side(image.size)
  width, height = (round(scale * extent) for extent in image.size)
  return image.resize((width, height), Image.Resampling.LANCZOS)


def square(image: Image.Image, size: int) -> np.ndarray:
  """The central square at `size` pixels a side, uint8 `[size, size, 3]`."""
  return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))


def _load_tfds(name: str, size: int) -> Photographs:
  examples, what = tfds_images.load(name, MAX_TFDS)
  found, seen = {}, 0  # squares by the digest of the whole image
  for pixels in examples:
    seen += 1
    colours = np.any(pixels != pixels[..., :1])
    if colours and min(pixels.shape[:2]) >= MIN_SIZE:
      digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
      found[digest] = square(Image.fromarray(pixels), size)
  counts = _counts(
    len(found),
    f"Of the first {seen} {what}, {len(found)} are different ones in colour, of {MIN_SIZE} pixels"
    " a side and more",
  )
  images = np.stack([found[digest] for digest in sorted(found, reverse=True)])
  return _described(images, counts, what)


def _counts(number: int, found: str) -> tuple[int, int, int]:
  """How many of `number` photographs are for meta-training, validation and test.

  Raises:
    DataError: if they are too few; it says what was `found`.
  """
  held_out = NUM_TEST + NUM_VALIDATION
  if number <= held_out:
    raise DataError(
      f"{found}, but {NUM_TEST} are for the test, {NUM_VALIDATION} for"
      f" validation, and meta-training needs some of its own: at least {held_out + 1}."
    )
  return number - held_out, NUM_VALIDATION, NUM_TEST


def _bundled(size: int) -> Photographs:
  rng = np.random.default_rng(0)
  counts = (_BUNDLED_TRAIN_CROPS, NUM_VALIDATION, NUM_TEST)
  names = (_BUNDLED_TRAIN, _BUNDLED_VALIDATION, _BUNDLED_TEST)
  images = [crop for n, c in zip(names, counts) for crop in _crops(n, c, size, rng)]
  source = f"crops of {sum(map(len, names))} photographs bundled with scikit-image"
  return _described(np.stack(images), counts, source)


def _crops(names: Sequence[str], count: int, size: int, rng: np.random.Generator) -> Iterator[Any]:
  """`count` random squares, of a third of the photograph to all of it, the photographs in turn."""
  photographs = [_read_bundled(name) for name in names]
  for i in range(count):
    image = photographs[i % len(photographs)]
    side = int(rng.uniform(1 / 3, 1) * min(image.size))
    left, top = (int(rng.uniform(0, extent - side)) for extent in image.size)
    yield square(image.crop((left, top, left + side, top + side)), size)


def _read_bundled(name: str) -> Image.Image:
  try:
    import skimage
  except ImportError as error:
    raise DataError(
      "The bundled photographs are those of scikit-image, which is not installed:"
      f" {surroundings.how_to_install('art')}, or name your own images with `content_dir` and"
      " `style`."
    ) from error
  return read(os.path.join(os.path.dirname(skimage.__file__), "data", name))


def _described(images: np.ndarray, counts: tuple[int, int, int], what: str) -> Photographs:
  train, validation, test = counts
  digest = _digest(images.tobytes())
  height, width = images.shape[1:3]
  source = f"{train} + {validation} + {test} {what} at {height} x {width} ({digest})"
  return Photographs(images, counts, source)


def _name(path: str) -> str:
  """The last part of a path: what there is to say of it on any machine."""
  return os.path.basename(os.path.abspath(path))


def _digest(value: bytes) -> str:
  return hashlib.sha256(value).hexdigest()[:8]
