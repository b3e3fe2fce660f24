"""Time of the rivals' whole grid: python -m benchmarks.grid [--out=benchmarks/grid.json]

Six rivals x 30 learning rates x 10 seeds x 100 steps of the MNIST base problem (section 3.2), as
bin/evaluate.py runs it: tracing included, nothing from the disk. The bound is five minutes on two
cores.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import time

from benchmarks import reports
from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream

RUNS, STEPS = 10, 100


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.group("Problem")
  experiment_flags.add_problem(flags, "what the rivals are tuned on")
  flags.parse(argv)
  options = experiment_flags.problem(flags)
  problem, data = options.build()
  print(f"{data}; {len(protocol.LEARNING_RATES)} rates x {RUNS} seeds x {STEPS} steps")
  seeds = problem.seeds(0, Stream.TUNING, count=RUNS)
  rows = {}
  for name, make in optimizers.HAND_DESIGNED.items():
    began = time.perf_counter()
    grid = protocol.grid_curves(problem, make, seeds, STEPS)
    rows[name] = time.perf_counter() - began
    print(f"  {name:10}{rows[name]:7.1f} s   best rate {protocol.best_rate(grid):.3g}", flush=True)
  total = sum(rows.values())
  print(f"  {'all':10}{total:7.1f} s on {os.cpu_count()} cores")
  reports.write(__file__, flags, {"data": data, "seconds": rows, "total_seconds": total})
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
