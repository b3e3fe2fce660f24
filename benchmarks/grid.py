"""The race of the rivals' rates against the whole grid: python -m benchmarks.grid

Six rivals x 30 learning rates x 10 seeds x 100 steps of the MNIST base problem (section 3.2), as
bin/evaluate.py runs it: tracing included, nothing from the disk. Each rival's rate is picked by
`protocol.race`, then from the whole grid. --out=FILE.json keeps the times and the rates. Run it on
an otherwise idle machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import time
from typing import Any

import numpy as np

from benchmarks import reports
from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream

RUNS, STEPS = 10, 100


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.add(int, "num_steps", STEPS, "T, the steps of each run", bounds=(1, 10**6))
  flags.add(int, "tuning_runs", RUNS, "instances for each rate", bounds=(1, 10**6))
  flags.group("Problem")
  experiment_flags.add_problem(flags, "what the rivals are tuned on")
  flags.parse(argv)
  options = experiment_flags.problem(flags)
  problem, data = options.build()
  print(f"{data}; {len(protocol.LEARNING_RATES)} rates x {flags.tuning_runs} seeds")
  seeds = problem.seeds(0, Stream.TUNING, count=flags.tuning_runs)
  rows = [compared(problem, name, seeds, flags.num_steps) for name in optimizers.HAND_DESIGNED]
  document = {"data": data, "num_steps": flags.num_steps, "tuning_runs": flags.tuning_runs}
  total = sum(row["race_seconds"] for row in rows) / sum(row["grid_seconds"] for row in rows)
  print(f"  all: {total:.2f} of the time on {os.cpu_count()} cores")
  reports.write(__file__, flags, document | {"rows": rows, "race_over_grid": total})
  return 0


def compared(problem: Problem, name: str, seeds: np.ndarray, num_steps: int) -> dict[str, Any]:
  """How long the race and the grid of a rival take, and which rates they pick."""
  kind = optimizers.HAND_DESIGNED[name]

  def run(rates, steps):
    return protocol.grid_curves(problem, kind, seeds, steps, rates)

  began = time.perf_counter()
  raced = protocol.least(protocol.race(run, num_steps))
  between = time.perf_counter()
  whole = protocol.best_rate(run(protocol.LEARNING_RATES, num_steps))
  end = time.perf_counter()
  row = {"rival": name, "race_rate": raced, "grid_rate": whole}
  row |= {"race_seconds": between - began, "grid_seconds": end - between}
  print(
    f"  {name:10}{between - began:7.1f} s, {end - between:7.1f} s: {raced} and {whole}", flush=True
  )
  return row


if __name__ == "__main__":
  experiment_flags.run(main)
