"""Tables in Markdown, how numbers are written in them, and the rows that they are made of."""

from collections.abc import Sequence
import math
import os
from typing import Any

from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import results as results_lib
from l2l_tf.storage import files

Rows = Sequence[Sequence[str]]
LARGE = 1e5


def rows_of(name: str) -> list[dict[str, Any]]:
  """The rows of a committed result of a benchmark."""
  return files.read_json(os.path.join("benchmarks", f"{name}.json"))["rows"]


def table(header: Sequence[str], rows: Rows) -> str:
  """A table; a row that is shorter than the header ends with empty cells."""
  lines = [header, ["---"] * len(header)]
  lines += [[*row, *[""] * (len(header) - len(row))] for row in rows]
  return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def pm(value: dict[str, float | None], digits: int = 3) -> str:
  """A mean ± half of its interval, with fewer digits the larger they are."""
  mean, half = value["mean"], value["half"]
  if mean is None:
    return "diverged"
  form = ".1e" if mean >= LARGE else f",.{digits if mean < 10 else 0}f"
  return f"{mean:{form}}" if half is None else f"{mean:{form}} ± {half:{form}}"


def ratio(value: intervals.Ratio | dict[str, float], digits: int = 3) -> str:
  """A ratio with its interval."""
  fields = intervals.Ratio._fields
  numbers = [value[key] for key in fields] if isinstance(value, dict) else value
  first, low, high = (f"{number:.{digits}f}" for number in numbers)
  return f"{first} ({low}–{high})"


def seconds(row: dict[str, float], digits: int, factor: float = 1.0) -> str:
  """A median with the 10 % and 90 % quantiles of a timed row."""
  middle, low, high = (row[f"{key}_s"] * factor for key in ("median", "low", "high"))
  return f"{middle:.{digits}f} ({low:.{digits}f}, {high:.{digits}f})"


def over_best(results: dict[str, Any], name: str) -> str:
  """The ratio of an optimizer's final loss to that of the best rival."""
  found = results_lib.ratio_of(results, name, results["best_rival"])
  return ratio(found) if found and math.isfinite(found.low) else ""
