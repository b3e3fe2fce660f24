"""Tuning against the whole grid of the paper, run after run: python -m benchmarks.grid

Six rivals x 30 learning rates x 10 seeds x 100 steps of the MNIST base problem (section 3.2), as
bin/evaluate.py runs it: tracing included, nothing from the disk. Each rival's rate is picked as
`baselines.tune` does, then from the whole grid, one instance after another, all rates of it side by
side. --out=FILE.json keeps the times and the rates. Run it on an otherwise idle machine.
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
from l2l_tf.evaluation import baselines
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
  names = optimizers.HAND_DESIGNED
  rows = [compared(problem, name, flags.tuning_runs, flags.num_steps) for name in names]
  document = {"data": data, "num_steps": flags.num_steps, "tuning_runs": flags.tuning_runs}
  total = sum(row["tuning_seconds"] for row in rows) / sum(row["grid_seconds"] for row in rows)
  print(f"  all: {total:.2f} of the time on {os.cpu_count()} cores")
  reports.write(__file__, flags, document | {"rows": rows, "tuning_over_grid": total})
  return 0


def compared(problem: Problem, name: str, num_runs: int, num_steps: int) -> dict[str, Any]:
  """How long tuning and the whole grid of a rival take, and which rates they pick."""
  began = time.perf_counter()
  tuned = baselines.tune(problem, (name,), 0, num_steps, num_runs)[name]
  between = time.perf_counter()
  run = protocol.grid_runner(problem, optimizers.HAND_DESIGNED[name])
  seeds = problem.seeds(0, Stream.TUNING, count=num_runs)
  curves = [run([seed], protocol.LEARNING_RATES, num_steps) for seed in seeds]
  whole = protocol.best_rate(np.concatenate(curves, axis=1))
  end = time.perf_counter()
  row = {"rival": name, "tuned_rate": tuned, "grid_rate": whole}
  row |= {"tuning_seconds": between - began, "grid_seconds": end - between}
  print(
    f"  {name:10}{between - began:7.1f} s, {end - between:7.1f} s: {tuned} and {whole}", flush=True
  )
  return row


if __name__ == "__main__":
  experiment_flags.run(main)
