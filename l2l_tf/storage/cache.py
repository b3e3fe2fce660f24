"""Finished parts of a long computation, kept on disk under a digest of all that decides them.

An interrupted computation asks for the same parts again and gets them from the disk. A part whose
key changed in the least has another name, so nothing stale is ever found.
"""

import glob
import hashlib
import io
import json
import os
from types import ModuleType
from typing import Any, Callable, Sequence

from absl import logging
import numpy as np

from l2l_tf.storage import files


class Parts:
  """A directory of arrays, one file a part, each written aside and then renamed."""

  def __init__(self, directory: str):
    """Makes the directory.

    Raises:
      OSError: if it cannot be made.
    """
    self.directory = directory
    os.makedirs(directory, exist_ok=True)

  def get(self, key: dict[str, Any], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Returns the part that `key` names: from the disk if it is there, else computed and kept.

    Args:
      key: JSON types that together decide every number of the part.
      compute: called without arguments if the part is missing or damaged.
    """
    path = os.path.join(self.directory, f"{digest(key)}.npz")
    values = _read(path)
    if values is None:
      values = compute()
      buffer = io.BytesIO()
      np.savez(buffer, values=values)  # a zip file: each reader checks its CRC-32
      files.write_aside(path, buffer.getvalue())
    return values

  def remove(self):
    """Removes all parts, and the directory unless it holds something else."""
    for name in os.listdir(self.directory):
      if name.endswith((".npz", ".tmp")):
        os.remove(os.path.join(self.directory, name))
    if not os.listdir(self.directory):
      os.rmdir(self.directory)


def digest(value: Any) -> str:
  """SHA-256, in hex, of JSON types."""
  text = json.dumps(value, sort_keys=True, allow_nan=False)
  return hashlib.sha256(text.encode()).hexdigest()


def files_digest(paths: Sequence[str]) -> str:
  """SHA-256, in hex, of the content of source files, so that a changed program starts anew."""
  total = hashlib.sha256()
  for path in sorted(paths):
    with open(path, "rb") as file:
      total.update(hashlib.sha256(file.read()).digest())
  return total.hexdigest()


def code_digest(patterns: Sequence[str], *packages: ModuleType) -> str:
  """`files_digest` of what `patterns`, from l2l_tf/ on, name, and of the modules in `packages`.

  Raises:
    ValueError: for a pattern that names no file.
  """
  library = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  patterns = [os.path.join(library, pattern) for pattern in patterns]
  patterns += [os.path.join(os.path.dirname(package.__file__), "*.py") for package in packages]
  found = {pattern: glob.glob(pattern) for pattern in patterns}
  if missing := [pattern for pattern, paths in found.items() if not paths]:
    raise ValueError(f"No source file is called {missing[0]}.")
  return files_digest([path for paths in found.values() for path in paths])


def _read(path: str) -> np.ndarray | None:
  """The array in `path`; None if it is not there or damaged."""
  if not os.path.exists(path):
    return None
  try:
    with np.load(path, allow_pickle=False) as archive:
      return archive["values"]
  except Exception as error:  # zipfile and NumPy raise many kinds for damaged archives
    logging.warning("%s is damaged and computed anew: %s", path, error)
    return None
