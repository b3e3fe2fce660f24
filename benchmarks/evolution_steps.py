"""Inner steps a second of evolution strategies: python -m benchmarks.evolution_steps [--out=X.json]

A process a core takes meta-steps of `EvolutionTrainer`, 16 pairs for 100 steps, on each problem of
benchmarks/ablation.py in turn; an inner step is a step of one instance. The figure of a problem is
the sum over the processes, that of all is the harmonic mean. Tracing and compilation, some ten
seconds a problem, are not counted.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import multiprocessing
import time

from benchmarks import ablation
from benchmarks import measuring
from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.optimizers import general
from l2l_tf.problems import base
from l2l_tf.training.evolution_trainer import EvolutionTrainer

STEPS = 100


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.add(int, "repeats", 10, "meta-steps that are timed, of each problem", bounds=(1, 1000))
  count = len(measuring.cpus())
  flags.add(int, "processes", count, "side by side, one core each", bounds=(1, 64))
  flags.parse(argv)
  names = list(ablation.problems(False).problems)
  context = multiprocessing.get_context("spawn")
  barrier = context.Barrier(flags.processes)
  with context.Pool(flags.processes, _alone, (barrier,)) as pool:
    found = pool.starmap(_measure, [(names, flags.repeats)] * flags.processes, 1)
  rates = {name: sum(rows[name] for rows in found) for name in names}
  rates["all"] = len(names) / sum(1 / rate for rate in rates.values())
  rows = [{"problem": name, "inner_steps_per_second": rate} for name, rate in rates.items()]
  reports.report(__file__, flags, rows, pairs=ablation.PAIRS, steps=STEPS)
  return 0


def _measure(names: Sequence[str], repeats: int) -> dict[str, float]:
  """Inner steps a second of this process, while the others do the same."""
  rates = {}
  for name in names:
    step = _meta_step(name)
    step()  # compiles
    _barrier.wait()
    began = time.perf_counter()
    for _ in range(repeats):
      step()
    rates[name] = repeats * 2 * ablation.PAIRS * STEPS / (time.perf_counter() - began)
  return rates


def _meta_step(name: str):
  whole = ablation.problems(False)
  one = base.Mixture({name: whole.problems[name]}, {name: 1.0}, whole.validation, whole.digest)
  config = ablation.training(STEPS, STEPS, 10**4, 0)
  return EvolutionTrainer(one, general.General(), config).step


def _alone(barrier):
  """One core for this process, which waits for the others before each problem."""
  global _barrier
  _barrier = barrier
  ablation.alone()


if __name__ == "__main__":
  experiment_flags.run(main)
