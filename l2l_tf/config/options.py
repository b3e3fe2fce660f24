"""The base of options and of the schemas of files: the one home of names, bounds and meanings.

An option group is a frozen pydantic model. It takes exactly the types that it names (but a list
for a tuple), no other keys, and no number out of bounds; the first thing that is wrong is one line.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Union

import pydantic
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
  from typing import Self

SHOWN = 200  # characters of a bad value, in a message
PATH = "names a file or a folder to read"  # marks a field: `Path`
Path = Annotated[str | None, PATH]


def option(
  default: Any,
  meaning: str,
  minimum: float | None = None,
  maximum: float | None = None,
) -> Any:
  """A field that flags set: its default, what it means, and its bounds, both allowed."""
  return pydantic.Field(default, ge=minimum, le=maximum, description=meaning)


def sizes(maximum: int, length: int = 64) -> Any:
  """The type of a tuple of 1..`length` integers of 1..`maximum`."""
  size = Annotated[int, pydantic.Field(ge=1, le=maximum)]
  limits = pydantic.Field(strict=False, min_length=1, max_length=length)
  return Annotated[tuple[size, ...], limits, pydantic.FailFast()]


def at_most(most: int) -> pydantic.BeforeValidator:
  """Marks a dictionary of so many items, counted before any of it is looked at."""

  def count(values: Any) -> Any:
    if isinstance(values, dict) and len(values) > most:
      raise ValueError(f"must have at most {most} elements, got {len(values)}.")
    return values

  return pydantic.BeforeValidator(count)


class Options(pydantic.BaseModel):
  """Base of option groups: `pydantic.Field` gives each default, bounds and what it means."""

  model_config = pydantic.ConfigDict(
    strict=True, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
  )
  UNKNOWN: ClassVar[str] = "Unknown option {key!r:.200} for {kind}; known: {known}."

  def __init__(self, /, **values: Any):
    """Takes the fields by name.

    Raises:
      ValueError: for a name that is no field, a value of another type, or one out of bounds.
    """
    try:
      super().__init__(**values)
    except pydantic.ValidationError as error:
      raise ValueError(explained(error)) from error

  @pydantic.model_validator(mode="before")
  @classmethod
  def _no_other_keys(cls, values: Any) -> Any:
    """At the first one, as a hostile file may have millions."""
    known = [field.alias or name for name, field in cls.model_fields.items()]
    for key in values if isinstance(values, dict) else ():
      if key not in known:
        text = cls.UNKNOWN.format(key=key, kind=cls.__name__, known=", ".join(known))
        raise ValueError(text)
    return values

  def replace(self, **changes: Any) -> "Self":
    """Returns a copy with other values, checked as all are."""
    return type(self)(**{**dict(self), **changes})

  def to_dict(self) -> dict[str, Any]:
    """Returns the fields as plain JSON types."""
    return self.model_dump(mode="json")

  @classmethod
  def from_dict(cls, values: Mapping[str, Any]) -> "Self":
    """The inverse of `to_dict`; raises ValueError as the constructor does."""
    if not isinstance(values, dict):
      raise ValueError(f"{cls.__name__} options must be an object, got {type(values).__name__}.")
    return cls(**values)

  @classmethod
  def flags(cls) -> dict[str, FieldInfo]:
    """What a user may set: the fields that say what they mean, which a tag does not."""
    return {name: field for name, field in cls.model_fields.items() if field.description}


def one_of(*kinds: type[Options]) -> Any:
  """The type of a model that is one of `kinds`, by its name; one without a default takes "a:b"."""
  tags = [kind.model_fields["name"].default for kind in kinds]
  tagged = [
    Annotated[kind, pydantic.Tag(tag if isinstance(tag, str) else "MODULE:FACTORY")]
    for kind, tag in zip(kinds, tags)
  ]
  union: Any = Union[tuple(tagged)]  # noqa: UP007  # of so many as there are
  return Annotated[union, pydantic.Discriminator(_tag)]


def _tag(value: Any) -> str:
  tag = str(tag_of(value))
  return "MODULE:FACTORY" if ":" in tag else tag


def tag_of(value: Any) -> Any:
  """The name of a model, or of what is to become one: "kind" in files of trained optimizers."""
  if isinstance(value, dict):
    return value.get("kind", value.get("name"))
  return getattr(value, "name", None)


_TYPES = {"string_type": "str", "dict_type": "object", "list_type": "array"}


def explained(error: pydantic.ValidationError) -> str:
  """One line on the first thing that is wrong."""
  first = error.errors(include_url=False)[0]
  place = [f"{part:.{SHOWN}}" for part in first["loc"] if isinstance(part, str)]
  name, found, context = ".".join(place), first["input"], first.get("ctx", {})
  got = f"got {found!r:.{SHOWN}}."
  match first["type"]:
    case "value_error":
      text = str(context["error"])
      return f"{name}{'' if text.startswith('must') else ':'} {text}" if name else text
    case "greater_than_equal":
      return f"{name} must be at least {_text(context['ge'])}, {got}"
    case "less_than_equal":
      return f"{name} must be at most {_text(context['le'])}, {got}"
    case "literal_error":
      return f"{name} must be one of {_names(context['expected'])}; {got}"
    case "too_short":
      few = f"must have at least {context['min_length']} elements, got {context['actual_length']}"
      return f"{name} {few if context['min_length'] > 1 else 'must not be empty'}."
    case "too_long":
      length = context["actual_length"] or "more"
      return f"{name} must have at most {context['max_length']} elements, got {length}."
    case "missing":
      return f"{name} must be there, got nothing."
    case "union_tag_invalid":
      if not isinstance(found, dict):
        return f"{name or 'An optimizer'} must be an object, got {type(found).__name__}."
      of_experiment = name in ("problem", "optimizer") and "kind" not in found
      what, known = name if of_experiment else "kind of optimizer", _names(context["expected_tags"])
      return f"Unknown {what} {tag_of(found)!r:.{SHOWN}}; known: {known}."
    case "float_type" | "finite_number" if type(found) in (int, float):
      return f"{name} must be finite, {got}"  # an integer of hundreds of digits is no float
    case "model_type":
      return f"{name} must be an object, got {type(found).__name__}."
    case kind if kind.endswith("_type"):
      kind = _TYPES.get(kind, kind.removesuffix("_type"))
      return f"{name} must be of type {kind}, {got}"
  return f"{name}: {first['msg']}, {got}"


def _names(quoted: str) -> str:
  """Returns "a, b" of pydantic's "'a', 'b'" or "'a' or 'b'"."""
  return quoted.replace(" or ", ", ").replace("'", "")


def _text(bound: float) -> str:
  return str(bound) if isinstance(bound, int) else f"{bound:g}"
