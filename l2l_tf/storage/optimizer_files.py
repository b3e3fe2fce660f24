"""Trained optimizers as files to share.

A trained optimizer is a directory with `config.json` and `optimizer.safetensors` (docs/format.md).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import user_code
from l2l_tf.config.user_optimizer import UserOptimizer
from l2l_tf.optimizers import Optimizer
from l2l_tf.storage import phi_files
from l2l_tf.storage.about import About
from l2l_tf.storage.files import CheckpointError


def save_optimizer(directory: str, optimizer: Optimizer, about: dict[str, Any]) -> None:
  """Saves a learned optimizer.

  Args:
    directory: made if it is not there; an older optimizer in it is replaced.
    optimizer: one of `optimizers.LEARNED`, or one of your own: then its phi is kept, and the name
      of the code that builds it, but not the code.
    about: JSON types that describe how it was trained; kept under "about".
  """
  phi_files.write(directory, optimizer.config(), weights_to_bytes(optimizer), about)


def load_optimizer(
  directory: str, user_optimizer: str | Callable[[int], Optimizer] | None = None
) -> tuple[Optimizer, About]:
  """Loads a learned optimizer and what its files tell of its training.

  Args:
    directory: of the files.
    user_optimizer: what builds an optimizer of your own, if the files are of one: the
      `module:factory` that they name, whose code must be as it was, or any function of a seed. What
      a file alone names is not run.

  Raises:
    CheckpointError: if the directory holds no optimizer, or one that is damaged or foreign.
    UserCodeError: if `user_optimizer` builds no optimizer.
  """
  config, weights, about, source = phi_files.read(directory)
  if (name := _users(config)) is None:
    return from_bytes(config, weights, source), about
  optimizer = _by_user(name, config, user_optimizer, source)
  _assign(optimizer.named_phi(), _read(weights, source), source)
  return optimizer, about


def _users(described: Any) -> str | None:
  """The `module:factory` of a description of a user's optimizer; None for any other."""
  name = described.get("kind") if isinstance(described, dict) else None
  return name if user_code.is_name(name) else None


def _by_user(
  name: str,
  described: Any,
  given: str | Callable[[int], Optimizer] | None,
  path: str,
) -> Optimizer:
  """Builds a user's optimizer, its phi untrained."""
  if given is None or (isinstance(given, str) and given != name):
    raise CheckpointError(
      f"{path} is of an optimizer that the code {name:.200} builds. Add"
      f" `user_optimizer`={name:.200} if you trust it."
    )
  if not isinstance(given, str):
    return given(0)
  optimizer = UserOptimizer(name=given).build(0)
  if optimizer.config() != described:
    raise CheckpointError(
      f"{path} was trained with another version of the code of {name}: its SHA-256 is not the one"
      f" in {phi_files.CONFIG_FILE}. Make that version available again, or in Python give"
      " `load_optimizer` the function itself."
    )
  return optimizer


def weights_to_bytes(optimizer: Optimizer) -> bytes:
  """Returns phi as the content of an `optimizer.safetensors`."""
  return phi_files.to_bytes({n: np.asarray(v) for n, v in optimizer.named_phi().items()})


def from_bytes(config: Any, weights: bytes, source: str) -> Optimizer:
  """Builds a learned optimizer with its phi.

  Args:
    config: what its `config()` returned.
    weights: what `weights_to_bytes` returned.
    source: where they come from, for messages.

  Raises:
    CheckpointError: if they are not of one optimizer of ours.
  """
  tensors = _read(weights, source)
  if (name := _users(config)) is not None:
    raise CheckpointError(
      f"{source} is of an optimizer of your own, which the code {name:.200} builds; load it with"
      " l2l_tf.load_optimizer(directory, user_optimizer)."
    )
  try:
    optimizer = optimizer_from_config(config)
  except ValueError as error:
    raise CheckpointError(f"{source} holds no optimizer of ours: {error!s:.1000}") from error
  _assign(optimizer.named_phi(), tensors, source)
  return optimizer


def _read(weights: bytes, source: str) -> dict[str, np.ndarray]:
  try:
    return phi_files.tensors(weights)
  except ValueError as error:
    raise CheckpointError(f"{source} holds no optimizer of ours: {error!s:.1000}") from error


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
