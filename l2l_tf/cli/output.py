"""What programs print, where the terminal or the log lacks some of the characters."""

import codecs
import re
import sys
from typing import TextIO

HANDLER = "l2l_tf.plain"
PLAIN = {"±": "+-", "×": "x", "–": "-", "−": "-", "…": "...", "’": "'", "θ": "theta", "φ": "phi"}


def degrade():
  """From now on no character ends a program on stdout or stderr that their encodings lack.

  Those of `PLAIN` are spelt, others escaped; bytes of file names that are no text go
  out as they came.
  """
  codecs.register_error(HANDLER, _plain)
  for stream in (sys.stdout, sys.stderr):
    _degrade(stream)


def one_line(text: str) -> str:
  """`text` with line ends and other control characters, as file names may hold, escaped."""
  return re.sub(r"[\x00-\x1f\x7f]", lambda match: repr(match[0])[1:-1], text)


def _degrade(stream: TextIO | None):
  # None, or a stand-in of a notebook's or a test's, has not.
  if stream is not None and hasattr(stream, "reconfigure"):
    stream.reconfigure(errors=HANDLER)


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
  """The handler: what stands for the first character that cannot be encoded, and where to go on."""
  if not isinstance(error, UnicodeEncodeError):
    raise error
  character = error.object[error.start]
  if "\udc80" <= character <= "\udcff":  # surrogateescape: a byte of a name
    return bytes([ord(character) - 0xDC00]), error.start + 1
  escaped = character.encode("ascii", "backslashreplace").decode()
  return PLAIN.get(character, escaped), error.start + 1
