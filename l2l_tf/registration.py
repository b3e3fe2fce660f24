"""Keras learns of LearnedOptimizer as soon as both are imported: a saved model names it."""

import contextlib
import importlib
import importlib.abc
import importlib.util
import sys
from typing import Any


def register() -> None:
  """Registers it now, or, as importing Keras takes seconds, right after somebody imports Keras."""
  if "keras" in sys.modules:
    _import()
  elif not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
    sys.meta_path.insert(0, _AfterKeras())


def _import() -> None:
  with contextlib.suppress(Exception):  # who uses it is told
    importlib.import_module("l2l_tf.keras.optimizer")


class _AfterKeras(importlib.abc.MetaPathFinder):
  """Finds Keras where it is, and registers when it has been imported."""

  def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
    if fullname != "keras" or self not in sys.meta_path:
      return None
    sys.meta_path.remove(self)
    spec = importlib.util.find_spec("keras")
    if spec is not None and spec.loader is not None:
      run = spec.loader.exec_module

      def run_and_register(module: Any) -> None:
        run(module)
        _import()

      spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
    return spec
