"""The data of the tasks: real, and with the exception of CIFAR-10 in what is installed anyway."""

import functools
import os
import re
import sysconfig
from typing import Callable, NamedTuple

import keras
import numpy as np

from l2l_tf import surroundings
from l2l_tf.zoo.task import Data
from l2l_tf.problems import datasets
from l2l_tf.problems.datasets import DataError

TEST_SHARE = 0.2  # of tables
MAX_TEST = 1000  # held-out images, windows of text ...
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))


class Table(NamedTuple):
  """Numbers as they come: float32 `[N, columns]`, targets `[N, ...]`, in their order."""

  inputs: np.ndarray
  targets: np.ndarray


def split(x, y, source: str) -> Data:
  """Shuffles a table once and for all and holds a fifth of it out."""
  order = np.random.default_rng(0).permutation(len(y))
  cut = round(TEST_SHARE * len(y))
  test, train = order[:cut], order[cut:]
  return Data((x[train], y[train]), (x[test], y[test]), source)


def standardized(data: Data) -> Data:
  """Inputs with mean 0 and deviation 1 over the training examples."""
  (x, y), (test_x, test_y) = data.train, data.test
  mean, deviation = x.mean(0), x.std(0) + 1e-8
  scale = lambda values: ((values - mean) / deviation).astype(np.float32)  # noqa: E731
  return Data((scale(x), y), (scale(test_x), test_y), data.source)


@functools.cache
def sklearn_table(name: str) -> Table:
  """One of scikit-learn's bundled tables: "digits", "wine", "breast_cancer", "diabetes".

  Raises:
    DataError: if scikit-learn is not installed.
  """
  sklearn_datasets = _package("sklearn.datasets", "scikit-learn")
  options = {"scaled": False} if name == "diabetes" else {}
  table = getattr(sklearn_datasets, f"load_{name}")(**options)
  kind = np.float32 if name == "diabetes" else np.int32
  return Table(table.data.astype(np.float32), table.target.astype(kind))


@functools.cache
def cars() -> Table:
  """Miles per gallon from cylinders, displacement, horsepower, weight, acceleration, year, origin.

  Raises:
    DataError: if mlxtend is not installed.
  """
  inputs, targets = _package("mlxtend.data", "mlxtend").autompg_data()
  inputs, targets = inputs[:, :7].astype(np.float32), targets.astype(np.float32)
  whole = np.isfinite(inputs).all(1)  # some lack the horsepower; the eighth column is the name
  return Table(inputs[whole], targets[whole])


@functools.cache
def photograph() -> np.ndarray:
  """A colour photograph of scikit-learn's, every fourth pixel: float32 `[107, 160, 3]`, 0 to 1.

  Raises:
    DataError: if scikit-learn is not installed.
  """
  image = _package("sklearn.datasets", "scikit-learn").load_sample_image("china.jpg")
  return image[::4, ::4].astype(np.float32) / 255


_loaded = functools.lru_cache(maxsize=4)(datasets.load)


