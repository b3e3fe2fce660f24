"""From the files of runs to a results file: what each optimizer reached on each task."""

from collections.abc import Sequence
import glob
import json
import os
import re
from typing import Any

import numpy as np

from l2l_tf.storage import files
from l2l_tf.storage import outputs
from l2l_tf.storage import provenance
from l2l_tf.zoo import measure
from l2l_tf.zoo import protocol
from l2l_tf.zoo import rivals
from l2l_tf.zoo import scores
from l2l_tf.zoo import tasks
from l2l_tf.zoo.protocol import BENCHMARK_VERSION
from l2l_tf.zoo.protocol import PUBLISHED
from l2l_tf.zoo.task import Task

TUNED = "tuned Adam"
FINALISTS = 3  # rates of tuned Adam that are run with all seeds, for each task and horizon
_FILE = re.compile(r"(\d+)-(\d+)\.json")

Documents = dict[int, dict[str, Any]]  # runs by seed


def file_name(rival: str) -> str:
  """The name of the results file of an optimizer."""
  return f"zoo_{re.sub(r'[^A-Za-z0-9@.+-]', '_', rival)}.json"


def documents(task: Task, rival: rivals.Rival, directory: str, horizon: int) -> Documents:
  """The runs that give results for a horizon: longer ones too, unless the rival knows it."""
  folder = os.path.dirname(measure.path_of(directory, measure.Run(task.name, rival.name, 0, 0)))
  found: Documents = {}
  for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.json"))):
    match = _FILE.fullmatch(os.path.basename(path))
    if match is None:
      continue
    num_steps, seed = map(int, match.groups())
    fits = num_steps == horizon if rival.knows_horizon else num_steps >= horizon
    longer = seed not in found or num_steps > found[seed]["num_steps"]
    if not fits or not longer or seed >= protocol.SEEDS[horizon]:
      continue
    run = measure.Run(task.name, rival.name, num_steps, seed)
    document = measure.read(path, measure.identity(run, task, rival.digest))
    if document is not None:
      found[seed] = document
  return dict(sorted(found.items()))


def loss_at(document: dict[str, Any], num_steps: int) -> float:
  """The final loss that a run would have had after so many steps; NaN if it is no number."""
  curve = document["curve"]
  loss = curve["loss"][curve["steps"].index(num_steps)]
  return np.nan if loss is None else loss


def row(task: Task, horizon: int, found: Documents, far: bool) -> dict[str, Any]:
  """What the runs of one task give at one horizon, seed by seed."""
  some = next(iter(found.values()))
  finals = [loss_at(document, horizon) for document in found.values()]
  firsts = [loss_at(document, 1) for document in found.values()]
  times = [d["ms_per_step"] for d in found.values() if d["ms_per_step"]]
  logs = [d["held_out"].get(str(horizon), {}) for d in found.values()]
  return {
    "task": task.name,
    "family": task.family,
    "horizon": horizon,
    "definition": some["definition"],
    "data": some["data"],
    "source": some["source"],
    "parameters": some["parameters"],
    "seeds": list(found),
    "final": [measure.number(final) for final in finals],
    "diverged": [scores.diverged(*losses) for losses in zip(firsts, finals)],
    "metric": task.metric,
    "held_out": [log.get(task.metric) for log in logs],
    "fresh_loss": [d["fresh_loss"] for d in found.values()],
    "ms_per_step": measure.number(np.median(times), 3) if times else None,
    "state_bytes": some["state_bytes"],
  } | ({"curve": _kept(*_curve(found, horizon))} if far else {})


def summarize(
  rival: rivals.Rival, wanted: Sequence[Task], directory: str, command: str, far: bool = False
) -> dict[str, Any]:
  """The results file of one optimizer, of all runs that are there.

  Args:
    rival: whose.
    wanted: which tasks.
    directory: of the runs.
    command: that made them.
    far: whether to keep curves, up to `REACH` times the horizon, for others to be compared to.
  """
  rows, failures = [], {}
  for task in wanted:
    for horizon in measure.horizons_of(task):
      found = documents(task, rival, directory, horizon)
      if found:
        rows.append(row(task, horizon, found, far))
    reason = _failure(task, rival, directory)
    if reason:
      failures[task.name] = reason
  return _document(rival.name, rival.digest, rows, failures, command)


def finalists(task: Task, directory: str, horizon: int) -> list[str]:
  """The rates of tuned Adam with the lowest final loss from the first seed."""
  finals = {}
  for name in rivals.TUNED:
    found = documents(task, rivals.find(name), directory, horizon)
    if 0 in found:
      final = loss_at(found[0], horizon)
      finals[name] = final if np.isfinite(final) else np.inf
  return sorted(finals, key=finals.__getitem__)[:FINALISTS]


def summarize_tuned(wanted: Sequence[Task], directory: str, command: str) -> dict[str, Any]:
  """The results file of Adam at the best of its rates for each task and horizon."""
  rows = []
  for task in wanted:
    for horizon in measure.horizons_of(task):
      row_ = _tuned_row(task, horizon, directory)
      if row_ is not None:
        rows.append(row_)
  return _document(TUNED, "", rows, {}, command)


