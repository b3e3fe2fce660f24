"""What an optimizer has learned, as files: histories and sweeps of its updates (Figures 9 and 10).

`bin/visualize.py` writes them, `bin/figures.py` draws from them; docs/visualizations.md describes
them.
"""

from collections.abc import Mapping
import math
from typing import Annotated, Any

import numpy as np
import pydantic
from pydantic import Field

from l2l_tf.config.options import at_most
from l2l_tf.errors import ExpectedError
from l2l_tf.evaluation import results
from l2l_tf.evaluation import results_schema as schema
from l2l_tf.storage import files
from l2l_tf.storage import outputs

SCHEMA = 1
RIVALS = ("adam", "sgd")  # of Figures 9 and 10
EVEN = 100  # points in a quarter of a sweep, for the measures of `table`
DIGITS = 4  # significant ones, kept in files
LEARNED = "learned"  # the name of the optimizer that moves theta


class VisualizationError(ExpectedError, RuntimeError):
  """Nothing can be shown, or a file is not one of ours; the message says why and what to do."""


class _Optimizer(schema.Schema):
  name: str
  source: str
  sha256: str


class _Rival(schema.Schema):
  learning_rate: schema.Number


class Shown(schema.Schema):
  """What is shown of a coordinate."""

  gradients: schema.Numbers
  updates: Annotated[dict[str, schema.Numbers], at_most(100)]
  swept_gradients: schema.Numbers
  swept_updates: Annotated[
    dict[str, Annotated[list[schema.Numbers], pydantic.FailFast()]], at_most(100)
  ]


class Proposed(schema.Schema):
  """What optimizers proposed on one instance: what files of histories and sweeps have in common."""

  num_steps: schema.Count
  steps: Annotated[list[Annotated[int, Field(ge=1)]], pydantic.FailFast()] = Field(min_length=1)
  rivals: Annotated[dict[str, _Rival], at_most(99)]
  losses: schema.Numbers
  coordinates: Annotated[dict[str, Shown], at_most(10**4)] = Field(min_length=1)

  @pydantic.model_validator(mode="after")
  def _steps_increase(self):
    if self.steps != sorted({*self.steps}) or self.steps[-1] > self.num_steps:
      raise ValueError(
        f"steps must increase, from 1 on, up to {self.num_steps} at most, got {self.steps!r:.80}."
      )
    return self

  @pydantic.model_validator(mode="after")
  def _lengths_fit(self):
    schema.check_length("losses", self.losses, self.num_steps + 1)
    names = {LEARNED, *self.rivals}
    for coordinate, entry in self.coordinates.items():
      num_values = len(entry.swept_gradients)
      schema.check_length(f"gradients of {coordinate!r}", entry.gradients, self.num_steps)
      for updates in (entry.updates, entry.swept_updates):
        if updates.keys() != names:
          raise ValueError(
            f"the updates of {coordinate!r:.80} must be those of {', '.join(sorted(names)):.200},"
            f" got {', '.join(updates):.200}."
          )
      for name in names:
        of = f"of {name!r} at {coordinate!r}"
        schema.check_length(f"updates {of}", entry.updates[name], self.num_steps)
        schema.check_length(f"swept_updates {of}", entry.swept_updates[name], len(self.steps))
        for row in entry.swept_updates[name]:
          schema.check_length(f"a row of swept_updates {of}", row, num_values)
    return self


class Visualization(Proposed, schema.Head):
  """A visualization file; docs/visualizations.md says what the keys mean."""

  optimizer: _Optimizer
  stream: schema.Count


def validate(document: Any):
  """Checks a document against docs/visualizations.md.

  Raises:
    ValueError: if a key is missing or unknown, or a value not what it must be.
  """
  Visualization.from_dict(document)


def read(path: str) -> dict[str, Any]:
  """Reads and checks a file.

  Raises:
    VisualizationError: if it cannot be read, or breaks the rules of docs/visualizations.md.
  """
  try:
    document = files.read_json(path)
    validate(document)
  except files.CheckpointError as error:
    raise VisualizationError(str(error)) from error
  except ValueError as error:
    raise VisualizationError(f"{path} is no visualization of schema {SCHEMA}: {error}") from error
  return document


