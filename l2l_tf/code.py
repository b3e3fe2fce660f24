"""Which source files decide what a module computes: its own and those of all that it imports.

Imports are read, not run, wherever in a module they stand. What a program finds out while it runs,
the name of a module in a string or a file that it opens, is not seen.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
import hashlib
import importlib.machinery
import importlib.util
import os


def digest(*modules: str) -> str:
  """SHA-256, in hex, of the source files of modules of l2l_tf and of all of l2l_tf they import.

  But for what l2l_tf/__init__.py imports, for that is nearly all of it.

  Raises:
    ValueError: for a module that is not there.
  """
  return digest_of(list(followed(modules, lambda name, path: name.startswith("l2l_tf.")).values()))


def digest_of(paths: Sequence[str]) -> str:
  """SHA-256, in hex, of the content of source files, so that a changed program starts anew."""
  total = hashlib.sha256()
  for path in sorted(paths):
    with open(path, "rb") as file:
      total.update(hashlib.sha256(file.read()).digest())
  return total.hexdigest()


def followed(modules: Sequence[str], goes_on: Callable[[str, str], bool]) -> dict[str, str]:
  """The source files of modules and of what they import, wherever in them, by the modules' names.

  Args:
    modules: full names.
    goes_on: `(name, path)` whether an imported module counts, and what it imports in its turn.

  Raises:
    ValueError: for one of `modules` that is not there, or has no source file.
  """
  found, waiting = {}, [(name, True) for name in modules]
  while waiting:
    name, is_asked_for = waiting.pop()
    spec = None if name in found else _spec(name)
    path = _source(spec)
    if path is None and is_asked_for and name not in found:
      raise ValueError(f"There is no source file of a module {name}.")
    if path and spec and (is_asked_for or goes_on(name, path)):
      found[name] = path
      names = [part for imported in _imports(path, spec) for part in _with_packages(imported)]
      waiting += [(imported, False) for imported in names]
  return found


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
  """Where a module is, without running it; None if it is none. The packages around it are run."""
  try:
    return importlib.util.find_spec(name)
  except (ImportError, AttributeError, ValueError):
    return None


def _source(spec: importlib.machinery.ModuleSpec | None) -> str | None:
  path = spec.origin if spec else None
  return path if path and path.endswith(".py") and os.path.isfile(path) else None


def _with_packages(name: str) -> list[str]:
  """A module and the packages around it, whose code runs too: "a.b.c", "a.b", "a"."""
  parts = name.split(".")
  return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _imports(path: str, spec: importlib.machinery.ModuleSpec) -> Iterator[str]:
  """The names that a source file imports; for "from a import b" "a.b", or "a" if there is none.

  What could not be imported, as a file that is no Python, has none.
  """
  try:
    with open(path, "rb") as file:
      tree = ast.parse(file.read(), path)
  except (SyntaxError, ValueError):
    return
  package = spec.name if spec.submodule_search_locations is not None else spec.parent
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      try:
        base = importlib.util.resolve_name(f"{'.' * node.level}{node.module or ''}", package)
      except ImportError:  # beyond the package
        continue
      for alias in node.names:
        yield f"{base}.{alias.name}" if _spec(f"{base}.{alias.name}") else base
