"""What must be there, in its own place, before l2l_tf is imported: else a line that says so.

Python looks into the folder of a script first. A `keras.py` of the user's there is what
`import keras` gives, in l2l_tf too, where the error that follows would not tell.
"""

import importlib.machinery
import sys

NEEDED = ("absl", "keras", "numpy", "pydantic", "safetensors", "sonnet", "tensorflow")


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
