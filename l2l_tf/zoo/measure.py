"""Runs: which there are, one file each, over several processes, and those that are there kept."""

from collections.abc import Callable, Iterable, Sequence
import functools
import gc
import json
import multiprocessing
import os
import re
import signal
from typing import Any, NamedTuple

from absl import logging
import keras
import numpy as np
import tensorflow as tf

from l2l_tf.storage import files
from l2l_tf.storage import provenance
from l2l_tf.zoo import protocol
from l2l_tf.zoo import rivals
from l2l_tf.zoo import scores
from l2l_tf.zoo import tasks
from l2l_tf.zoo.session import Session
from l2l_tf.zoo.task import Task

FAILURE = "failure.json"
JOBS_PER_PROCESS = 8  # then a new one takes over, as TensorFlow keeps what it compiled

_versions = functools.cache(provenance.versions)  # which asks git


class Run(NamedTuple):
  """One task, one optimizer, so many steps, one seed."""

  task: str
  rival: str
  num_steps: int
  seed: int


class Job(NamedTuple):
  """Runs of one task and one optimizer, which share what is compiled, and where their files go."""

  runs: tuple[Run, ...]
  directory: str


def horizons_of(task: Task, horizons: Sequence[int] | None = None) -> list[int]:
  """The horizons that the task is run for, among those wanted; None for all there are."""
  horizons = horizons or protocol.HORIZONS
  if task.family == protocol.PUBLISHED:
    return [h for h in horizons if h == protocol.PUBLISHED_HORIZON]
  return [h for h in horizons if task.long or h < max(protocol.HORIZONS)]


def plan(
  task: Task,
  rival: str,
  knows_horizon: bool,
  horizons: Sequence[int] | None = None,
  seeds: int | None = None,
  far: bool = False,
) -> list[Run]:
  """The runs that give the results of one task and one optimizer.

  Args:
    task: whose.
    rival: the name of the optimizer.
    knows_horizon: if not, a run gives the results of all shorter horizons, too: one for each seed.
    horizons: those wanted; None for all there are.
    seeds: at most so many; None takes those of `SEEDS`.
    far: whether to go on to `REACH` times the horizon.
  """
  wanted = []
  for horizon in horizons_of(task, horizons):
    theirs = task.family == protocol.PUBLISHED
    num_steps = horizon * (protocol.REACH[horizon] if far and not theirs else 1)
    count = protocol.PUBLISHED_SEEDS if theirs else protocol.SEEDS[horizon]
    count = min(count, seeds or count)
    wanted += [Run(task.name, rival, num_steps, seed) for seed in range(count)]
  return wanted if knows_horizon else longest(wanted)


def longest(runs: Iterable[Run]) -> list[Run]:
  """Of the runs of one task, optimizer and seed the longest, of which the others are beginnings."""
  return sorted({(run.task, run.rival, run.seed): run for run in sorted(runs)}.values())


def full_plan() -> list[Run]:
  """Everything that docs/zoo.md tells of, but for the finalists of tuned Adam."""
  runs = []
  for task in tasks.TASKS.values():
    theirs = task.family == protocol.PUBLISHED
    wanted = protocol.PUBLISHED_RIVALS if theirs else rivals.standard()
    large = task.name.startswith(protocol.PUBLISHED_LARGE)
    for name in protocol.LARGE_RIVALS if large else wanted:
      if task.name not in protocol.PUBLISHED_CUT:
        runs += plan(task, name, rivals.find(name).knows_horizon, far=name == "Adam")
    for name in () if theirs else rivals.TUNED:
      runs += plan(task, name, False, seeds=1)
  return runs


def path_of(directory: str, run: Run) -> str:
  """The file of a run."""
  rival = re.sub(r"[^\w@.+-]", "_", run.rival)
  return os.path.join(directory, rival, run.task, f"{run.num_steps}-{run.seed}.json")


def identity(run: Run, task: Task, rival_digest: str) -> dict[str, Any]:
  """What decides a run beside the versions of the libraries."""
  return {
    "benchmark": protocol.BENCHMARK_VERSION,
    **run._asdict(),
    "definition": task.definition(),
    "rival_digest": rival_digest,
  }


def read(path: str, expected: dict[str, Any]) -> dict[str, Any] | None:
  """The run in a file; None if there is none, it is damaged, or of something else."""
  if not os.path.exists(path):
    return None
  try:
    document = files.read_json(path)
    same = all(document.get(key) == value for key, value in expected.items())
  except (files.CheckpointError, AttributeError) as error:
    logging.warning("%s is damaged and computed anew: %s", path, error)
    return None
  return document if same else None


