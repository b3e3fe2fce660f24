"""Trained optimizers as files to share.

A trained optimizer is a directory with `config.json` and `optimizer.safetensors` (docs/format.md).
"""

import hashlib
import os
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import tensorflow as tf

from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.optimizers import Optimizer
from l2l_tf.storage import files
from l2l_tf.storage.about import About
from l2l_tf.storage.files import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "optimizer.safetensors"
FORMAT = 1
FLOATS = {  # of phi, by their names in a safetensors file
  "F16": tf.float16,
  "BF16": tf.bfloat16,
  "F32": tf.float32,
  "F64": tf.float64,
}


def save_optimizer(directory: str, optimizer: Optimizer, about: dict[str, Any]) -> None:
  """Saves a learned optimizer.

  Args:
    directory: made if it is not there; an older optimizer in it is replaced.
    optimizer: one of `optimizers.LEARNED`.
    about: JSON types that describe how it was trained; kept under "about".
  """
  os.makedirs(directory, exist_ok=True)
  weights = weights_to_bytes(optimizer)
  config = {
    "format": FORMAT,
    "optimizer": optimizer.config(),
    "sha256": hashlib.sha256(weights).hexdigest(),
    "about": about,
  }
  weights_path, config_path = (os.path.join(directory, f) for f in (WEIGHTS_FILE, CONFIG_FILE))
  files.write_all_aside({weights_path: weights, config_path: files.to_json(config)})


def load_optimizer(directory: str) -> tuple[Optimizer, About]:
  """Loads a learned optimizer and what its files tell of its training.

  Raises:
    CheckpointError: if the directory holds no optimizer, or one that is damaged or foreign.
  """
  if not os.path.isdir(directory):
    raise CheckpointError(f"There is no directory {directory}.")
  config = files.read_json(os.path.join(directory, CONFIG_FILE))
  path = os.path.join(directory, WEIGHTS_FILE)
  if not isinstance(config, dict) or config.get("format") != FORMAT:
    raise CheckpointError(
      f"{os.path.join(directory, CONFIG_FILE)} does not describe an optimizer of format {FORMAT};"
      " name a directory such as runs/NAME/best."
    )
  content = files.read_own(path)
  if hashlib.sha256(content).hexdigest() != config.get("sha256"):
    raise CheckpointError(
      f"{path} is damaged: its SHA-256 is not the one in {CONFIG_FILE}. If it is a run's best/,"
      " resuming it (`resume`) writes it anew."
    )
  return from_bytes(config.get("optimizer"), content, path), About(config.get("about"))


def weights_to_bytes(optimizer: Optimizer) -> bytes:
  """Returns phi as the content of an `optimizer.safetensors`."""
  return safetensors.numpy.save({name: v.numpy() for name, v in optimizer.named_phi().items()})


def from_bytes(config: Any, weights: bytes, source: str) -> Optimizer:
  """Builds a learned optimizer with its phi.

  Args:
    config: what its `config()` returned.
    weights: what `weights_to_bytes` returned.
    source: where they come from, for messages.

  Raises:
    CheckpointError: if they are not of one optimizer of ours.
  """
  try:
    tensors = _tensors(weights)
    optimizer = optimizer_from_config(config)
  except (safetensors.SafetensorError, ValueError) as error:
    raise CheckpointError(f"{source} holds no optimizer of ours: {error!s:.1000}") from error
  _assign(optimizer.named_phi(), tensors, source)
  return optimizer


def _tensors(weights: bytes) -> dict[str, np.ndarray]:
  """The tensors of a safetensors file: `safetensors.numpy` cannot read the bfloat16 it writes."""
  tensors = {}
  for name, entry in safetensors.deserialize(weights):
    if entry["dtype"] not in FLOATS:
      raise ValueError(f"{name!r} is of type {entry['dtype']}; phi is of {', '.join(FLOATS)}.")
    dtype = FLOATS[entry["dtype"]].as_numpy_dtype
    tensors[name] = np.frombuffer(entry["data"], dtype).reshape(entry["shape"])
  return tensors


def optimizer_from_config(config: Any) -> Optimizer:
  """Builds a learned optimizer, its phi untrained, from what its `config()` returned.

  Raises:
    ValueError: for an unknown kind, option or value.
  """
  return optimizer_options.of_file(config).build(seed=0)


def _assign(variables: dict[str, tf.Variable], weights: dict[str, np.ndarray], path: str) -> None:
  """Sets phi; a file may hold it in a shorter float type, never in a longer one."""
  expected = {name: (tuple(v.shape), v.dtype.as_numpy_dtype) for name, v in variables.items()}
  received = {name: (w.shape, w.dtype.type) for name, w in weights.items()}
  if received.keys() != expected.keys() or not all(
    _fits(received[name], expected[name]) for name in expected
  ):
    raise CheckpointError(
      f"{path} holds {received!s:.1000}, but its config calls for {expected!s:.1000}."
    )
  if not all(np.isfinite(w).all() for w in weights.values()):
    raise CheckpointError(f"{path} holds weights that are not finite.")
  for name, variable in variables.items():
    variable.assign(weights[name].astype(variable.dtype.as_numpy_dtype))


def _fits(received: tuple, expected: tuple) -> bool:
  """Whether numbers of this shape and type can be given to such a variable and stay as they are."""
  (shape, given), (wanted_shape, wanted) = received, expected
  shorter = np.dtype(given).itemsize < np.dtype(wanted).itemsize
  return shape == wanted_shape and (given == wanted or shorter)
