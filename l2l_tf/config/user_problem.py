"""A problem of the user's own, named as `module:factory` on the command line and in configs."""

from collections.abc import Callable
import hashlib
import importlib
import os
import re
import sys
import sysconfig
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any

from l2l_tf import code
from l2l_tf.config.options import Options
from l2l_tf.errors import ExpectedError

if TYPE_CHECKING:
  from l2l_tf import problems


class UserProblemError(ExpectedError, RuntimeError):
  """A `module:factory` gives no problem; the message says what was received and how to mend it."""


class UserProblem(Options):
  """What a function of the user's returns: any `Problem`, from an adapter or written by hand."""

  name: str  # module:factory

  def build(self) -> "tuple[problems.Problem, str]":
    """Imports the module, from the current directory first, and calls the factory.

    Returns:
      The problem, and a text that names it with a digest of the module's file and of what that
      imports of the user's: a changed file is another problem.

    Raises:
      UserProblemError: if there is no such module or factory, one of them raises, or what is
        returned is no `Problem` in float32 whose functions can be traced.
    """
    from l2l_tf import problems

    module_name, _, factory_name = self.name.partition(":")
    if not (module_name and factory_name.isidentifier()):
      raise UserProblemError(
        f"module:factory expected, as in my_problems:spirals, got {self.name!r}."
      )
    module = self._import(module_name)
    path = getattr(module, "__file__", None) or module_name
    factory = getattr(module, factory_name, None)
    if not callable(factory):
      known = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
      raise UserProblemError(
        f"{path} has no function {factory_name!r}; it has {', '.join(known) or 'none'}."
      )
    try:
      problem = factory()
    except Exception as error:  # whatever a user's function raises
      raise self._error(error, "raised") from error
    if not isinstance(problem, problems.Problem):
      raise UserProblemError(
        f"{self.name} returned {type(problem).__name__}, not a Problem; let it return what"
        " problems.from_function, from_sonnet, from_keras or problems.Problem(init, loss) gives."
      )
    self._check_functions(problem)
    return problem, f"{self.name}, {os.path.basename(path)} sha256 {_digest(module)}"

  def _check_functions(self, problem: "problems.Problem") -> None:
    """Traces them; theta must be of the float type of what `config.optimizers` builds."""
    import tensorflow as tf

    from l2l_tf import problems

    try:
      params, task = problems.base.specs(problem)
      problems.adapters.check_params(params)
      traced = _trace(problem.loss, 0, params, task)
      problems.adapters.check_loss(traced, params)
      if problem.lifted_loss is not None:
        lifted = _trace(problem.lifted_loss, 2, params, task)
        if not isinstance(lifted, tf.Tensor) or lifted.shape != [2] or lifted.dtype != traced.dtype:
          raise ValueError(f"lifted_loss must return [B] of {traced.dtype.name}s, got {lifted}.")
    except Exception as error:  # whatever a user's function raises
      raise self._error(error, "raised") from error
    wrong = {name: x.dtype.name for name, x in params.items() if x.dtype != tf.float32}
    if wrong:
      raise UserProblemError(
        f"The parameters of {self.name} must be of float32, got {wrong}; use `np.float32` or"
        " `tf.cast` in its init."
      )
    if not isinstance(problem.digest, str | None):
      raise UserProblemError(
        f"The digest of {self.name} must be a string or None, got {problem.digest!r:.80}."
      )

  def _import(self, name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
      sys.path.insert(0, here)
    importlib.invalidate_caches()  # the file may be a second old
    try:
      return importlib.import_module(name)
    except ModuleNotFoundError as error:
      if error.name is None or not f"{name}.".startswith(f"{error.name}."):
        raise self._error(error, "cannot be imported:") from error
      raise UserProblemError(
        f"There is no module {error.name!r} in {here} or on the path (for `problem`={self.name});"
        " run from the directory that holds it, or put that into PYTHONPATH."
      ) from error
    except Exception as error:  # a module of the user's may do anything
      raise self._error(error, "cannot be imported:") from error

  def _error(self, error: Exception, what: str) -> UserProblemError:
    """One line that names the error and the last line of the user's code before it."""
    text, kind = str(error), f"{type(error).__name__}: "
    places = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    if text.startswith("in user code:"):  # AutoGraph's list of places, and then the error
      places += re.findall(r'File "(.+?)", line (\d+)', text)
      text, kind = text.strip().splitlines()[-1], ""
    users = [place for place in places if _is_users(place[0])]
    place = " ({}, line {})".format(*users[-1]) if users else ""
    return UserProblemError(f"{self.name} {what} {kind}{' '.join(text.split()):.300}{place}.")


def _trace(loss: Callable[..., Any], count: int, params: Any, task: Any) -> Any:
  """What `loss` returns in a graph; `count`, unless 0, is a leading axis of all arguments."""
  import tensorflow as tf

  lead = [count] if count else []
  seed = tf.TensorSpec([2], tf.int32)
  specs = tf.nest.map_structure(
    lambda x: tf.TensorSpec([*lead, *x.shape], x.dtype), (params, task, seed)
  )
  graph = tf.function(loss, autograph=False).get_concrete_function(*specs)
  return graph.structured_outputs


def _is_users(path: str) -> bool:
  """Whether the file is neither ours nor installed nor Python's."""
  from l2l_tf import problems

  places = [sysconfig.get_path("stdlib"), os.path.dirname(problems.__file__)]
  places.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
  installed = "site-packages" in path or path.startswith("<") or "__autograph_generated" in path
  return not installed and not path.startswith(tuple(f"{p}{os.sep}" for p in places))


def is_name(text: object) -> bool:
  """Whether `text` names a user's problem, not one of `config.problems.PROBLEMS`."""
  return isinstance(text, str) and ":" in text


def _digest(module: ModuleType) -> str:
  """Twelve digits of the SHA-256 of a module's file, or of all files of the user's it imports."""
  path = getattr(module, "__file__", None) or ""
  if not os.path.isfile(path):
    return "none"
  files = set(code.followed([module.__name__], lambda name, path: _is_users(path)).values())
  if len(files) > 1:
    return code.digest_of(list(files))[:12]
  with open(path, "rb") as file:
    return hashlib.sha256(file.read()).hexdigest()[:12]
