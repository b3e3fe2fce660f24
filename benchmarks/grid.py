"""Tuning against the whole grid of the paper, run after run: python -m benchmarks.grid

Six rivals x 30 learning rates x 10 seeds x 100 steps of the MNIST base problem (section 3.2),
tracing included, nothing from the disk. The rates are picked by `baselines.tune`, as bin/train.py
and bin/evaluate.py do, then each from its whole grid, one instance after another, all rates of it
side by side. --out=FILE.json keeps the times and the rates. Run it on an otherwise idle machine.
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
  document = {"data": data, "num_steps": flags.num_steps, "tuning_runs": flags.tuning_runs}
  reports.write(__file__, flags, document | compared(problem, flags.tuning_runs, flags.num_steps))
  return 0


def compared(problem: Problem, num_runs: int, num_steps: int) -> dict[str, Any]:
  """How long tuning and the whole grids of the rivals take, and which rates they pick."""
  names = tuple(optimizers.HAND_DESIGNED)
  began = time.perf_counter()
  tuned = baselines.tune(problem, names, 0, num_steps, num_runs)
  seconds = time.perf_counter() - began
  print(f"  tuning all: {seconds:.1f} s", flush=True)
  rows = []
  for name in names:
    began = time.perf_counter()
    run = protocol.Grid(problem).runner(optimizers.HAND_DESIGNED[name])
    seeds = problem.seeds(0, Stream.TUNING, count=num_runs)
    curves = [run([seed], protocol.LEARNING_RATES, num_steps) for seed in seeds]
    rate = protocol.best_rate(np.concatenate(curves, axis=1))
    spent = time.perf_counter() - began
    rows.append({"rival": name, "tuned": tuned[name], "grid": rate, "grid_seconds": spent})
    print(f"  {name:10}{spent:7.1f} s: {tuned[name]} and {rate}", flush=True)
  ratio = seconds / sum(row["grid_seconds"] for row in rows)
  print(f"  all: {ratio:.2f} of the time on {os.cpu_count()} cores")
  return {"rows": rows, "tuning_seconds": seconds, "tuning_over_grid": ratio}


if __name__ == "__main__":
  experiment_flags.run(main)
