"""Reading files that may come from strangers."""

import os
import stat


def read(path: str, limit: int) -> bytes:
  """Returns the content of a regular file of at most `limit` bytes.

  Devices and pipes are refused, as they may have no end; and no more is read than was allowed,
  whatever the file system says of the size.

  Raises:
    ValueError: if it is larger, or no regular file.
    OSError: if it cannot be read.
  """
  with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
      raise ValueError(f"{path} is no regular file.")
    content = file.read(limit + 1)
  if len(content) > limit:
    raise ValueError(f"{path} is larger than {limit} bytes; it is not one of ours.")
  return content
