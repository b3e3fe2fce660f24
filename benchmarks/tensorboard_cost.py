"""What TensorBoard costs a meta-training: python -m benchmarks.tensorboard_cost [--out=FILE.json]

Trains the quick preset with all that `bin/train.py` writes for TensorBoard (numbers, observations,
pictures) and without any of it, in turns, each time from the start and in a process of its own. Run
it on an otherwise idle machine; where that is not to be had, look at the processor time.
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import contextlib
import tempfile
import time
from typing import Any
from unittest import mock

import numpy as np

from benchmarks import measuring
from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import presets
from l2l_tf.config import problems as problem_options
from l2l_tf.optimizers import blocks
from l2l_tf.runs import run as training_run
from l2l_tf.runs import tensorboard

HOUR = 3600


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(
    str, "problem", "mnist", "whose quick preset is trained", list(problem_options.PROBLEMS)
  )
  flags.add(int, "epochs", None, "of each training; default that of the preset")
  flags.add(int, "repeats", 2, "trainings with TensorBoard, and as many without")
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  for name in ("epochs", "repeats"):
    value = getattr(flags, name)
    if value is not None and value < 1:
      raise experiment_flags.UsageError(f"--{name} must be at least 1, got {value}.")
  # Both orders, as a machine may grow slower while it works.
  turns = [(True, False) if repeat % 2 else (False, True) for repeat in range(flags.repeats)]
  rows = []
  for watched in np.ravel(turns):
    rows.append(measuring.in_own_process(train, flags.problem, flags.epochs, bool(watched)))
  reports.report(__file__, flags, rows, problem=flags.problem)
  for key, what in (("seconds", "Time"), ("cpu_seconds", "Processor time")):
    without, with_it = (np.mean([r[key] for r in rows if r["watched"] == w]) for w in (0, 1))
    print(f"{what} with TensorBoard / without: {with_it / without:.3f}")
  return 0


def train(problem: str, epochs: int | None, watched: bool) -> dict[str, Any]:
  """Trains once; returns how long it took and what it wrote for TensorBoard."""
  blocks.use_a_thread_a_block()
  experiment = presets.PRESETS["quick"][problem]
  if epochs:
    training = experiment.training.replace(num_epochs=epochs)
    experiment = experiment.replace(training=training)
  with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
    if not watched:
      stack.enter_context(mock.patch.object(tensorboard, "Summaries", Nothing))
    run = training_run.TrainingRun.new(os.path.join(directory, "run"), experiment)
    tuned = run.tune_rivals(num_runs=1)
    began, cpu_began = time.perf_counter(), time.process_time()
    run.train(tuned)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    size = sum(path.stat().st_size for path in written(run.directory)) if watched else 0
  figures = {"seconds": seconds, "cpu_seconds": cpu, "mb": size / 1e6}
  return {"watched": int(watched), **figures, "mb_an_hour": size / 1e6 / seconds * HOUR}


def written(directory: str) -> list[pathlib.Path]:
  """The files that are for TensorBoard alone."""
  folder = pathlib.Path(directory)
  return [*folder.rglob("*tfevents*"), *folder.glob("sweeps/*")]


class Nothing(contextlib.nullcontext):
  """Stands in for `tensorboard.Summaries` and writes nothing."""

  def __init__(self, *args: Any):
    del args
    super().__init__(self)

  def epoch(self, *args: Any):
    """Ignores an epoch."""


if __name__ == "__main__":
  experiment_flags.run(main)
