"""What the view shows: sweeps that a training writes after every epoch, in small files.

They lie in the folder `SWEEPS` of a run, one `epoch_00012.json.gz` an epoch; a visualization file
becomes one, too, as that of the epoch `TRAINED`. docs/visualizations.md describes them.
"""

from collections.abc import Mapping
import gzip
import io
import json
import os
import re
from typing import Annotated, Any, Literal
import zlib

import numpy as np
from pydantic import Field

from l2l_tf.config.options import at_most
from l2l_tf.evaluation import results_schema as schema
from l2l_tf.inspection import proposal_files
from l2l_tf.inspection.proposal_files import VisualizationError
from l2l_tf.storage import files

SWEEPS = "sweeps"
SCHEMA = 1
TRAINED = 0  # the epoch of an optimizer that is looked at after its training
MAX_BYTES = 2**23  # of a file, and of what it unpacks to
_NAME = re.compile(r"epoch_(\d{5,9})\.json\.gz")
_PROPOSED = tuple(proposal_files.Proposed.model_fields)


class Sweeps(proposal_files.Proposed):
  """A file of sweeps; docs/visualizations.md says what the keys mean."""

  schema_: Literal[1] = Field(alias="schema")
  epoch: schema.Count
  validation: Annotated[dict[str, schema.NumbersOrNulls], at_most(100)]


def make(
  epoch: int, proposed: Mapping[str, Any], curves: Mapping[str, np.ndarray]
) -> dict[str, Any]:
  """Returns what the file of an epoch says.

  Args:
    epoch: from 1 on, or `TRAINED`.
    proposed: has the keys of `proposal_files.Proposed`, with arrays or lists of numbers.
    curves: mean losses of held-out instances by optimizer, of any length; they may diverge.

  Raises:
    ValueError: if a number in `proposed` is not finite, or it breaks the rules.
  """
  document = {
    "schema": SCHEMA,
    "epoch": epoch,
    **proposal_files.rounded({key: proposed[key] for key in _PROPOSED}),
    "validation": proposal_files.rounded(dict(curves)),
  }
  Sweeps.from_dict(document)
  return document


def of_visualization(document: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a visualization file's document as that of an epoch, `TRAINED`."""
  return make(TRAINED, document, {})


def write(directory: str, document: Mapping[str, Any]) -> None:
  """Writes a document that `make` returned into the folder of sweeps in `directory`.

  Raises:
    VisualizationError: if it is too large to be read again.
  """
  content, path = packed(document), path_of(directory, document["epoch"])
  os.makedirs(os.path.dirname(path), exist_ok=True)
  files.write_aside(path, content)


def path_of(directory: str, epoch: int) -> str:
  """Where the sweeps of an epoch are."""
  return os.path.join(directory, SWEEPS, f"epoch_{epoch:05}.json.gz")


def packed(document: Mapping[str, Any]) -> bytes:
  """The bytes of a document's file.

  Raises:
    VisualizationError: if it is too large to be read again.
  """
  text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
  if len(text) > MAX_BYTES:
    raise VisualizationError(
      f"The sweeps take {len(text)} bytes, and a file of them may have {MAX_BYTES}. Lower"
      " `num_panels` or `num_values`, or name fewer `coordinates`."
    )
  return gzip.compress(text, mtime=0)


def read(path: str) -> dict[str, Any]:
  """Reads and checks a file, which may be a stranger's.

  Raises:
    VisualizationError: if it cannot be read, or breaks the rules of docs/visualizations.md.
  """
  try:
    return parse(files.read(path, MAX_BYTES), path)
  except OSError as error:
    raise VisualizationError(f"Cannot read {path}: {error.strerror}.") from error
  except ValueError as error:
    raise VisualizationError(str(error)) from error


def parse(content: bytes, source: str) -> dict[str, Any]:
  """Returns the document in the bytes of a file; `source` names it in messages.

  Raises:
    VisualizationError: if they are none of ours.
  """
  try:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
      text = packed.read(MAX_BYTES + 1)
  except (OSError, EOFError, zlib.error) as error:
    raise VisualizationError(f"{source} is damaged or half written: {error}.") from error
  if len(text) > MAX_BYTES:
    raise VisualizationError(f"{source} unpacks to more than {MAX_BYTES} bytes; it is not ours.")
  try:
    document = files.parse_json(text, source)
    Sweeps.from_dict(document)
  except files.CheckpointError as error:
    raise VisualizationError(str(error)) from error
  except ValueError as error:
    raise VisualizationError(f"{source} holds no sweeps of schema {SCHEMA}: {error}") from error
  return document


def paths(directory: str) -> dict[int, str]:
  """Returns the files of sweeps of the run in `directory` by epoch, increasing; maybe none."""
  folder = os.path.join(directory, SWEEPS)
  try:
    names = os.listdir(folder)
  except OSError:
    return {}
  matches = filter(None, map(_NAME.fullmatch, names))
  found = {int(match[1]): os.path.join(folder, match[0]) for match in matches}
  return dict(sorted(found.items()))