@functools.lru_cache(maxsize=2)
def images(name: str, pooling: int = 1) -> Data:
  """MNIST or CIFAR-10 as uint8 `[N, height, width, channels]`, with labels int32 `[N]`.

  The training split of the first source that `problems.datasets.load` finds, and up to 1,000
  images of the test split; where there is none (the bundled MNIST), a tenth is held out.

  Raises:
    DataError: if there is no source.
  """
  train = datasets.pool(_loaded(name), pooling)
  if train.source.startswith("bundled"):
    order = np.random.default_rng(0).permutation(len(train.labels))
    held_out, kept = order[: len(order) // 10], order[len(order) // 10 :]
    test = train._replace(images=train.images[held_out], labels=train.labels[held_out])
    train = train._replace(images=train.images[kept], labels=train.labels[kept])
  else:
    test = datasets.pool(_loaded(name, "test"), pooling)
  train_y, test_y = train.labels.astype(np.int32), test.labels.astype(np.int32)
  test_x, test_y = test.images[:MAX_TEST], test_y[:MAX_TEST]
  return Data((train.images, train_y), (test_x, test_y), train.source)


def scaled(data: Data) -> Data:
  """Pixels between 0 and 1."""
  (x, y), (test_x, test_y) = data.train, data.test
  return Data((_unit(x), y), (_unit(test_x), test_y), data.source)


def _unit(pixels: np.ndarray) -> np.ndarray:
  return pixels.astype(np.float32) / 255


def reconstructed(data: Data) -> Data:
  """Flat images that are their own targets."""
  flat = [x.reshape(len(x), -1) for x, _ in (data.train, data.test)]
  return Data((flat[0], flat[0]), (flat[1], flat[1]), data.source)


@functools.cache
def topics() -> dict[str, str]:
  """The reference of the language that `help()` prints, by topic: in every Python installation.

  Raises:
    DataError: if this one lacks it.
  """
  try:
    from pydoc_data import topics as module
  except ImportError as error:
    raise DataError(
      "This Python lacks pydoc_data, the texts of help(); install its whole standard library."
    ) from error
  return dict(sorted(module.topics.items()))


@functools.cache
def text() -> np.ndarray:
  """The topics and Python's licence, one after the other, as places in `ALPHABET`: uint8 `[N]`.

  Raises:
    DataError: if this Python lacks the topics. Its licence is left out if there is no file of it.
  """
  parts = list(topics().values())
  licence = os.path.join(sysconfig.get_path("stdlib"), "LICENSE.txt")
  if os.path.exists(licence):
    with open(licence, encoding="utf-8", errors="ignore") as file:
      parts.append(file.read())
  places = {character: place for place, character in enumerate(ALPHABET)}
  known = (places.get(character) for character in "\n".join(parts))
  return np.array([place for place in known if place is not None], np.uint8)


@functools.cache
def characters(length: int) -> Data:
  """Windows of text: int32 `[N, length]`, and the character after each of theirs.

  The first nine tenths of the text are for training.

  Raises:
    DataError: as `text`.
  """
  whole = text().astype(np.int32)
  cut = len(whole) * 9 // 10
  pairs = []
  for part in (whole[:cut], whole[cut:]):
    count = (len(part) - 1) // length
    x, y = (part[k : k + count * length].reshape(count, length) for k in (0, 1))
    pairs.append((x, y))
  train, (test_x, test_y) = pairs
  source = f"{len(whole)} characters of Python's help() and licence"
  return Data(train, (test_x[:MAX_TEST], test_y[:MAX_TEST]), source)


@functools.cache
def words(size: int) -> tuple[np.ndarray, tuple[str, ...]]:
  """The words of the topics, lower case, as places in a vocabulary, and the vocabulary.

  Args:
    size: of the vocabulary: the most frequent words; the others are 0.

  Returns:
    int32 `[N]`, and `size` words.

  Raises:
    DataError: as `topics`.
  """
  found = re.findall(r"[a-z]+", "\n".join(topics().values()).lower())
  names, counts = np.unique(found, return_counts=True)
  order = np.lexsort((names, -counts))[: size - 1]
  vocabulary = ("", *names[order].tolist())
  places = {word: place for place, word in enumerate(vocabulary)}
  return np.array([places.get(word, 0) for word in found], np.int32), vocabulary


def matplotlib_sample(name: str) -> str:
  """The path of one of the sample files inside Matplotlib's wheel.

  Raises:
    DataError: if this version of it has no such file.
  """
  import matplotlib

  path = os.path.join(matplotlib.get_data_path(), "sample_data", name)
  if not os.path.exists(path):
    raise DataError(
      f"Matplotlib {matplotlib.__version__} brings no sample file {name}; versions from 3.8 to 3.11"
      " do."
    )
  return path


def windows(series: np.ndarray, length: int, source: str) -> Data:
  """All windows of `length` steps, and the step after each; the last fifth is held out.

  Args:
    series: float32 `[num_series, steps, channels]`.
    length: of a window.
    source: in words.
  """
  cut = round((1 - TEST_SHARE) * series.shape[1])
  pairs = []
  for part in (series[:, :cut], series[:, cut:]):
    views = np.lib.stride_tricks.sliding_window_view(part, length + 1, axis=1)
    views = np.moveaxis(views, -1, 2).reshape(-1, length + 1, series.shape[2])
    pairs.append((np.ascontiguousarray(views[:, :-1]), np.ascontiguousarray(views[:, -1])))
  train, (test_x, test_y) = pairs
  stride = max(1, len(test_y) // MAX_TEST)
  return Data(train, (test_x[::stride], test_y[::stride]), source)


def poisson_deviance(counts, rates):
  """Twice the Poisson loss less that of perfect rates: 0 is the best. Mean over the last axis."""
  counts, rates = keras.ops.cast(counts, rates.dtype), rates + keras.config.epsilon()
  safe = keras.ops.maximum(counts, keras.config.epsilon())
  surprise = keras.ops.where(counts > 0, counts * keras.ops.log(safe / rates), 0.0)
  return keras.ops.mean(2 * (surprise - counts + rates), -1)


def cached(load: Callable[[], Data]) -> Callable[[], Data]:
  """Keeps what the function gave last."""
  return functools.wraps(load)(functools.lru_cache(maxsize=1)(load))


def _package(module: str, distribution: str):
  """Imports a module of another package.

  Raises:
    DataError: if it is not installed.
  """
  try:
    return __import__(module, fromlist=["_"])
  except ImportError as error:
    raise DataError(
      f"The data are those of {distribution}, which is not installed:"
      f" {surroundings.how_to_install('data')}"
    ) from error
