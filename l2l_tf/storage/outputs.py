"""Where programs write: under `runs/` unless told, and never in the place of more.

A file of results is replaced only by one that has all that it has: the same setting, data and
optimizers, and at least as many runs. Anything else needs another path, or to be told.
"""

from collections.abc import Callable
import os
import re
from typing import Any, NamedTuple

from l2l_tf.errors import ExpectedError
from l2l_tf.storage import files

RUNS = "runs"  # where programs write unless told; what is committed lies elsewhere
MEND = "It is not overwritten: name another `out`, move it away, or add `overwrite`."


class OutputError(ExpectedError, RuntimeError):
  """What stands at a path would be lost; the message says what that is, and how to go on."""


class Content(NamedTuple):
  """What a file says that must not be lost when another takes its place."""

  same: dict[str, Any]  # setting, data, a digest for each optimizer: the other has all of them
  counts: dict[str, int]  # of runs and the like: the other has at least as many


def check(
  path: str | None,
  new: Content,
  overwrite: bool,
  read: Callable[[str], Content] | None = None,
) -> None:
  """Makes sure that a file may be written: before the hours that it takes, and once more after.

  Args:
    path: of the file; None where none is written.
    new: what it will hold. It may hold more than the old one.
    overwrite: whether to replace any file that stands there.
    read: returns what the old one holds, or raises RuntimeError if it is none of ours; by default
      it is a JSON object with the keys of `new`.

  Raises:
    OutputError: if something would be lost.
  """
  if not path:
    return
  if os.path.isdir(path):
    raise OutputError(f"{path} is a directory; name a file with `out`.")
  if overwrite or not os.path.lexists(path):
    return
  try:
    old = read(path) if read else _read_json(path, new)
  except RuntimeError as error:
    raise OutputError(f"{error} {MEND}") from error
  lost = [
    f"{name} {_short(value)} (now {_short(new.same.get(name, 'none'))})"
    for name, value in old.same.items()
    if new.same.get(name) != value
  ]
  lost += [
    f"{name} {count} (now {new.counts[name]})"
    for name, count in old.counts.items()
    if new.counts[name] < count
  ]
  if lost:
    raise OutputError(f"{path} holds {'; '.join(lost)}. {MEND}")


def _short(value: Any) -> str:
  """As messages say it: of a SHA-256 the first digits."""
  text = str(value)
  return text[:12] if re.fullmatch(r"[0-9a-f]{64}", text) else text


def _read_json(path: str, new: Content) -> Content:
  """What a JSON object holds under the keys of `new`."""
  found = files.read_json(path)
  if not isinstance(found, dict) or any(type(found.get(name)) is not int for name in new.counts):
    raise OutputError(f"{path} is no file of this program.")
  return Content({k: found.get(k) for k in new.same}, {k: found[k] for k in new.counts})
