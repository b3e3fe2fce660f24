"""The images of a prepared TensorFlow Datasets copy, one at a time; nothing is downloaded."""

from collections.abc import Iterator
import itertools
import os
import re
from typing import Any

import numpy as np

from l2l_tf import surroundings
from l2l_tf.problems import datasets
from l2l_tf.problems.datasets import DataError

SPLIT = "train"
# A name, its config, its version, as `tfds.builder` takes them; none that TFDS looks up elsewhere.
_NAME = re.compile(r"\w+(/[\w.+-]+)?(:\d+\.\d+\.\d+)?")


def load(name: str, limit: int) -> tuple[Iterator[np.ndarray], str]:
  """Opens the images of a data set's training split, in the order in which they are stored.

  TFDS shuffles examples when it prepares them, so the first ones are of all classes.
  Images that it decodes as red, green and blue may still be grey; that is for the caller to see.

  Args:
    name: `NAME`, `NAME/CONFIG` or either with `:VERSION`, in the folder `TFDS_DATA_DIR`, else in
      TFDS's own default folder. Examples need a feature "image" of red, green and blue, uint8.
    limit: how many images to read at most. One is held at a time.

  Returns:
    uint8 `[height, width, 3]` each, of its own shape, and what they are in words.

  Raises:
    DataError: if there is no such data set, no prepared copy of it, or no such feature; while
      iterating, if the files are damaged.
    MissingPackage: without TensorFlow Datasets.
  """
  with surroundings.extra("data"):
    import tensorflow_datasets as tfds  # slow to import, and needed here only

  folder = datasets.folder()
  if not _NAME.fullmatch(name):
    raise DataError(f"{name!r} is not the name of a TFDS data set, such as imagenette.")
  if not os.path.isdir(folder):
    raise _missing(name, folder)
  try:
    builder = tfds.builder(name, data_dir=folder, try_gcs=False)
    prepared = builder.is_prepared()
  except tfds.core.registered.DatasetNotFoundError as error:
    raise DataError(
      f"TFDS knows no data set {name}, and {folder} holds none of that name."
    ) from error
  except Exception as error:  # TFDS raises whatever its many backends raise
    raise _unreadable(name, folder, error) from error
  if not prepared:
    raise _missing(name, folder)
  _check(builder, name)
  images = _images(builder, name, folder)
  return itertools.islice(images, limit), f"images of TFDS {name.split(':')[0]} {builder.version}"


def _check(builder: Any, name: str) -> None:
  """Raises DataError unless there is a training split of images in colour."""
  import tensorflow_datasets as tfds

  if SPLIT not in builder.info.splits:
    raise DataError(f"TFDS {name} has no split {SPLIT!r}; it has {', '.join(builder.info.splits)}.")
  features = dict(builder.info.features)
  image = features.get("image")
  if not isinstance(image, tfds.features.Image):
    raise DataError(f"TFDS {name} has no feature image that is one; it has {', '.join(features)}.")
  shape, dtype = image.shape, np.dtype(image.np_dtype)
  if shape[-1] != 3 or dtype != np.uint8:
    raise DataError(
      f"The images of TFDS {name} are {dtype} {list(shape)}; red, green and blue are needed, uint8"
      " [height, width, 3], not grey, not transparent."
    )


def _images(builder: Any, name: str, folder: str) -> Iterator[np.ndarray]:
  import tensorflow_datasets as tfds

  try:
    examples = builder.as_dataset(
      split=SPLIT,
      decoders=tfds.decode.PartialDecoding({"image": True}),
      # File after file: how many files they were written into does not matter.
      read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    for example in tfds.as_numpy(examples):
      yield example["image"]
  except Exception as error:
    raise _unreadable(name, folder, error) from error


def _missing(name: str, folder: str) -> DataError:
  return DataError(
    f"{datasets.missing(name)} Prepare it with `{datasets.build_command(name, folder)}` on a"
    f" machine with a network, or name the folder that holds it with {datasets.VARIABLE}."
  )


def _unreadable(name: str, folder: str, error: Exception) -> DataError:
  reason = str(error).strip().splitlines() or [type(error).__name__]
  return DataError(f"Cannot read the TFDS data set {name} in {folder}: {reason[0]}")