def _tuned_row(task: Task, horizon: int, directory: str) -> dict[str, Any] | None:
  """The row of the best finalist; its curve is the lowest of all finalists' at each step."""
  entries, curves = {}, []
  for name in finalists(task, directory, horizon):
    found = documents(task, rivals.find(name), directory, horizon)
    entries[name] = row(task, horizon, found, far=True)
    curves.append(_curve(found, horizon))
  if not entries:
    return None
  most = max(len(entry["seeds"]) for entry in entries.values())
  whole = {name: entry for name, entry in entries.items() if len(entry["seeds"]) == most}
  best = min(whole, key=lambda name: _mean(whole[name]["final"]))
  shortest = min((steps for steps, _ in curves), key=len)
  lowest = np.min([curve[: len(shortest)] for _, curve in curves], 0)
  tried = {name: entry["final"] for name, entry in entries.items()}
  rate = best.partition("@")[2]
  return whole[best] | {"curve": _kept(shortest, lowest), "rate": rate, "tried": tried}


def write(path: str, document: dict[str, Any]):
  """Writes a results file, a row a line."""
  head, rows = document | {"rows": []}, document["rows"]
  lines = ",\n".join(f"    {json.dumps(row_, allow_nan=False)}" for row_ in rows)
  text = json.dumps(head, indent=2, allow_nan=False)
  text = text.replace('"rows": []', f'"rows": [\n{lines}\n  ]' if rows else '"rows": []')
  files.write_aside(path, f"{text}\n".encode())


def read(path: str) -> dict[str, Any]:
  """A results file.

  Raises:
    CheckpointError: if it is missing, damaged, or of another version of the benchmark.
  """
  document = files.read_json(path)
  version = document.get("benchmark") if isinstance(document, dict) else None
  if version != BENCHMARK_VERSION or not isinstance(document.get("rows"), list):
    raise files.CheckpointError(
      f"{path} holds no results of version {BENCHMARK_VERSION} of the benchmark; got {version!r}."
    )
  return document


def content(document: dict[str, Any], runs: Sequence[measure.Run] = ()) -> outputs.Content:
  """What a results file, with what runs will add to it, says that must not be lost."""
  rows = {
    (row_["task"], row_["horizon"]): (row_["definition"], len(row_["seeds"]))
    for row_ in document["rows"]
  }
  for run in runs:
    task = tasks.TASKS[run.task]
    for horizon in measure.horizons_of(task) if run.rival == document["optimizer"] else ():
      if horizon <= run.num_steps:
        seeds = max(rows.get((task.name, horizon), ("", 0))[1], run.seed + 1)
        rows[task.name, horizon] = (task.definition(), seeds)
  same = {"optimizer": document["optimizer"], "digest": document["digest"]}
  counts = {}
  for (task_name, horizon), (definition, seeds) in rows.items():
    same[f"{task_name}, {horizon} steps, defined as"] = definition
    counts[f"seeds of {task_name}, {horizon} steps"] = seeds
  return outputs.Content(same, counts)


def read_all(directory: str) -> dict[str, dict[str, Any]]:
  """All results files of a directory, by optimizer."""
  paths = sorted(glob.glob(os.path.join(glob.escape(directory), "zoo_*.json")))
  found = [read(path) for path in paths]
  return {document["optimizer"]: document for document in found}


def _document(name: str, digest: str, rows, failures, command: str) -> dict[str, Any]:
  return {
    "benchmark": BENCHMARK_VERSION,
    "optimizer": name,
    "digest": digest,
    "command": command,
    "versions": provenance.versions(),
    "failures": failures,
    "rows": rows,
  }


def _failure(task: Task, rival: rivals.Rival, directory: str) -> str | None:
  run = measure.Run(task.name, rival.name, 0, 0)
  folder = os.path.dirname(measure.path_of(directory, run))
  path = os.path.join(folder, measure.FAILURE)
  if not os.path.exists(path):
    return None
  try:
    return files.read_json(path)["reason"]
  except (KeyError, TypeError) as error:
    raise files.CheckpointError(f"{path} says no reason of a failure. Remove it.") from error


def _curve(found: Documents, horizon: int) -> tuple[np.ndarray, np.ndarray]:
  """Steps, as many as all seeds have, and the mean over the seeds, made monotone: `[K]` each."""
  last = min(protocol.REACH[horizon] * horizon, *(d["num_steps"] for d in found.values()))
  steps = measure.knots(last)
  curves = [[loss_at(d, t) for t in steps] for d in found.values()]
  return steps, scores.monotone(np.mean(curves, 0))


def _kept(steps: np.ndarray, curve: np.ndarray) -> dict[str, list]:
  """A curve as results files have it; infinite losses are null."""
  return {"steps": steps.tolist(), "loss": [measure.number(loss) for loss in curve]}


def _mean(values: Sequence[float | None]) -> float:
  """Infinite if one of them is none."""
  return np.inf if None in values else float(np.mean(np.asarray(values, np.float64)))


def published(document: dict[str, Any]) -> list[dict[str, Any]]:
  """The rows of the problems that others defined."""
  return [row_ for row_ in document["rows"] if row_["family"] == PUBLISHED]
