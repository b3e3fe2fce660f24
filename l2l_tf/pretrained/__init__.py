"""Small trained optimizers that are shipped with the package, a directory each (docs/format.md).

Beside the two files of a trained optimizer each directory has a card, README.md: what it was
trained on, for how many steps, where it works and where it does not.
"""

import builtins
import os

GENERAL = "general"  # the one for any model, which `LearnedOptimizer()` takes
_HERE = os.path.dirname(os.path.abspath(__file__))


def list() -> builtins.list[str]:
  """Returns the names of all there are, sorted."""
  return sorted(
    n for n in os.listdir(_HERE) if os.path.isfile(os.path.join(_HERE, n, "config.json"))
  )


def directory(name: str) -> str:
  """Returns the directory of one of `list()`, for `load_optimizer`."""
  return os.path.join(_HERE, name)


def card(name: str) -> str:
  """Returns the card of one of `list()`, Markdown.

  Raises:
    ValueError: for any other name.
  """
  if name not in list():
    raise ValueError(f"There is no pretrained optimizer {name!r}; pretrained: {_known()}.")
  with open(os.path.join(directory(name), "README.md"), encoding="utf-8") as file:
    return file.read()


def find(name_or_directory: str | os.PathLike) -> str:
  """Returns the directory that a directory or one of `list()` names; a directory comes first.

  Raises:
    ValueError: if it is neither.
  """
  where = os.fspath(name_or_directory)
  if os.path.isdir(where):
    return where
  if where not in list():
    raise ValueError(
      f"There is no directory {where} and no pretrained optimizer of that name; pretrained:"
      f" {_known()}."
    )
  return directory(where)


def _known() -> str:
  return ", ".join(list()) or "none"
