"""The directory of a run: claimed by one process, written with errors that say what to do."""

import contextlib
import itertools
import os
import shutil
from typing import Iterator

import tensorflow as tf

CONFIG_FILE = "config.json"  # written last of what a run begins with: with it there is a run
CHECKPOINTS = "checkpoints"


class RunError(RuntimeError):
  """A run directory cannot be used; the message says why and what to do."""


class DirectoryTaken(RunError):
  """The directory holds a run, or anything else."""


def make(directory: str):
  """Makes `directory` unless it is there.

  Raises:
    RunError: if it cannot be made.
  """
  try:
    os.makedirs(directory, exist_ok=True)
  except OSError as error:
    raise RunError(
      f"Cannot make the directory {directory}: {error.strerror}. Name another --run_dir."
    ) from error


@contextlib.contextmanager
def claimed(directory: str) -> Iterator[None]:
  """Takes a new or an empty directory for a run; leaves it as it was if the block fails.

  Raises:
    DirectoryTaken: if it is not empty, or another process has just taken it.
    RunError: if it cannot be made.
  """
  existed, checkpoints = os.path.isdir(directory), os.path.join(directory, CHECKPOINTS)
  make(directory)
  try:
    if os.listdir(directory):
      raise FileExistsError
    os.mkdir(checkpoints)  # of two processes only one succeeds
  except FileExistsError as error:
    raise DirectoryTaken(
      f"{directory} is not empty. Name another --run_dir, or continue that run with --resume."
    ) from error
  except OSError as error:
    raise RunError(f"Cannot use {directory}: {error.strerror}. Name another --run_dir.") from error
  try:
    yield
  except BaseException:
    shutil.rmtree(checkpoints, ignore_errors=True)
    if not existed:
      with contextlib.suppress(OSError):
        os.rmdir(directory)
    raise


def names(directory: str) -> Iterator[str]:
  """Yields `directory`, and for those who find it taken `directory`-2, `directory`-3, ..."""
  yield directory
  for number in itertools.count(2):
    yield f"{directory}-{number}"


@contextlib.contextmanager
def writing(directory: str) -> Iterator[None]:
  """Makes errors of the disk in the block, Python's and TensorFlow's, a `RunError`."""
  try:
    yield
  except (OSError, tf.errors.OpError) as error:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    raise RunError(
      f"Cannot write to {directory}: {reason[0]:.300}. Free some space or mend its permissions;"
      " what was saved before is whole, and --resume goes on from there."
    ) from error
