"""The schema of results files, as models that check one and make the tables of docs/results.md.

What stands below a field is its row there (`python -m tests.docs_test` writes them).
"""

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

  model_config = pydantic.ConfigDict(use_attribute_docstrings=True)
  UNKNOWN = "a key must be one of {known}, got {key!r:.200}."


class Head(Schema):
  """What all files of numbers begin with."""

  schema_: Literal[1] = Field(alias="schema")
  """1"""
  command: str
  """the command that wrote this file; those with `--name` are of when that meant
  `results/NAME.json`, which `--out` means today; paths relative to where it ran; without what
  belongs to the machine (`--data`, `--data_dir`, `--work_dir`) and `--overwrite`"""
  versions: dict[str, Any]
  """of Python, TensorFlow, Keras, Sonnet, NumPy and l2l_tf, `lstm_cell` where the cell in C++
  ran, and the `commit` of this repository;
  null where l2l_tf is installed, or lies in a repository of somebody else's"""
  data: str
  """which data set, version, split and size, in words"""
  data_sha256: str | None = None
  """the SHA-256 of images and labels, null where none are; results of before have no such key"""
  problem: dict[str, Any]
  """the problem's `name` and every option that decides its numbers; images and weights are in
  `data`, with digests"""
  num_steps: Count
  """T; the learning rates are tuned for it"""
  tuning_runs: Count
  """instances that pick the learning rates"""
  seed: Count
  """instance i of a stream has the seed `problem.seeds(seed, stream, count=count)[i]`; it decides W
  and y, θ_0 and all minibatches, for every optimizer alike"""


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
  """`[T+1]`: over the R runs, at point t: f(θ_t) on the minibatch of step t, after t updates; point
  0 is θ_0"""
  standard_error: NumbersOrNulls
  """`[T+1]`: of that mean; `evaluation/intervals.py` makes 95 % intervals of them (Student's t with
  R - 1 degrees)"""
  mean_loss: Interval
  """`{mean, half}`: mean of steps 1..T of each run, its mean over runs, and half of Student's 95 %
  interval"""
  final_loss: Interval
  """`{mean, half}`: the same for the final loss"""
  final_loss_quantiles: dict[Quantile, NumberOrNull] = Field(min_length=5, max_length=5)
  """of the R final losses, under `"5"`, `"25"`, `"50"`, `"75"`, `"95"`: the least loss that so many
  percent of the runs do not exceed. Read these where the mean sits in the tail, as for
  quadratics"""
  final_losses: NumbersOrNulls
  """`[R]`, in the order of the instances: pair them by index"""
  diverged: Count
  """how many of the R runs ended with a loss that is not finite"""


class Learned(_Summary):
  """A trained optimizer."""

  kind: Literal["learned", "peer"]
  """`"learned"`, `"peer"` (another implementation's weights) or `"rival"` (hand-designed)"""
  source: str
  """where the weights were found"""
  sha256: str
  """the digest of their file"""


class Rival(_Summary):
  """A hand-designed optimizer, tuned."""

  kind: Literal["rival"]
  learning_rate: NumberOrNull
  """the chosen one, null where every rate diverged, and then the rival is not run and its losses
  are null: least mean final loss over the tuning instances, of `finalists` where there are some"""
  tuning_final_losses: NumbersOrNulls
  """`[K]`, that mean for every rate that was run (`protocol.tuning`). Null are the others,
  and those with a single diverged run, which counts as infinite"""
  finalists: Finalists = None  # type: ignore[assignment]  # not null: not there
  """with `--finalist_runs=F`: `{runs, learning_rates, final_losses}`: mean final losses over the
  first F = `runs` tuning instances, of the rate that is best by `tuning_final_losses` and of its
  neighbours in the grid, then of the winner's neighbours, until `learning_rate` is better than both
  of its own. Where a run is expensive, few instances narrow the grid and more decide"""


class Ratio(Schema):
  """Of two optimizers' mean final losses."""

  numerator: str
  """the name of an optimizer whose final losses are x"""
  denominator: str
  """that of the one whose are y"""
  ratio: NumberOrNull
  """r = mean(x) / mean(y)"""
  low: NumberOrNull
  """of the 95 % interval: the residuals x − r y have a standard error e; log r has e / mean(x);
  Student's t with R − 1 degrees"""
  high: NumberOrNull
  """the other end"""
  wins: Number
  """share of the instances on which x < y"""


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
  """R, fresh instances that are reported"""
  streams: dict[str, Any]
  """the numbers of the streams: tuning, reported and meta-training instances come from different
  ones"""
  final_steps: Count
  """points whose mean is the final loss of a run: the last 10"""
  learning_rates: NumbersOrNulls
  """the K rates of the grid, 2^k · 1e-6"""
  optimizers: Annotated[dict[str, Entry], at_most(1000)]
  """an object, by name: see below"""
  best_rival: str | None
  """the rival with the least mean final loss **on the reported instances**, so that no rival in the
  table is better; null without rivals"""
  ratios: Annotated[list[Ratio], pydantic.FailFast()]
  """an array: see below"""

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
