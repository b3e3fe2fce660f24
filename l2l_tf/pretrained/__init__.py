"""Small trained optimizers that are shipped with the package, a directory each (docs/format.md)."""

import os


def names() -> list[str]:
  """The names of all there are."""
  here = os.path.dirname(os.path.abspath(__file__))
  return sorted(n for n in os.listdir(here) if os.path.isfile(os.path.join(here, n, "config.json")))


def directory(name: str) -> str:
  """The directory of one of `names()`, for `checkpoint.load_optimizer`."""
  return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
