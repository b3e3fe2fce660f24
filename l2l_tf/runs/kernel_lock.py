"""Locks of the kernel on files: whatever ends a process frees those that it holds."""

from typing import IO

try:
  import fcntl
except ImportError:  # Windows
  fcntl = None  # type: ignore[assignment]  # a module elsewhere

LACKING = (
  "this operating system lacks the locks (flock) that keep two processes out of one run. Train"
  " under Linux, macOS or the Windows Subsystem for Linux; trained optimizers can be used here"
)


def is_available() -> bool:
  """Whether the operating system has them."""
  return fcntl is not None


def take(file: IO):
  """Locks an open file for this process, until it is closed.

  Raises:
    OSError: if another process has it.
  """
  fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
