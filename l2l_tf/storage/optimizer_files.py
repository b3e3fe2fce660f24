"""Trained optimizers as files to share.

A trained optimizer is a directory with `config.json` and `optimizer.safetensors` (docs/format.md).
"""

from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.optimizers import Optimizer
from l2l_tf.storage import phi_files
from l2l_tf.storage.about import About
from l2l_tf.storage.files import CheckpointError


def save_optimizer(directory: str, optimizer: Optimizer, about: dict[str, Any]) -> None:
  """Saves a learned optimizer.

  Args:
    directory: made if it is not there; an older optimizer in it is replaced.
    optimizer: one of `optimizers.LEARNED`.
    about: JSON types that describe how it was trained; kept under "about".
  """
  phi_files.write(directory, optimizer.config(), weights_to_bytes(optimizer), about)


def load_optimizer(directory: str) -> tuple[Optimizer, About]:
  """Loads a learned optimizer and what its files tell of its training.

  Raises:
    CheckpointError: if the directory holds no optimizer, or one that is damaged or foreign.
  """
  trained = phi_files.read(directory)
  return from_bytes(trained.config, trained.weights, trained.source), trained.about


def weights_to_bytes(optimizer: Optimizer) -> bytes:
  """Returns phi as the content of an `optimizer.safetensors`."""
  return phi_files.to_bytes({name: v.numpy() for name, v in optimizer.named_phi().items()})


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
    tensors = phi_files.tensors(weights)
    optimizer = optimizer_from_config(config)
  except ValueError as error:
    raise CheckpointError(f"{source} holds no optimizer of ours: {error!s:.1000}") from error
  _assign(optimizer.named_phi(), tensors, source)
  return optimizer


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
