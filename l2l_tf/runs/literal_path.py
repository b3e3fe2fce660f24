"""Directories of any name for TensorFlow, which takes *, ?, [ and backslashes for a pattern.

Python, and with it the rest of this project, takes them as they are.
"""

import atexit
import functools
import os
import re
import shutil
import tempfile

import tensorflow as tf

_PATTERN = re.compile(r"[*?\[\]{}\\]")


def of(directory: str) -> str:
  """Returns a path to a directory, now or to be, that TensorFlow takes as it is.

  That is the absolute path, or where TensorFlow would not take it as it is, or not at all, a link
  to it among the temporary files, which goes when the process ends.
  """
  path = os.path.abspath(directory)
  return _link(path) if _PATTERN.search(path) or not _is_text(path) else path


def event_writer(directory: str) -> tf.summary.SummaryWriter:
  """Opens a new event file in a directory, which is made if it is not there."""
  os.makedirs(directory, exist_ok=True)
  return tf.summary.create_file_writer(of(directory))


def _is_text(path: str) -> bool:
  """Whether it is Unicode: TensorFlow takes no surrogates for bytes that are none."""
  try:
    path.encode()
  except UnicodeEncodeError:
    return False
  return True


@functools.cache
def _link(path: str) -> str:
  folder = tempfile.mkdtemp(prefix="l2l_tf-")
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  link = os.path.join(folder, "directory")
  os.symlink(path, link)
  return link
