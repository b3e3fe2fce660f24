"""Files: written so that no reader sees half of one, read as if they came from strangers."""

import contextlib
import json
import os
import re
import secrets
import stat
from typing import Any

from l2l_tf.errors import ExpectedError

MAX_FILE_BYTES = 64 * 2**20  # no optimizer of ours comes near


class CheckpointError(ExpectedError, RuntimeError):
  """A file is missing, damaged, or not ours; the message says which and what to do."""


def write_aside(path: str, content: bytes) -> None:
  """Writes a file so that `path` holds the old content or the new one, never a part."""
  write_all_aside({path: content})


def write_new(path: str, content: bytes) -> bool:
  """Writes a file that is not there yet, whole or not at all; returns whether this call did.

  Of several processes one does.
  """
  aside = f"{path}.{secrets.token_hex(4)}.tmp"
  write_aside(aside, content)
  try:
    os.link(aside, path)
  except FileExistsError:
    return False
  except OSError:  # of a file system without links: whole as far as it can
    try:
      with open(path, "xb") as file:
        file.write(content)
    except FileExistsError:
      return False
  finally:
    os.remove(aside)
  return True


def write_all_aside(contents: dict[str, bytes]) -> None:
  """Writes files so that all are on the disk under other names before the first is renamed.

  Those names are new ones: no other process writes there too, and no link leads elsewhere.
  """
  asides = {path: f"{path}.{secrets.token_hex(4)}.tmp" for path in contents}
  try:
    for path, content in contents.items():
      with open(asides[path], "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    for path, aside in asides.items():
      os.replace(aside, path)
  except BaseException as error:
    if isinstance(error, OSError) and error.filename is None:
      error.filename = path  # so that the message says it
    for aside in asides.values():
      with contextlib.suppress(OSError):
        os.remove(aside)
    raise
  for directory in {os.path.dirname(path) or "." for path in contents}:
    sync(directory)


def sync(path: str) -> None:
  """Waits until a file, or the names in a directory, would survive a loss of power.

  Windows opens no directories, and looks after the names in them itself.
  """
  if not hasattr(os, "O_DIRECTORY") and os.path.isdir(path):
    return
  descriptor = os.open(path, os.O_RDWR if os.path.isfile(path) else os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def is_aside(name: str) -> bool:
  """Whether a file of this name is one that a killed process was writing, as `write_all_aside`."""
  return re.fullmatch(r".+\.[0-9a-f]{8}\.tmp", name, re.DOTALL) is not None


def write_json(path: str, value: Any) -> None:
  """Writes `value` as indented JSON; numbers that JSON lacks (NaN, inf) are an error."""
  write_aside(path, to_json(value))


def to_json(value: Any) -> bytes:
  """`value` as `write_json` writes it."""
  return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def read_json(path: str) -> Any:
  """Reads a JSON file.

  Raises:
    CheckpointError: if it is missing, enormous or no JSON.
  """
  return parse_json(read_own(path), path)


def parse_json(content: bytes, source: str) -> Any:
  """The value of a JSON text that may be hostile; `source` names it in messages.

  Raises:
    CheckpointError: if it is no JSON.
  """
  try:
    return json.loads(content.decode())
  except (ValueError, RecursionError) as error:
    raise CheckpointError(f"{source} is not valid JSON: {error}.") from error


def read_own(path: str) -> bytes:
  """Returns the content of a file of ours, of at most `MAX_FILE_BYTES`.

  Raises:
    CheckpointError: if it cannot be read, or is none.
  """
  try:
    return read(path, MAX_FILE_BYTES)
  except ValueError as error:
    raise CheckpointError(str(error)) from error
  except OSError as error:
    raise CheckpointError(f"Cannot read {path}: {error.strerror}.") from error


def read(path: str, limit: int) -> bytes:
  """Returns the content of a regular file of at most `limit` bytes.

  Devices and pipes are refused, as they may have no end; and no more is read than was allowed,
  whatever the file system says of the size.

  Raises:
    ValueError: if it is larger, or no regular file.
    OSError: if it cannot be read.
  """
  with open(path, "rb", opener=_open_without_waiting) as file:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
      raise ValueError(f"{path} is no regular file.")
    content = file.read(limit + 1)
  if len(content) > limit:
    raise ValueError(f"{path} is larger than {limit} bytes; it is not one of ours.")
  return content


def _open_without_waiting(path: str, flags: int) -> int:
  """Opens a pipe too without another process at its end, where there are such pipes."""
  return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
