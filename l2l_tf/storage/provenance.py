"""What a result depends on beside its seeds: the versions of everything."""

from importlib import metadata
import os
import platform
import subprocess
import sys

import numpy as np

from l2l_tf.version import VERSION

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_OF_A_CHECKOUT = ("bin/train.py", "problems/base.py")  # lie beside l2l_tf/ there only
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE")


def versions() -> dict[str, str | None]:
  """What a result depends on beside its seeds."""
  return {
    "python": platform.python_version(),
    **libraries(),
    "l2l_tf": VERSION,
    "commit": _commit(),
  }


def libraries() -> dict[str, str | None]:
  """The versions of what computes; of Keras where it is imported, of the LSTM's cell if in C++."""
  kernel = sys.modules.get("l2l_tf.optimizers.lstm_kernel")
  cell = kernel and kernel.version()
  return {
    "tensorflow": _imported("tensorflow") or _installed("tensorflow"),
    "keras": _imported("keras"),
    "sonnet": _imported("sonnet") or _installed("dm-sonnet"),
    "numpy": np.__version__,
    **({"lstm_cell": cell} if cell else {}),
  }


def _imported(module: str) -> str | None:
  """The version of a module that this process has; it is not imported for that."""
  return getattr(sys.modules.get(module), "__version__", None)


def _installed(distribution: str) -> str | None:
  try:
    return metadata.version(distribution)
  except metadata.PackageNotFoundError:
    return None


def _commit() -> str | None:
  """The commit of the source tree, "-dirty" with uncommitted changes; None without a repository.

  A repository around it, of a user who has installed or unpacked us in it, is not ours: ours has
  l2l_tf/ at its top, and files beside it that are not installed.
  """
  top = _git("rev-parse", "--show-toplevel")
  if not top or not os.path.samefile(top, _ROOT):
    return None
  if _git("ls-files", "--error-unmatch", *_OF_A_CHECKOUT) is None:
    return None
  return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _git(*words: str) -> str | None:
  """What git prints in the folder of l2l_tf/, without its last line end; None if it fails."""
  environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
  command = ["git", "-C", _ROOT, *words]
  try:
    output = subprocess.run(command, capture_output=True, check=True, env=environment).stdout
    return os.fsdecode(output).removesuffix("\n")
  except (OSError, subprocess.CalledProcessError):
    return None
