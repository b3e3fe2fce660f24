"""The arguments of LearnedOptimizer: what each may be, and the errors for what it may not."""

from collections.abc import Sequence
import math
import numbers
from typing import Any

import keras


def check_keras(arguments):
  """Raises ValueError for arguments of Keras's that would not mean what a user expects."""
  if "learning_rate" in arguments:
    raise ValueError(
      "A learned optimizer has no learning rate: it decides the size of its steps. `update_scale`,"
      " 1 by default, is a constant on its updates."
    )
  if "decay" in arguments:  # Keras warns and ignores it
    raise ValueError("`decay` does not exist any more; give update_scale a schedule.")


def check_bool(name: str, value: Any):
  """Raises ValueError for what is neither True nor False."""
  if type(value) is not bool:
    raise ValueError(f"{name} must be True or False, got {value!r}.")


def update_scale(value: Any):
  """Returns a number as a float, and schedules and other callables as they are."""
  if callable(value):
    return value
  if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
    raise ValueError(f"update_scale must be a finite number or a schedule, got {value!r}.")
  return float(value)


def check_horizon(value: Any):
  """Raises ValueError for what is neither None nor a number of steps."""
  if value is not None and (type(value) is not int or value < 1):
    raise ValueError(f"horizon must be None or an integer of at least 1, got {value!r}.")


def state_dtype(value: Any) -> str | None:
  """Returns the name of a float type, or None."""
  if value is None:
    return None
  name = getattr(value, "name", None) or getattr(value, "__name__", None) or str(value)
  name = name.split(".")[-1]  # "torch.float32"
  if name not in ("bfloat16", "float32", "float64"):
    raise ValueError(
      f"state_dtype must be None, 'bfloat16', 'float32' or 'float64', got {value!r}."
    )
  return name


def check_gradients(gradients: Sequence[Any], variables: Sequence[Any]):
  """Raises ValueError for gradients that cannot be those of the variables; None is none at all."""
  for g, variable in zip(gradients, variables):
    if g is None:
      continue
    kind = dtype(g) if hasattr(g, "dtype") else "float32"
    if not (keras.backend.is_float_dtype(kind) or keras.backend.is_int_dtype(kind)):
      raise ValueError(
        f"The gradient of {path(variable)} must be of real numbers, got one of type {kind}."
      )
    shape, expected = _static_shape(g), _static_shape(variable)
    if shape is None or expected is None:
      continue
    if len(shape) != len(expected) or any(a not in (None, b) for a, b in zip(shape, expected)):
      raise ValueError(
        f"The gradient of {path(variable)} must be of its shape {list(expected)}, got one of"
        f" shape {list(shape)}."
      )


def dtype(x: Any) -> str:
  """The name of the type of a variable's or a tensor's numbers, on any backend."""
  return getattr(x.dtype, "name", str(x.dtype)).split(".")[-1]


def _static_shape(x: Any) -> tuple[int | None, ...] | None:
  """The shape as far as it is known."""
  shape = getattr(x, "shape", None)
  return None if shape is None or getattr(shape, "rank", 0) is None else tuple(shape)


def path(variable: Any) -> str:
  """A variable's name, of Keras or of TensorFlow."""
  return getattr(variable, "path", variable.name)
