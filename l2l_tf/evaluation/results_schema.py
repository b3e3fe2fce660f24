"""The schema of results files, as models that check one; docs/results.md describes it."""

from typing import Annotated, Any, Literal, get_args

import pydantic
from pydantic import Field

from l2l_tf.config.options import Options
from l2l_tf.config.options import at_most

SCHEMA = 1
Quantile = Literal["5", "25", "50", "75", "95"]  # of the final loss, in percent
QUANTILES = tuple(map(int, get_args(Quantile)))

Count = Annotated[int, Field(ge=0, le=2**31)]
Number = Annotated[float, Field(ge=-1e300, le=1e300)]  # finite, and no endless integer
NumberOrNull = Number | None
Numbers = Annotated[list[Number], pydantic.FailFast()]
NumbersOrNulls = Annotated[list[NumberOrNull], pydantic.FailFast()]


class Schema(Options):
  """Base of what files hold: a key more is as wrong as one less."""

  UNKNOWN = "a key must be one of {known}, got {key!r:.200}."


class Head(Schema):
  """What all files of numbers begin with."""

  schema_: Literal[1] = Field(alias="schema")
  command: str
  versions: dict[str, Any]
  data: str
  data_sha256: str | None = None  # older files lack it
  problem: dict[str, Any]
  num_steps: Count
  tuning_runs: Count
  seed: Count


class Interval(Schema):
  """A mean and half of its interval."""

  mean: NumberOrNull
  half: NumberOrNull


class Finalists(Schema):
  """The rates that were compared on more instances."""

  runs: Count
  learning_rates: NumbersOrNulls
  final_losses: NumbersOrNulls

  @pydantic.model_validator(mode="after")
  def _a_loss_a_rate(self):
    check_length("final_losses", self.final_losses, len(self.learning_rates))
    return self


class _Summary(Schema):
  mean: NumbersOrNulls
  standard_error: NumbersOrNulls
  mean_loss: Interval
  final_loss: Interval
  final_loss_quantiles: dict[Quantile, NumberOrNull] = Field(min_length=5, max_length=5)
  final_losses: NumbersOrNulls
  diverged: Count


class Learned(_Summary):
  """A trained optimizer."""

  kind: Literal["learned", "peer"]
  source: str
  sha256: str


class Rival(_Summary):
  """A hand-designed optimizer, tuned."""

  kind: Literal["rival"]
  learning_rate: NumberOrNull
  tuning_final_losses: NumbersOrNulls
  finalists: Finalists = None  # type: ignore[assignment]  # not null: not there


class Ratio(Schema):
  """Of two optimizers' mean final losses."""

  numerator: str
  denominator: str
  ratio: NumberOrNull
  low: NumberOrNull
  high: NumberOrNull
  wins: Number


def _kind(entry: Any) -> str:
  kind = entry.get("kind") if isinstance(entry, dict) else None
  return "rival" if kind == "rival" else "learned"


Entry = Annotated[
  Annotated[Learned, pydantic.Tag("learned")] | Annotated[Rival, pydantic.Tag("rival")],
  pydantic.Discriminator(_kind),
]


class Results(Head):
  """A results file."""

  num_runs: Count
  streams: dict[str, Any]
  final_steps: Count
  learning_rates: NumbersOrNulls
  optimizers: Annotated[dict[str, Entry], at_most(1000)]
  best_rival: str | None
  ratios: Annotated[list[Ratio], pydantic.FailFast()]

  @pydantic.model_validator(mode="after")
  def _lengths_fit(self):
    for name, entry in self.optimizers.items():
      check_length(f"mean of {name!r}", entry.mean, self.num_steps + 1)
      check_length(f"standard_error of {name!r}", entry.standard_error, self.num_steps + 1)
      check_length(f"final_losses of {name!r}", entry.final_losses, self.num_runs)
      if entry.kind == "rival":
        found = entry.tuning_final_losses
        check_length(f"tuning_final_losses of {name!r}", found, len(self.learning_rates))
    return self

  @pydantic.model_validator(mode="after")
  def _what_is_compared_is_there(self):
    names = list(self.optimizers)
    rivals = [name for name in names if self.optimizers[name].kind == "rival"] or [None]
    if self.best_rival not in rivals:
      raise ValueError(f"best_rival must be one of {rivals!r:.200}, got {self.best_rival!r:.80}.")
    for name in (name for pair in self.ratios for name in (pair.numerator, pair.denominator)):
      if name not in names:
        raise ValueError(f"ratios must be of {names!r:.200}, got {name!r:.80}.")
    return self


def check_length(name: str, values: list, length: int):
  """Raises ValueError unless there are so many values."""
  if len(values) != length:
    raise ValueError(f"{name:.200} must have {length} elements, got {len(values)}.")


def validate(results: Any):
  """Checks results against docs/results.md.

  Raises:
    ValueError: if a key is missing or unknown, or a value not what it must be.
  """
  Results.from_dict(results)
