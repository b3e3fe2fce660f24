"""Checkpoints to resume a meta-training from."""

import contextlib
import os
import re
import shutil
from typing import Any

from absl import logging
import tensorflow as tf

from l2l_tf.runs import literal_path
from l2l_tf.storage.files import CheckpointError
from l2l_tf.storage.files import sync

FILE = re.compile(r"ckpt-(\d{1,18})(\.index|\.data-\d{5}-of-\d{5}|_temp)")


class TrainingCheckpoint:
  """The checkpoints of a running meta-training: any trackables and one JSON text.

  Each save has a number of its own, one more than the last, so that none is ever written over. The
  names of the files tell which there are: TensorFlow renames `ckpt-NUMBER.index` into place last.
  Its own list, the file `checkpoint`, is not used: it would be one more file to be damaged, and
  TensorFlow deletes the files that such a list names, wherever they are.
  """

  def __init__(self, directory: str, trackables: dict[str, Any]):
    """Names the directory, which the first save makes."""
    self._directory = directory
    self._text = tf.Variable("", dtype=tf.string, trainable=False)
    self._checkpoint = tf.train.Checkpoint(text=self._text, **trackables)
    _ = self._checkpoint.save_counter  # makes it: `restore` asks for it
    self._last: int | None = None  # the number of what was saved or restored last

  def save(self, text: str):
    """Saves everything; then removes what is older than the save or restoring before it."""
    self._text.assign(text)
    os.makedirs(self._directory, exist_ok=True)
    names = _names(self._directory)
    number = max(names, default=-1) + 1
    self._checkpoint.write(self._literal(number))
    for name in _names(self._directory)[number]:
      sync(os.path.join(self._directory, name))
    sync(self._directory)
    for old in names.keys() - {number, self._last}:
      for name in names[old]:
        _remove(os.path.join(self._directory, name))
    self._last = number

  def restore(self) -> str:
    """Restores the newest checkpoint that can be read whole, and returns its text.

    A newer one that is damaged is warned of.

    Raises:
      CheckpointError: if there is none.
    """
    names = _names(self._directory)
    whole = [n for n in sorted(names, reverse=True) if f"ckpt-{n}.index" in names[n]]
    if not whole:
      raise CheckpointError(f"There is no checkpoint in {self._directory} to resume from.")
    damages = []
    for number in whole:
      path = self._path(number)
      try:
        self._checkpoint.restore(self._literal(number)).assert_consumed()
      except Exception as error:  # whatever TensorFlow's layers raise, IndexError included
        reason = str(error).strip().splitlines() or [type(error).__name__]
        damages.append(
          f"The checkpoint {path} is damaged or does not fit this training: {reason[0]:.300}"
        )
        continue
      for damage in damages:
        logging.warning("%s It is left out; the one before it, %s, is used.", damage, path)
      self._last = number
      return self._text.numpy().decode()
    raise CheckpointError(
      f"{damages[0]} There is no older one that can be used. What best/ holds can begin a new run:"
      " `init_from`."
    )

  def _path(self, number: int) -> str:
    return os.path.join(self._directory, f"ckpt-{number}")

  def _literal(self, number: int) -> str:
    """The path as TensorFlow takes it."""
    return os.path.join(literal_path.of(self._directory), f"ckpt-{number}")


def _names(directory: str) -> dict[int, list[str]]:
  """The names of the files of each checkpoint, whole or not, by its number."""
  names: dict[int, list[str]] = {}
  for name in os.listdir(directory) if os.path.isdir(directory) else ():
    if match := FILE.fullmatch(name):
      names.setdefault(int(match[1]), []).append(name)
  return names


def _remove(path: str):
  with contextlib.suppress(OSError):
    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
