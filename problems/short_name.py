"""`import problems`: the short name of l2l_tf.problems, whose modules it gives and never copies.

A module imported under two names would be two modules, with two `Problem`s and two `Stream`s.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

SHORT = "problems"
LONG = "l2l_tf.problems"


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
  """Imports `problems.x` by importing `l2l_tf.problems.x`."""

  def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
    if name.startswith(f"{SHORT}."):
      return importlib.machinery.ModuleSpec(name, self)
    return None

  def exec_module(self, module: ModuleType) -> None:
    name = module.__name__
    sys.modules[name] = importlib.import_module(LONG + name.removeprefix(SHORT))


def install() -> None:
  """Makes `problems` and all below it other names of what is in l2l_tf.problems."""
  if not any(isinstance(finder, Finder) for finder in sys.meta_path):
    sys.meta_path.insert(0, Finder())
  sys.modules[SHORT] = sys.modules[LONG]
