"""Finished parts of a long computation, kept on disk under a digest of all that decides them.

An interrupted computation asks for the same parts again and gets them from the disk. A part whose
key changed in the least has another name, so nothing stale is ever found.
"""

from collections.abc import Callable
import hashlib
import io
import json
import os
import re
from typing import Any

from absl import logging
import numpy as np

from l2l_tf.storage import files

_PART = re.compile(r"[0-9a-f]{64}\.npz(\.[0-9a-f]{8}\.tmp)?")


class Parts:
  """A directory of arrays, one file a part, each written aside and then renamed."""

  def __init__(self, directory: str):
    """Takes the name of the directory, which the first part makes."""
    self.directory = directory

  def get(self, key: dict[str, Any], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Returns the part that `key` names: from the disk if it is there, else computed and kept.

    Args:
      key: JSON types that together decide every number of the part.
      compute: called without arguments if the part is missing or damaged.

    Raises:
      OSError: if it cannot be kept; where the directory cannot be made, before `compute`.
    """
    os.makedirs(self.directory, exist_ok=True)
    path = os.path.join(self.directory, f"{digest(key)}.npz")
    values = _read(path)
    if values is None:
      values = compute()
      buffer = io.BytesIO()
      np.savez(buffer, values=values)  # a zip file: each reader checks its CRC-32
      files.write_aside(path, buffer.getvalue())
    return values

  def remove(self) -> None:
    """Removes all parts, and the directory unless it holds something else."""
    for name in os.listdir(self.directory):
      if _PART.fullmatch(name):
        os.remove(os.path.join(self.directory, name))
    if not os.listdir(self.directory):
      os.rmdir(self.directory)


def digest(value: Any) -> str:
  """SHA-256, in hex, of JSON types."""
  text = json.dumps(value, sort_keys=True, allow_nan=False)
  return hashlib.sha256(text.encode()).hexdigest()


def _read(path: str) -> np.ndarray | None:
  """The array in `path`; None if it is not there or damaged."""
  if not os.path.exists(path):
    return None
  try:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
      return archive["values"]
  except Exception as error:  # zipfile and NumPy raise many kinds for damaged archives
    logging.warning("%s is damaged and computed anew: %s", path, error)
    return None
