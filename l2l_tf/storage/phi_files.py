"""The two files of a trained optimizer, as NumPy alone reads and writes them (docs/format.md)."""

import base64
from collections.abc import Mapping
import hashlib
import os
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from l2l_tf.rule import phi as rule_phi
from l2l_tf.storage import files
from l2l_tf.storage.about import About
from l2l_tf.storage.files import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "optimizer.safetensors"
FORMAT = 1
FLOATS = {  # of phi, by their names in a safetensors file
  "F16": "float16",
  "BF16": "bfloat16",
  "F32": "float32",
  "F64": "float64",
}


class Trained(NamedTuple):
  """What the files of a trained optimizer hold."""

  config: Any  # what its `config()` returned
  weights: bytes  # phi, the content of WEIGHTS_FILE
  about: About  # its training
  source: str  # where phi comes from, for messages


def read(directory: str) -> Trained:
  """Reads the files of a trained optimizer; phi is what was written, but may be of anything.

  Raises:
    CheckpointError: if the directory holds no optimizer, or a damaged one.
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
  return Trained(config.get("optimizer"), content, About(config.get("about")), path)


def write(directory: str, config: dict[str, Any], weights: bytes, about: Mapping[str, Any]) -> None:
  """Writes the files of a trained optimizer; older ones in the directory are replaced."""
  os.makedirs(directory, exist_ok=True)
  described = {
    "format": FORMAT,
    "optimizer": config,
    "sha256": hashlib.sha256(weights).hexdigest(),
    "about": about,
  }
  weights_path, config_path = (os.path.join(directory, f) for f in (WEIGHTS_FILE, CONFIG_FILE))
  files.write_all_aside({weights_path: weights, config_path: files.to_json(described)})


def to_bytes(phi: Mapping[str, np.ndarray]) -> bytes:
  """Returns phi, by its names, as the content of a `WEIGHTS_FILE`."""
  return safetensors.numpy.save(dict(phi))


def to_text(weights: bytes) -> str:
  """Returns the content of a `WEIGHTS_FILE` as base64, for JSON."""
  return base64.b64encode(weights).decode()


def from_text(text: Any, source: str) -> bytes:
  """The inverse of `to_text`, for what may be hostile; `source` names it in messages.

  Raises:
    CheckpointError: if it is no base64 of a possible size.
  """
  if not isinstance(text, str) or len(text) > 2 * files.MAX_FILE_BYTES:
    raise CheckpointError(f"{source} holds no phi, or far too large a one.")
  try:
    return base64.b64decode(text, validate=True)
  except ValueError as error:
    raise CheckpointError(f"{source} holds a phi that is no base64: {error}.") from error


def tensors(weights: bytes) -> dict[str, np.ndarray]:
  """The tensors of a `WEIGHTS_FILE`: `safetensors.numpy` cannot read the bfloat16 it writes.

  Raises:
    ValueError: for tensors of other types, and for what is no such file.
  """
  found = {}
  try:
    entries = safetensors.deserialize(weights)
  except safetensors.SafetensorError as error:
    raise ValueError(str(error)) from error
  for name, entry in entries:
    if entry["dtype"] not in FLOATS:
      raise ValueError(f"{name!r} is of type {entry['dtype']}; phi is of {', '.join(FLOATS)}.")
    found[name] = np.frombuffer(entry["data"], _dtype(entry["dtype"])).reshape(entry["shape"])
  return found


def rule(config: Any, weights: bytes, source: str) -> rule_phi.Phi:
  """Returns phi of the general rule, float32.

  Args:
    config: what its `config()` returned.
    weights: what `to_bytes` returned.
    source: where they come from, for messages.

  Raises:
    CheckpointError: if they are not of one general rule.
  """
  try:
    return rule_phi.in_order(config, tensors(weights))
  except ValueError as error:
    raise CheckpointError(f"{source} holds no general rule: {error!s:.1000}") from error


def _dtype(name: str) -> np.dtype:
  if name != "BF16":
    return np.dtype(FLOATS[name])
  import ml_dtypes  # NumPy has no such type; frameworks that do bring it

  return np.dtype(ml_dtypes.bfloat16)
