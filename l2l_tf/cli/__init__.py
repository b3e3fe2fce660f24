"""The programs and their flags: nothing below knows that there is a command line."""

import os
import sys

from l2l_tf import surroundings

try:
  with surroundings.extra("train"):
    import absl.flags  # noqa: F401
    import pydantic  # noqa: F401
except surroundings.MissingPackage as _error:  # before any program could tell it in a line
  raise SystemExit(f"{os.path.basename(sys.argv[0])}: {_error}") from None