def write(path: str, document: dict[str, Any]):
  """Writes the file of a run, on one line, so that it is there whole or not at all."""
  os.makedirs(os.path.dirname(path), exist_ok=True)
  files.write_aside(path, (json.dumps(document, allow_nan=False) + "\n").encode())


def missing(runs: Iterable[Run], directory: str) -> list[Run]:
  """The runs that have no file yet."""
  absent = []
  for run in runs:
    expected = identity(run, tasks.TASKS[run.task], rivals.find(run.rival).digest)
    if read(path_of(directory, run), expected) is None:
      absent.append(run)
  return absent


def do(job: Job) -> str | None:
  """Makes the runs of a job, each as soon as it is done into its file.

  Returns:
    Why the rest could not be made, in a line, which a file keeps, too; None if all were.
  """
  sessions: dict[int, Session] = {}
  task, rival = tasks.TASKS[job.runs[0].task], rivals.find(job.runs[0].rival)
  failure = os.path.join(os.path.dirname(path_of(job.directory, job.runs[0])), FAILURE)
  try:
    for run in job.runs:
      horizon = run.num_steps if rival.knows_horizon else 0
      if horizon not in sessions:
        sessions[horizon] = Session(task, rival, run.num_steps)
      document = identity(run, task, rival.digest) | _measured(sessions[horizon], run)
      write(path_of(job.directory, run), document)
  except Exception as error:  # a rival may fail in any way, and the others go on
    reason = f"{type(error).__name__}: {error!s:.500}"
    write(failure, {"reason": reason})
    return f"{task.name}, {rival.name}: {reason}"
  finally:
    sessions.clear()
    keras.backend.clear_session()
    gc.collect()
  if os.path.exists(failure):
    os.remove(failure)
  return None


def _measured(session: Session, run: Run) -> dict[str, Any]:
  marks = [h for h in protocol.HORIZONS if h <= run.num_steps]
  trajectory = session.run(run.seed, run.num_steps, marks)
  steps = knots(run.num_steps)
  curve = scores.smoothed(trajectory.losses, steps)
  return {
    "data": session.data_digest,
    "source": session.data.source,
    "parameters": session.num_parameters,
    "state_bytes": session.state_bytes,
    "ms_per_step": trajectory.ms_per_step,
    "held_out": {
      str(mark): {name: number(value) for name, value in logs.items()}
      for mark, logs in trajectory.held_out.items()
    },
    "fresh_loss": number(trajectory.fresh_loss),
    "curve": {"steps": steps.tolist(), "loss": [number(x) for x in curve]},
    "versions": _versions(),
  }


def knots(num_steps: int) -> np.ndarray:
  """The steps at which the curve of a run is kept; those of a shorter run are among them."""
  return scores.knots(
    num_steps, [*protocol.HORIZONS, *(h * protocol.REACH[h] for h in protocol.HORIZONS)]
  )


def number(value: float | None, digits: int = 6) -> float | None:
  """A number with so many significant digits; None for none and for what is not finite."""
  if value is None or not np.isfinite(value):
    return None
  return float(f"{value:.{digits}g}")


def jobs(runs: Iterable[Run], directory: str) -> list[Job]:
  """Groups runs by task and optimizer, tasks of the same data one after the other."""
  groups: dict[tuple[str, str], list[Run]] = {}
  for run in runs:
    groups.setdefault((run.task, run.rival), []).append(run)
  return [Job(tuple(group), directory) for _, group in sorted(groups.items())]


def do_all(work: Sequence[Job], processes: int, report: Callable[[Job, str | None], None]) -> int:
  """Makes all runs over several processes of one thread each; results do not depend on how many.

  Args:
    work: see `jobs`.
    processes: how many at once.
    report: is called after each job with it and why it failed, if it did.

  Returns:
    How many jobs failed.
  """
  if not work:
    return 0
  failed = 0
  context = multiprocessing.get_context("spawn")
  with context.Pool(min(processes, len(work)), _alone, (), JOBS_PER_PROCESS) as pool:
    for job, reason in pool.imap_unordered(_done, work):
      report(job, reason)
      failed += reason is not None
  return failed


def _alone():
  """Leaves the other cores to the other processes, and Ctrl-C to the one that started them."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)


def _done(job: Job) -> tuple[Job, str | None]:
  return job, do(job)