def content(document: dict[str, Any]) -> outputs.Content:
  """What must not be lost of a document, or of one whose coordinates are still names alone."""
  same = {key: document[key] for key in ("problem", "data", "num_steps", "seed")}
  if document.get("data_sha256"):
    same["data_sha256"] = document["data_sha256"]
  same[f"optimizer {document['optimizer']['name']}"] = document["optimizer"]["sha256"]
  same |= dict.fromkeys((f"coordinate {name}" for name in document["coordinates"]), "shown")
  counts = {"tuning_runs": document["tuning_runs"], "num_panels": len(document["steps"])}
  return outputs.Content(same, counts)


def write(path: str, document: dict[str, Any]):
  """Checks and writes a file, aside first; raises ValueError for a document that is none."""
  validate(document)
  files.write_aside(path, results.to_text(document).encode())


def rounded(value: Any) -> Any:
  """`value` with its numbers to `DIGITS` significant digits; None for those that are not finite.

  Args:
    value: numbers, in arrays, lists and dictionaries; what is none stays as it is.
  """
  if isinstance(value, dict):
    return {key: rounded(item) for key, item in value.items()}
  if isinstance(value, list | np.ndarray):
    return [rounded(item) for item in value]
  if isinstance(value, float | np.floating):
    return float(f"{float(value):.{DIGITS}g}") if math.isfinite(value) else None
  return value


def table(document: dict[str, Any]) -> str:
  """What the sweeps show in numbers: a row for each coordinate at the steps 1, 2, 4, 8, ...

  `at 0` is the update that a gradient of 0 would get: what the history alone (or at step 1 the bias
  of the optimizer) says, in units of the largest update of the row's sweep; after step 1 positive
  if it goes against the mean of the gradients seen so far, as momentum does. `half` is the update's
  change over the middle half of the range, over that between its ends: 1/2 for a line, 1 for a
  step. `against Adam` is the share of the sweep where the two have opposite signs.
  """
  rows = [f"  {'coordinate':22}{'step':>5}{'gradient':>11}{'update':>11}{'at 0':>8}{'half':>7}"]
  has_adam = "adam" in document["rivals"]
  rows[0] += f"{'against Adam':>14}" if has_adam else ""
  for coordinate, entry in document["coordinates"].items():
    for k, step in enumerate(document["steps"]):
      if math.log2(step) % 1 == 0:
        row = measures(entry, k, step)
        text = f"  {coordinate:22}{step:5}{entry['gradients'][step - 1]:11.3g}"
        text += f"{entry['updates'][LEARNED][step - 1]:11.3g}{row['at_0']:8.2f}{row['half']:7.2f}"
        rows.append(text + (f"{row['against_adam']:14.0%}" if has_adam else ""))
  return "\n".join(rows)


def uphill(document: Mapping[str, Any]) -> dict[str, float]:
  """How often each optimizer goes uphill: the share of its updates with the sign of the gradient.

  Counted are the gradients seen along the trajectory that are not 0, of all coordinates.
  """
  shares = {}
  for name in (LEARNED, *document["rivals"]):
    pairs = [
      np.multiply(entry["gradients"], entry["updates"][name])[np.array(entry["gradients"]) != 0]
      for entry in document["coordinates"].values()
    ]
    products = np.concatenate(pairs)
    shares[name] = float(np.mean(products > 0)) if products.size else math.nan
  return shares


def measures(entry: dict[str, Any], k: int, step: int) -> dict[str, float]:
  """The last columns of `table` for the sweep k of a coordinate, which is that of `step`."""
  gradients = entry["swept_gradients"]
  even = np.linspace(gradients[0], gradients[-1], 4 * EVEN + 1)
  updates = {n: np.interp(even, gradients, u[k]) for n, u in entry["swept_updates"].items()}
  learned = updates[LEARNED]
  past = float(np.mean(entry["gradients"][: step - 1])) if step > 1 else 0.0
  change = learned[-1] - learned[0]
  found = {
    "at_0": learned[2 * EVEN] / max(np.abs(learned).max(), 1e-30) * (-np.sign(past) or 1.0),
    "half": (learned[3 * EVEN] - learned[EVEN]) / change if change else math.nan,
  }
  if "adam" in updates:
    found["against_adam"] = float(np.mean(learned * updates["adam"] < 0))
  return found
