"""An optimizer of the user's own, named as `module:factory` on the command line and in configs."""

import functools
from typing import TYPE_CHECKING, Any

from l2l_tf.config import user_code
from l2l_tf.config.options import Options
from l2l_tf.config.user_code import UserCodeError

if TYPE_CHECKING:
  from l2l_tf.optimizers import Optimizer

_SHAPES = {"matrix": (3, 2), "bias": (2,)}  # of the parameters that a step is tried on
_MEND = "let it return an l2l_tf.optimizers.Optimizer, whose variables are its phi"


class UserOptimizer(Options):
  """What a function of the user's makes of a seed: any `Optimizer` that has variables."""

  name: str  # module:factory

  def build(self, seed: int) -> "Optimizer":
    """Imports the module, from the current directory first, and calls `factory(seed)`.

    Returns:
      The optimizer with a fresh phi. Its `config()` is the name and a digest of the module's file
      and of what that imports of the user's: a changed file is another optimizer.

    Raises:
      UserCodeError: if there is no such module or factory, one of them raises, or what is returned
        is no `Optimizer` with variables that can take a step.
    """
    from l2l_tf import optimizers

    made, module = user_code.call(self.name, "optimizer", seed)
    if not isinstance(made, optimizers.Optimizer):
      raise UserCodeError(f"{self.name} returned {type(made).__name__}, not an Optimizer; {_MEND}.")
    _check_phi(self.name, made)
    updates = user_code.attempt(self.name, lambda: _step(made))
    shapes = {n: (*x.shape,) for n, x in updates.items()} if isinstance(updates, dict) else None
    if shapes != (expected := {name: (1, *shape) for name, shape in _SHAPES.items()}):
      raise UserCodeError(
        f"The updates of {self.name} must have the names and shapes of the gradients, {expected},"
        f" got {updates if shapes is None else shapes!r:.200}."
      )
    config = {"kind": self.name, "sha256": user_code.digest(module)}
    made.config = functools.partial(dict, config)  # type: ignore[method-assign]
    return made


def _check_phi(name: str, optimizer: "Optimizer") -> None:
  """Raises UserCodeError unless phi can be trained and kept in a file."""
  import tensorflow as tf

  phi = optimizer.trainable_variables
  if not phi:
    raise UserCodeError(f"The optimizer of {name} has no variables: nothing to learn; {_MEND}.")
  if len(optimizer.named_phi()) != len(phi):
    raise UserCodeError(
      f"The variables of {name} need a name each, got {', '.join(v.name for v in phi)}."
    )
  if wrong := {v.name: v.dtype.name for v in phi if v.dtype != tf.float32}:
    raise UserCodeError(f"The variables of {name} must be of float32, got {wrong}.")


def _step(optimizer: "Optimizer") -> Any:
  """Takes a step in a graph, as training does; returns the updates."""
  import tensorflow as tf

  ones = {name: tf.ones([1, *shape]) for name, shape in _SHAPES.items()}
  state = optimizer.initial_state(ones)
  step = tf.function(lambda: optimizer(ones, state, ones), autograph=False)
  updates, after = step.get_concrete_function()()
  tf.nest.assert_same_structure(state, after)
  for before, now in zip(tf.nest.flatten(state), tf.nest.flatten(after)):
    if before.shape != now.shape or before.dtype != now.dtype:
      raise ValueError(f"a step turns a state {before.shape} into one of {now.shape}")
  return updates
