"""What must be there, in its own place, before l2l_tf is imported: else a line that says so.

Python looks into the folder of a script first. A `keras.py` of the user's there is what
`import keras` gives, in l2l_tf too, where the error that follows would not tell.

What only some of l2l_tf needs comes with an extra of setup.py; the line says with which.
"""

import contextlib
import importlib.machinery
import sys

from l2l_tf.errors import ExpectedError

NEEDED = ("absl", "keras", "numpy", "pydantic", "safetensors", "sonnet", "tensorflow")


class MissingPackage(ExpectedError, ModuleNotFoundError):
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
  """Makes sure that nothing stands in the place of the packages of others; imports none of them.

  Raises:
    ImportError: if something does.
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


check()
