"""Paths on the command line: a ~ is spelt out, and what is read is never written over."""

import os
import re

from l2l_tf.storage import labels


class Read(str):
  """The kind of a flag that names a file or a directory to read, or something of ours by name."""


class Written(str):
  """The kind of a flag that names a file or a directory to write."""


KINDS = (Read, Written)


def expanded(text: str) -> str:
  """Returns a path, behind a "LABEL=" too, with the ~ or ~user that it begins with spelt out.

  A shell does that itself, but not behind the = of a flag.

  Raises:
    ValueError: for the home of a user that does not exist, where no folder has that name either.
  """
  label, path = labels.split_label(text)
  spelt, first = os.path.expanduser(path), re.match(r"~[^/]*(?=/)|~$", path)
  if spelt == path and first and not os.path.isdir(first[0]):
    raise ValueError(f"{first[0]} is the home of nobody; a folder of that name is ./{first[0]}")
  return spelt if label is None else f"{label}={spelt}"


def is_read_from(path: str, source: str) -> bool:
  """Whether the file `path` is `source`, or one of the files in the directory `source`.

  However the two are spelt, and through links.
  """
  _, source = labels.split_label(source)
  if not os.path.exists(path):
    return False
  files = [source]
  if os.path.isdir(source):
    files = [os.path.join(source, name) for name in os.listdir(source)]
  return any(os.path.isfile(file) and os.path.samefile(path, file) for file in files)
