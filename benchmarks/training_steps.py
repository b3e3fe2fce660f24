"""What a step of training takes with `general`: python -m benchmarks.training_steps [--out=X.json]

Processor time of a step of the benchmark's tasks (docs/zoo.md), gradient and update, with Keras's
Adam and with ours in turn, in one process of one core: the ratio is of rivals that met the same
machine. Tracing and compilation are not counted. Run it on an otherwise idle machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import multiprocessing
import tempfile

import numpy as np

from benchmarks import ablation
from benchmarks import reports
from l2l_tf import pretrained
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.zoo import comparison
from l2l_tf.zoo import measure
from l2l_tf.zoo import rivals
from l2l_tf.zoo import tasks

NUM_STEPS = 500
NAMES = (comparison.DEFAULT, pretrained.GENERAL)


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.add(int, "repeats", 3, "runs of 500 steps for each optimizer", bounds=(1, 5))
  flags.add(tuple[str, ...], "task", None, "names of tasks; default those of held-out families")
  flags.parse(argv)
  names = [name for group in flags.task or () for name in group]
  try:
    families = comparison.SPLITS["held-out"]
    wanted = tasks.of_names(names) if names else tasks.of_families(list(families))
  except ValueError as error:
    raise experiment_flags.UsageError(str(error)) from error
  rows = []
  with multiprocessing.get_context("spawn").Pool(
    1, ablation.alone, (), measure.JOBS_PER_PROCESS
  ) as pool:
    for task in wanted:
      rows.append(pool.apply(measured, (task.name, flags.repeats)))
  ratio = float(np.median([row["ratio"] for row in rows]))
  reports.report(__file__, flags, rows, median_ratio=ratio)
  print(f"In the median of {len(rows)} tasks a step takes {ratio:.2f} times as long as Adam's.")
  return 0


def measured(task: str, repeats: int) -> dict[str, float | str]:
  """Milliseconds of processor time a step with each optimizer, medians of runs in turn."""
  found: dict[str, list[float]] = {name: [] for name in NAMES}
  for seed in range(repeats):
    for name in NAMES:
      run = measure.Run(task, name, NUM_STEPS, seed)
      with tempfile.TemporaryDirectory() as directory:
        measure.do(measure.Job((run,), directory))
        expected = measure.identity(run, tasks.TASKS[task], rivals.find(name).digest)
        document = measure.read(measure.path_of(directory, run), expected)
      if document is None or not document["ms_per_step"]:
        raise RuntimeError(f"{task} with {name} left no time: its first steps are not counted.")
      found[name].append(document["ms_per_step"])
  medians = {name: float(np.median(times)) for name, times in found.items()}
  adam, ours = (medians[name] for name in NAMES)
  return {"task": task, "adam_ms": adam, "general_ms": ours, "ratio": ours / adam}


if __name__ == "__main__":
  experiment_flags.run(main)
