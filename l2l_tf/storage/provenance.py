"""What a result depends on beside its seeds: the versions of everything."""

import os
import platform
import subprocess
from typing import Optional

import numpy as np
import sonnet as snt
import tensorflow as tf


def versions() -> dict[str, Optional[str]]:
  """What a result depends on beside its seeds."""
  return {
    "python": platform.python_version(),
    "tensorflow": tf.__version__,
    "sonnet": snt.__version__,
    "numpy": np.__version__,
    "commit": _commit(),
  }


def _commit() -> Optional[str]:
  """The commit of the source tree, "-dirty" with uncommitted changes; None when installed."""
  here = os.path.dirname(os.path.abspath(__file__))
  command = ["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
  try:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
  except (OSError, subprocess.CalledProcessError):
    return None
