"""What every benchmark says of its result: a table, and a JSON file that tells what it hangs on."""

from collections.abc import Sequence
import os
from typing import Any

import numpy as np

from benchmarks import measuring
from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import intervals
from l2l_tf.storage import files
from l2l_tf.storage import provenance

PATHS = ("out", "against", "content_dir", "style", "styles")  # recorded relative to here
UNRECORDED = (  # do not decide results
  "overwrite",
  "jobs",
  "runs",
  "data_dir",
  "rivals_python",
  "work_dir",
)
OTHERS = ("scipy",)  # packages whose versions count, beside those of every result


def write(program: str, flags: experiment_flags.Flags, document: dict[str, Any]):
  """Writes the file that `--out` names, if it does, with command, machine and versions in front.

  Args:
    program: its path, `__file__`.
    flags: parsed ones, `out` among them.
    document: what was found, JSON types.
  """
  if not flags.out:
    return
  name, _ = os.path.splitext(os.path.basename(program))
  head = {
    "command": experiment_flags.command(f"-m benchmarks.{name}", flags, PATHS, UNRECORDED),
    "machine": measuring.machine(),
    "versions": provenance.versions() | measuring.versions(OTHERS),
  }
  files.write_json(flags.out, head | document)


def report(program: str, flags: experiment_flags.Flags, rows: Sequence[dict], **about: Any):
  """Prints the table of `rows`; writes them, too, and what else there is to know of them."""
  print(table(rows), flush=True)
  write(program, flags, {**about, "rows": list(rows)})


def table(rows: Sequence[dict[str, Any]]) -> str:
  """Lines up rows with the same keys: floats with four digits, a column for each key."""
  text = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
  widths = [max(len(line[i]) for line in text) for i in range(len(text[0]))]
  lines = []
  for line in text:
    first, *others = (cell.rjust(width) for cell, width in zip(line, widths))
    lines.append("  ".join([line[0].ljust(len(first)), *others]).rstrip())
  return "\n".join(lines)


def finite(key: str, values: intervals.Interval | intervals.Ratio) -> dict[str, float | None]:
  """The fields of one, behind a key; None for what is not finite."""
  fields = values._asdict().items()
  return {f"{key}_{name}": float(x) if np.isfinite(x) else None for name, x in fields}


def _cell(value: Any) -> str:
  return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
