"""Results files: what `bin/evaluate.py` writes and `bin/figures.py` reads (docs/results.md)."""

from collections.abc import Sequence
import json
import math
import re
from typing import Any

import numpy as np

from l2l_tf.errors import ExpectedError
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation.results_schema import SCHEMA
from l2l_tf.evaluation.results_schema import validate
from l2l_tf.storage import files
from l2l_tf.storage import outputs


class ResultsError(ExpectedError, RuntimeError):
  """A results file is missing, damaged, or not what is asked for; the message says which."""


def number(value: float) -> float | None:
  """`value` to seven digits, all that float32 has; None, JSON's null, if it is not finite."""
  return float(f"{value:.7g}") if math.isfinite(value) else None


def numbers(values: np.ndarray) -> list:
  """`number` of each element."""
  return [number(float(value)) for value in values]


def ratio_of(results: dict[str, Any], numerator: str, denominator: str) -> intervals.Ratio | None:
  """The ratio of two optimizers' final losses in valid results; None if it is not there."""
  for pair in results["ratios"]:
    if (pair["numerator"], pair["denominator"]) == (numerator, denominator):
      values = (math.nan if pair[key] is None else pair[key] for key in ("ratio", "low", "high"))
      return intervals.Ratio(*values)
  return None


def steps_of_rivals(results: dict[str, Any], name: str, step: int) -> dict[str, int]:
  """After how many steps each rival first has the loss that an optimizer has at `step`.

  Losses are means over the runs and over the last `final_steps` points, so that the noise of
  minibatches does not decide. Rivals that never get there are left out.

  Raises:
    ValueError: if the optimizer's loss at `step` is not finite, or there are too few points.
  """
  window, entries = results["final_steps"], results["optimizers"]
  losses = {key: _trailing_means(entry["mean"], window) for key, entry in entries.items()}
  target = losses[name][step] if 0 <= step < len(losses[name]) else math.nan
  if not math.isfinite(target):
    raise ValueError(f"{name} has no finite loss at step {step}.")
  rivals = [key for key, entry in entries.items() if entry["kind"] == "rival"]
  there = {rival: np.flatnonzero(losses[rival] <= target) for rival in rivals}
  return {rival: int(steps[0]) for rival, steps in there.items() if steps.size}


def leads_from(results: dict[str, Any], name: str, window: int = 1) -> int | None:
  """The step from which on an optimizer's loss is below every rival's, to the end.

  Args:
    results: valid ones with rivals.
    name: of the optimizer.
    window: losses are means over the runs and over so many points, the last at that step.

  Returns:
    None if it is not even ahead at the end. A rival that has diverged is not ahead.
  """
  entries = results["optimizers"]
  losses = {key: _trailing_means(entry["mean"], window) for key, entry in entries.items()}
  rivals = [losses[key] for key, entry in entries.items() if entry["kind"] == "rival"]
  ahead = losses[name] < np.fmin.reduce(rivals, initial=np.inf)  # fmin passes over NaN
  behind = np.flatnonzero(~ahead)
  first = int(behind[-1]) + 1 if behind.size else 0
  return first if first < len(ahead) else None


def _trailing_means(curve: Sequence[float | None], window: int) -> np.ndarray:
  """Element t is the mean of points t - window + 1, ..., t; NaN where there are too few."""
  values = np.array(curve, float)  # of null: NaN
  means = [values[t - window + 1 : t + 1].mean() for t in range(window - 1, len(values))]
  return np.concatenate([np.full(len(values) - len(means), np.nan), means])


def read(path: str) -> dict[str, Any]:
  """Reads and checks a results file.

  Raises:
    ResultsError: if it cannot be read, or breaks the rules of docs/results.md.
  """
  try:
    results = files.read_json(path)
  except files.CheckpointError as error:
    raise ResultsError(str(error)) from error
  try:
    validate(results)
  except ValueError as error:
    raise ResultsError(f"{path} is not a results file of schema {SCHEMA}: {error}") from error
  return results


def read_of(path: str, expected: dict[str, Any]) -> dict[str, Any]:
  """Reads a results file whose values under the keys of `expected` must be those.

  Raises:
    ResultsError: as `read`, or if they are others.
  """
  found = read(path)
  received = {key: found[key] for key in expected}
  if received != expected:
    raise ResultsError(f"{path} holds results of {received}, not of {expected}.")
  return found


def content(results: dict[str, Any]) -> outputs.Content:
  """What must not be lost of results, or of `Comparison.plan`."""
  same = {key: results[key] for key in ("problem", "data", "num_steps", "seed")}
  if results.get("data_sha256"):
    same["data_sha256"] = results["data_sha256"]
  everybody = results["optimizers"].items()
  same |= {f"optimizer {name}": entry.get("sha256", entry["kind"]) for name, entry in everybody}
  counts = {key: results[key] for key in ("num_runs", "tuning_runs")}
  finalists = (entry.get("finalists", {"runs": 0})["runs"] for _, entry in everybody)
  return outputs.Content(same, counts | {"finalist_runs": max(finalists, default=0)})


def write(path: str, results: dict[str, Any]):
  """Checks and writes a results file, aside first; raises ValueError for results that are not."""
  validate(results)
  files.write_aside(path, to_text(results).encode())


def to_text(value: Any) -> str:
  """`value` as JSON of short lines: an array of numbers is one line."""
  text = json.dumps(value, indent=2, allow_nan=False)
  return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n"
