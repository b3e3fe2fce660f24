"""The view as one HTML file that needs no server and no network: data and script are inside.

Plotly and the data are packed in it, as a browser of 2023 or later unpacks them.
"""

import base64
from collections.abc import Mapping, Sequence
import gzip
import html
import json
import os
import pathlib
import re
import string
from typing import Any

from l2l_tf import surroundings
from l2l_tf.inspection import sweep_files
from l2l_tf.inspection.proposal_files import VisualizationError
from l2l_tf.storage import files
from l2l_tf.storage import outputs

with surroundings.extra("train"):
  from plotly import offline

ASSETS = pathlib.Path(__file__).parent / "assets"
MODULES = ("scale.js", "panels.js", "view.js", "page.js")  # each imports earlier ones alone
MAX_DATA_BYTES = 2 * 2**20  # packed; Plotly takes as much
OURS = b'<meta name="generator" content="l2l_tf">'


def make(title: str, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
  """Returns a page.

  Args:
    title: of the page.
    runs: documents of `sweep_files` by the run's name, in the order of their epochs. Of many
      epochs so many are left out, evenly, that the page stays below 5 MB.

  Raises:
    VisualizationError: if the first and the last epoch alone are too large.
  """
  kept, every, longest = dict(runs), 1, max(map(len, runs.values()), default=0)
  while len(packed := _packed(_data(kept, every))) > MAX_DATA_BYTES:
    if every >= longest:
      raise VisualizationError(
        f"The sweeps take {len(packed)} bytes of a page, which may have {MAX_DATA_BYTES}."
        " Lower `num_panels` or `num_values`, or name fewer `coordinates`."
      )
    every += 1
    kept = {name: thinned(documents, every) for name, documents in runs.items()}
  template = string.Template((ASSETS / "page.html").read_text(encoding="utf-8"))
  page = template.substitute(
    title=html.escape(title),
    style=(ASSETS / "view.css").read_text(encoding="utf-8"),
    script=script(),
    data=packed,
    plotly=_packed(offline.get_plotlyjs()),
  )
  return page.encode(errors="replace")  # the bytes of a directory's name may be no text


def of_run(directory: str) -> bytes | None:
  """Returns the page of a training; None if its sweeps cannot be read, or there are none.

  Raises:
    VisualizationError: if they are too large for a page.
  """
  documents = []
  for path in sweep_files.paths(directory).values():
    try:
      documents.append(sweep_files.read(path))
    except VisualizationError:
      continue
  name = os.path.basename(os.path.abspath(directory))
  return make(f"What {name} learned", {name: documents}) if documents else None


def thinned(documents: Sequence[Any], every: int) -> list[Any]:
  """The first, the last, and each `every`th of those between."""
  last = len(documents) - 1
  return [found for i, found in enumerate(documents) if i % every == 0 or i == last]


def script() -> str:
  """The modules as one, without what they import from each other."""
  texts = [(ASSETS / name).read_text(encoding="utf-8") for name in MODULES]
  return "\n".join(re.sub(r'^import .+ from "\./.+";\n', "", text, flags=re.M) for text in texts)


def _data(runs: Mapping[str, Sequence[Any]], every: int) -> str:
  note = f"Every {every}th epoch is shown: all of them would make the page too large."
  return json.dumps({"runs": runs, "notes": [note] if every > 1 else []}, allow_nan=False)


def _packed(text: str) -> str:
  return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def check(path: str | None, overwrite: bool):
  """Makes sure that a page may be written: what stands there is one, as they can be made again.

  Raises:
    OutputError: if it is anything else.
  """
  if not path or not os.path.lexists(path):
    return
  if os.path.isdir(path):
    raise outputs.OutputError(f"{path} is a directory; name a file with `html`.")
  if not overwrite and OURS not in files.read_own(path):
    raise outputs.OutputError(
      f"{path} is no page of this program. It is not overwritten: name another `html`, move it"
      " away, or add `overwrite`."
    )
