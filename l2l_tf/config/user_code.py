"""A module of the user's own, of which a function is named as `module:factory`."""

from collections.abc import Callable
import hashlib
import importlib
import os
import re
import sys
import sysconfig
import traceback
from types import ModuleType
from typing import Any

from l2l_tf import code
from l2l_tf.errors import ExpectedError


class UserCodeError(ExpectedError, RuntimeError):
  """A `module:factory` does not give what it shall; the message says how to mend it."""


def is_name(text: object) -> bool:
  """Whether `text` is a `module:factory` of the user's, not the name of something of ours."""
  return isinstance(text, str) and ":" in text


def call(name: str, what: str, *arguments: Any) -> tuple[Any, ModuleType]:
  """Imports the module, from the current directory first, and calls the factory.

  Args:
    name: module:factory.
    what: which option has the name: "problem" or "optimizer".
    *arguments: of the factory.

  Returns:
    What the factory returns, and the module.

  Raises:
    UserCodeError: if there is no such module or factory, or one of them raises.
  """
  module_name, _, factory_name = name.partition(":")
  if not (module_name and factory_name.isidentifier()):
    raise UserCodeError(f"module:factory expected, as in my_{what}s:mine, got {name!r}.")
  module = _import(name, module_name, what)
  path = getattr(module, "__file__", None) or module_name
  factory = getattr(module, factory_name, None)
  if not callable(factory):
    known = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
    raise UserCodeError(
      f"{path} has no function {factory_name!r}; it has {', '.join(known) or 'none'}."
    )
  return attempt(name, lambda: factory(*arguments)), module


def attempt(name: str, function: Callable[[], Any]) -> Any:
  """Returns what `function` does; what the user's code raises in it becomes one line."""
  try:
    return function()
  except Exception as error:  # whatever a user's function raises
    raise _error(name, error, "raised") from error


def file_name(module: ModuleType) -> str:
  """The name of a module's file, without its folder."""
  return os.path.basename(getattr(module, "__file__", None) or module.__name__)


def digest(module: ModuleType) -> str:
  """Twelve digits of the SHA-256 of a module's file, or of all files of the user's it imports."""
  path = getattr(module, "__file__", None) or ""
  if not os.path.isfile(path):
    return "none"
  files = set(code.followed([module.__name__], lambda name, path: _is_users(path)).values())
  if len(files) > 1:
    return code.digest_of(list(files))[:12]
  with open(path, "rb") as file:
    return hashlib.sha256(file.read()).hexdigest()[:12]


def _import(name: str, module_name: str, what: str) -> ModuleType:
  here = os.getcwd()
  if here not in sys.path:
    sys.path.insert(0, here)
  importlib.invalidate_caches()  # the file may be a second old
  try:
    return importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
      raise _error(name, error, "cannot be imported:") from error
    raise UserCodeError(
      f"There is no module {error.name!r} in {here} or on the path (for `{what}`={name});"
      " run from the directory that holds it, or put that into PYTHONPATH."
    ) from error
  except Exception as error:  # a module of the user's may do anything
    raise _error(name, error, "cannot be imported:") from error


def _error(name: str, error: Exception, what: str) -> UserCodeError:
  """One line that names the error and the last line of the user's code before it."""
  text, kind = str(error), f"{type(error).__name__}: "
  places = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
  if text.startswith("in user code:"):  # AutoGraph's list of places, and then the error
    places += re.findall(r'File "(.+?)", line (\d+)', text)
    text, kind = text.strip().splitlines()[-1], ""
  users = [place for place in places if _is_users(place[0])]
  place = " ({}, line {})".format(*users[-1]) if users else ""
  return UserCodeError(f"{name} {what} {kind}{' '.join(text.split()):.300}{place}.")


def _is_users(path: str) -> bool:
  """Whether the file is neither ours nor installed nor Python's."""
  from l2l_tf import problems

  places = [sysconfig.get_path("stdlib"), os.path.dirname(problems.__file__)]
  places.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
  installed = "site-packages" in path or path.startswith("<") or "__autograph_generated" in path
  return not installed and not path.startswith(tuple(f"{p}{os.sep}" for p in places))
