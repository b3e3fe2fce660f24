"""The directory of a run: locked by one process, written with errors that say what to do."""

from collections.abc import Iterator
import contextlib
import itertools
import os
import shutil
import socket
import time
from typing import IO

import tensorflow as tf

from l2l_tf.errors import ExpectedError
from l2l_tf.runs import kernel_lock
from l2l_tf.storage.files import is_aside

CONFIG_FILE = "config.json"  # written last of what a run begins with: with it there is a run
CHECKPOINTS = "checkpoints"
LOCK_FILE = "lock"
_POSIX_FLAGS = ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK")
_locks: dict[str, IO] = {}  # the lock files that this process holds, by path


class RunError(ExpectedError, RuntimeError):
  """A run directory cannot be used; the message says why and what to do."""


class DirectoryTaken(RunError):
  """The directory holds a run, or anything else, or another process has it."""


def make(directory: str):
  """Makes `directory` unless it is there.

  Raises:
    RunError: if it cannot be made, or could not be locked.
  """
  _check_locks(directory)
  try:
    os.makedirs(directory, exist_ok=True)
  except OSError as error:
    raise RunError(
      f"Cannot make the directory {directory}: {error.strerror}. Name another `run_dir`."
    ) from error


def lock(directory: str):
  """Takes a run directory for this process, until `unlock` or the end of the process.

  The lock is the kernel's, on the file `lock`: whatever ends the process frees it, so a crash
  leaves none behind. The file tells who holds it.

  Raises:
    DirectoryTaken: if another process has it; the message names that.
    RunError: if the file cannot be written.
  """
  _check_locks(directory)
  path = _lock_file(directory)
  while path not in _locks:
    try:
      flags = os.O_RDWR | os.O_CREAT | sum(getattr(os, name, 0) for name in _POSIX_FLAGS)
      file = os.fdopen(os.open(path, flags, 0o666), "r+", encoding="utf-8", errors="replace")
    except OSError as error:
      raise RunError(
        f"Cannot use {directory}: {error.strerror}. Name another `run_dir`."
      ) from error
    try:
      kernel_lock.take(file)
    except OSError as error:
      holder = file.read(200).partition("\n")[0] or "another process"
      file.close()
      raise DirectoryTaken(
        f"{directory} is in use by {holder}. Wait for its end, stop it, or name another `run_dir`."
      ) from error
    if _is_at(file, path):  # else it was removed before it was locked
      _locks[path] = file
      since = time.strftime("%Y-%m-%d %H:%M:%S")
      with writing(directory):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n")
        file.flush()
    else:
      file.close()


def unlock(directory: str, remove: bool = False):
  """Gives back what `lock` took, if it did; with `remove` the file goes too."""
  path = _lock_file(directory)
  if path in _locks:
    with contextlib.suppress(OSError):
      if remove:
        os.remove(path)
    _locks.pop(path).close()


def _lock_file(directory: str) -> str:
  """One path, by whatever links the directory is reached; never one that the file itself is."""
  return os.path.join(os.path.realpath(directory), LOCK_FILE)


def _check_locks(directory: str):
  if not kernel_lock.is_available():
    raise RunError(f"Cannot use {directory}: {kernel_lock.LACKING}.")


def _is_at(file: IO, path: str) -> bool:
  try:
    return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
  except FileNotFoundError:
    return False


@contextlib.contextmanager
def claimed(directory: str) -> Iterator[None]:
  """Takes a directory for a new run and locks it; leaves it as it was if the block fails.

  It must be new or empty, or hold no more than a run leaves that was killed before it had begun.

  Raises:
    DirectoryTaken: if it is not so, or another process has it.
    RunError: if it cannot be made or written.
  """
  existed = os.path.isdir(directory)
  make(directory)
  if existed and not _is_free(directory):
    raise DirectoryTaken(
      f"{directory} is not empty. Name another `run_dir`, or continue that run with `resume`."
    )
  lock(directory)
  try:
    if not _is_free(directory):  # another run began and ended before the lock was ours
      raise DirectoryTaken(f"{directory} has just been taken. Name another `run_dir`.")
    _clear(directory)
    yield
  except BaseException:
    if _is_free(directory):
      _clear(directory)
    unlock(directory, remove=_is_free(directory))
    if not existed:
      with contextlib.suppress(OSError):
        os.rmdir(directory)
    raise


def _is_free(directory: str) -> bool:
  """Whether there is nothing in it but the first files of a run that has no config yet."""
  checkpoints = os.path.join(directory, CHECKPOINTS)
  if os.path.islink(os.path.join(directory, LOCK_FILE)):
    return False
  names = [n for n in os.listdir(directory) if n not in (LOCK_FILE, CHECKPOINTS)]
  ours = all(name.startswith(CONFIG_FILE) and is_aside(name) for name in names)
  if os.path.lexists(checkpoints):
    is_folder = os.path.isdir(checkpoints) and not os.path.islink(checkpoints)
    ours = ours and is_folder and all(n.startswith("ckpt-") for n in os.listdir(checkpoints))
  return ours


def _clear(directory: str):
  shutil.rmtree(os.path.join(directory, CHECKPOINTS), ignore_errors=True)
  _remove_asides(directory)


def _remove_asides(directory: str):
  """Removes files that a killed process was writing, not yet under their names."""
  for folder in (directory, os.path.join(directory, "best")):
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
      if is_aside(name):
        os.remove(os.path.join(folder, name))


@contextlib.contextmanager
def taken_up(directory: str) -> Iterator[None]:
  """Locks the directory of a run that goes on; gives it back if the block fails.

  Raises:
    DirectoryTaken: if another process has it.
    RunError: if there is a symbolic link in it, or it cannot be written.
  """
  _check_links(directory)
  lock(directory)
  try:
    _remove_asides(directory)
    yield
  except BaseException:
    unlock(directory)
    raise


def _check_links(directory: str):
  """Makes sure that what is written into a run directory stays in it."""
  for folder, folders, files in os.walk(directory):
    for path in (os.path.join(folder, name) for name in folders + files):
      if os.path.islink(path):
        raise RunError(
          f"{path} is a symbolic link: what a run writes there would end up elsewhere. Put what it"
          " points to in its place."
        )


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
      " what was saved before is whole, and `resume` goes on from there."
    ) from error
