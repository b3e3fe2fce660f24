"""What must be there, in its own place, before l2l_tf is imported: else a line that says so.

Python looks into the folder of a script first. A `keras.py` of the user's there is what
`import keras` gives, in l2l_tf too, where the error that follows would not tell.

What only some of l2l_tf needs comes with an extra of setup.py; the line says with which.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys

NEEDED = ("absl", "keras", "numpy", "safetensors", "sonnet", "tensorflow")


class MissingPackage(ModuleNotFoundError):
  """A package that an extra brings is not installed; the message says which extra."""


@contextlib.contextmanager
def extra(name: str):
  """What stands around the imports of packages that come with the extra `name`.

  Raises:
    MissingPackage: if one of them is not installed.
  """
  try:
    yield
  except ModuleNotFoundError as error:
    text = f"The package {error.name} is not installed: {how_to_install(name)}"
    raise MissingPackage(text, name=error.name) from error


def how_to_install(name: str) -> str:
  """The command that brings what the extra `name` does."""
  return f'python -m pip install "l2l_tf[{name}]"'


def check():
  """Makes sure that the packages of others can be imported, Keras with the backend that is chosen.

  Raises:
    ImportError: if something else stands in the place of one, or Keras's backend is not there.
  """
  for name in NEEDED:
    beside = importlib.machinery.PathFinder.find_spec(name, sys.path[:1])
    installed = importlib.machinery.PathFinder.find_spec(name, sys.path[1:])
    if not (beside and beside.origin and installed and beside.origin != installed.origin):
      continue
    if name not in sys.modules or getattr(sys.modules[name], "__file__", "") == beside.origin:
      raise ImportError(
        f"{beside.origin} stands in the place of the package {name}, which l2l_tf needs: rename it."
      )
  try:
    importlib.import_module("keras")
  except Exception as error:  # Keras raises what the backend does
    if os.environ.get("KERAS_BACKEND") == "tensorflow" or getattr(error, "name", "") == "keras":
      raise
    raise ImportError(
      f"Keras cannot be imported: {type(error).__name__}: {error}. l2l_tf runs it on TensorFlow:"
      ' set KERAS_BACKEND=tensorflow, or "backend" in ~/.keras/keras.json.'
    ) from error


check()
