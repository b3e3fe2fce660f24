"""Frozen dataclasses of hyperparameters that check themselves: the one home of names and bounds."""

import dataclasses
import math
import types
import typing
from typing import Any, Optional


def option(
  default: Any,
  help: str,  # pylint: disable=redefined-builtin
  minimum: Optional[float] = None,
  maximum: Optional[float] = None,
  choices: Optional[tuple[str, ...]] = None,
  path: bool = False,
) -> Any:
  """Declares a field of an `Options` class: its default, what it means, and what is allowed.

  With `path` it names a file or a folder to read.
  """
  limits = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices, "path": path}
  return dataclasses.field(default=default, metadata=limits)


@dataclasses.dataclass(frozen=True)
class Options:
  """Base of option groups. Types: int, float, bool, str, Optional[str], tuple[int, ...]."""

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if isinstance(value, list):
        value = tuple(value)
        object.__setattr__(self, field.name, value)
      if field.type is float and type(value) is int:
        value = float(value) if abs(value) < 1e300 else math.inf
        object.__setattr__(self, field.name, value)
      if field.metadata:
        _check(field, value)

  def to_dict(self) -> dict[str, Any]:
    """Returns the fields as plain JSON types."""
    return {
      f.name: list(v) if isinstance(v := getattr(self, f.name), tuple) else v
      for f in dataclasses.fields(self)
    }

  @classmethod
  def from_dict(cls, values: dict[str, Any]) -> "Options":
    """The inverse of `to_dict`.

    Raises:
      ValueError: for a name that is no field, a value of another type, or one out of bounds.
    """
    known = [f.name for f in dataclasses.fields(cls)]
    if not isinstance(values, dict):
      raise ValueError(f"{cls.__name__} options must be an object, got {type(values).__name__}.")
    for name in values:
      if name not in known:
        raise ValueError(
          f"Unknown option {name!r:.200} for {cls.__name__}; known: {', '.join(known)}."
        )
    return cls(**values)


def _check(field: dataclasses.Field, value: Any):
  """Raises ValueError unless `value` has the field's type and is within its bounds."""
  if not _has_type(value, field.type):
    kind = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    raise ValueError(f"{field.name} must be of type {kind}, got {value!r:.200}.")
  choices, minimum, maximum = (field.metadata[k] for k in ("choices", "minimum", "maximum"))
  if choices is not None and value not in choices:
    raise ValueError(f"{field.name} must be one of {', '.join(choices)}; got {value!r:.200}.")
  numbers = value if isinstance(value, tuple) else (value,)
  if isinstance(value, tuple) and not value:
    raise ValueError(f"{field.name} must not be empty.")
  for number in numbers:
    if isinstance(number, float) and not math.isfinite(number):
      raise ValueError(f"{field.name} must be finite, got {value!r:.200}.")
    if minimum is not None and number < minimum:
      raise ValueError(f"{field.name} must be at least {_text(minimum)}, got {value!r:.200}.")
    if maximum is not None and number > maximum:
      raise ValueError(f"{field.name} must be at most {_text(maximum)}, got {value!r:.200}.")


def _text(bound: float) -> str:
  return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _has_type(value: Any, kind: Any) -> bool:
  """Whether `value` is of `kind`, exactly: a bool is no int."""
  origin, args = typing.get_origin(kind), typing.get_args(kind)
  if origin is tuple:
    return isinstance(value, tuple) and all(type(item) is args[0] for item in value)
  if origin in (typing.Union, types.UnionType):
    return any(_has_type(value, arg) for arg in args)
  return type(value) is kind
