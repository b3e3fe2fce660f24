"""A trained optimizer as a command line names it: "PATH", or "LABEL=PATH"."""

import os


def split_label(text: str) -> tuple[str | None, str]:
  """The label and the path of "LABEL=PATH"; None and the path of "PATH".

  A path may hold a "=" behind a "/", or if it is there.
  """
  label, separator, path = text.partition("=")
  labelled = separator and "/" not in label and not os.path.exists(text)
  return (label, path) if labelled else (None, text)


def relative(path: str) -> str:
  """`path` from here, so that a results file names no machine's folders."""
  return os.path.relpath(path) if os.path.isabs(path) else path
