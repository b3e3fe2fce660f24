"""A problem of the user's own, named as `module:factory` on the command line and in configs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from l2l_tf.config import user_code
from l2l_tf.config.options import Options
from l2l_tf.config.user_code import UserCodeError

if TYPE_CHECKING:
  from l2l_tf import problems


class UserProblem(Options):
  """What a function of the user's returns: any `Problem`, from an adapter or written by hand."""

  name: str  # module:factory

  def build(self) -> "tuple[problems.Problem, str]":
    """Imports the module, from the current directory first, and calls the factory.

    Returns:
      The problem, and a text that names it with a digest of the module's file and of what that
      imports of the user's: a changed file is another problem.

    Raises:
      UserCodeError: if there is no such module or factory, one of them raises, or what is
        returned is no `Problem` in float32 whose functions can be traced.
    """
    from l2l_tf import problems

    problem, module = user_code.call(self.name, "problem")
    if not isinstance(problem, problems.Problem):
      raise UserCodeError(
        f"{self.name} returned {type(problem).__name__}, not a Problem; let it return what"
        " problems.from_function, from_sonnet, from_keras or problems.Problem(init, loss) gives."
      )
    self._check(problem, user_code.attempt(self.name, lambda: _traced(problem)))
    source = f"{self.name}, {user_code.file_name(module)} sha256 {user_code.digest(module)}"
    return problem, source

  def _check(self, problem: "problems.Problem", params: dict[str, Any]) -> None:
    """Theta must be of the float type of what `config.optimizers` builds."""
    import tensorflow as tf

    wrong = {name: x.dtype.name for name, x in params.items() if x.dtype != tf.float32}
    if wrong:
      raise UserCodeError(
        f"The parameters of {self.name} must be of float32, got {wrong}; use `np.float32` or"
        " `tf.cast` in its init."
      )
    if not isinstance(problem.digest, str | None):
      raise UserCodeError(
        f"The digest of {self.name} must be a string or None, got {problem.digest!r:.80}."
      )


def _traced(problem: "problems.Problem") -> dict[str, Any]:
  """Traces the problem's functions; returns what theta is."""
  import tensorflow as tf

  from l2l_tf import problems

  params, task = problems.base.specs(problem)
  problems.adapters.check_params(params)
  traced = _trace(problem.loss, 0, params, task)
  problems.adapters.check_loss(traced, params)
  if problem.lifted_loss is not None:
    lifted = _trace(problem.lifted_loss, 2, params, task)
    if not isinstance(lifted, tf.Tensor) or lifted.shape != [2] or lifted.dtype != traced.dtype:
      raise ValueError(f"lifted_loss must return [B] of {traced.dtype.name}s, got {lifted}.")
  return params


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
