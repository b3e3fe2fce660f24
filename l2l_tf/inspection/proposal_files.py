"""What an optimizer has learned, as files: histories and sweeps of its updates (Figures 9 and 10).

`bin/visualize.py` writes them, `bin/figures.py` draws from them; docs/visualizations.md describes
them.
"""

import math
from typing import Any

import numpy as np

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


_TOP = {
  "schema": schema.Rule(f"{SCHEMA}, the schema that this program reads", lambda v: v == SCHEMA),
  "command": schema.TEXT,
  "versions": schema.OBJECT,
  "data": schema.TEXT,
  "problem": schema.OBJECT,
  "optimizer": schema.OBJECT,
  "seed": schema.COUNT,
  "stream": schema.COUNT,
  "tuning_runs": schema.COUNT,
  "num_steps": schema.COUNT,
  "steps": schema.Rule(
    "an array of increasing integers from 1 on",
    lambda v: (
      isinstance(v, list) and all(type(t) is int and t > 0 for t in v) and v == sorted({*v}) != []
    ),
  ),
  "rivals": schema.OBJECT,
  "losses": schema.NUMBERS,
  "coordinates": schema.Rule("an object, not empty", lambda v: isinstance(v, dict) and bool(v)),
}
_OPTIMIZER = {"name": schema.TEXT, "source": schema.TEXT, "sha256": schema.TEXT}
_COORDINATE = {
  "gradients": schema.NUMBERS,
  "updates": schema.OBJECT,
  "swept_gradients": schema.NUMBERS,
  "swept_updates": schema.OBJECT,
}


def validate(document: Any):
  """Checks a document against docs/visualizations.md.

  Raises:
    ValueError: if a key is missing or unknown, or a value not what it must be.
  """
  schema.check_object("the file", document, _TOP, schema.OPTIONAL)
  schema.check_object("'optimizer'", document["optimizer"], _OPTIMIZER)
  for name, rival in document["rivals"].items():
    schema.check_object(f"the rival {name!r}", rival, {"learning_rate": schema.NUMBER})
  num_steps, steps = document["num_steps"], document["steps"]
  schema.check(steps[-1] <= num_steps, "the last of 'steps'", f"at most {num_steps}", steps[-1])
  _check_numbers("'losses'", document["losses"], num_steps + 1)
  names = [LEARNED, *document["rivals"]]
  for coordinate, entry in document["coordinates"].items():
    schema.check_object(f"{coordinate!r}", entry, _COORDINATE)
    num_values = len(entry["swept_gradients"])
    _check_numbers(f"'gradients' of {coordinate!r}", entry["gradients"], num_steps)
    _check_numbers(f"'swept_gradients' of {coordinate!r}", entry["swept_gradients"], num_values)
    for key in ("updates", "swept_updates"):
      received = sorted(entry[key])
      schema.check(received == sorted(names), f"{key!r} of {coordinate!r}", names, received)
    for name in names:
      _check_numbers(f"an update of {coordinate!r}", entry["updates"][name], num_steps)
      swept = entry["swept_updates"][name]
      is_rows = isinstance(swept, list) and len(swept) == len(steps)
      schema.check(is_rows, f"'swept_updates' of {coordinate!r}", f"{len(steps)} rows", swept)
      for row in swept:
        _check_numbers(f"a row of 'swept_updates' of {coordinate!r}", row, num_values)


def _check_numbers(what: str, value: Any, length: int):
  """Raises ValueError unless `value` is an array of so many finite numbers."""
  expected = f"an array of {length} finite numbers"
  schema.check(schema.NUMBERS.test(value) and None not in value, what, expected, value)
  schema.check(len(value) == length, what, expected, value)


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
