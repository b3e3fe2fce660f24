"""Times one meta-step on MNIST: python benchmarks/meta_step.py [--data=bundled] [--repeats=30]

A meta-step is 20 optimization steps of the base MLP (15,910 coordinates, minibatch 128) by the
2 x 20 LSTM, backpropagation through them, and Adam on phi. Run it on an otherwise idle machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dataclasses
import resource
import sys
import time
from typing import Sequence

import numpy as np

from l2l_tf import blocks
from l2l_tf import command_line
from l2l_tf.experiments import PRESETS
from l2l_tf.meta_training import MetaTrainer
from problems import DataError


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = command_line.Flags(__doc__)
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py")
  flags.add(int, "repeats", 30, "timed meta-steps, after 5 that are not")
  flags.parse(argv)
  if flags.repeats < 1:
    raise command_line.UsageError(f"--repeats must be at least 1, got {flags.repeats}.")
  blocks.use_a_thread_a_block()
  experiment = PRESETS["paper"]["mnist"]
  problem, data = dataclasses.replace(experiment.problem, data=flags.data).build()
  trainer = MetaTrainer(problem, experiment.optimizer.build(0), experiment.training)
  data_peak = _peak_mib()
  began = time.perf_counter()
  trainer.step()
  first = time.perf_counter() - began
  for _ in range(4):
    trainer.step()
  seconds = []
  for _ in range(flags.repeats):
    began = time.perf_counter()
    trainer.step()
    seconds.append(time.perf_counter() - began)
  low, median, high = np.percentile(seconds, [10, 50, 90])
  print(f"{data}; {os.cpu_count()} cores")
  print(f"trace and first meta-step  {first:.2f} s")
  print(f"meta-step                  {median:.3f} s (10 % {low:.3f}, 90 % {high:.3f})")
  peak = _peak_mib()
  print(f"peak memory                {peak:.0f} MiB, of which the data {data_peak:.0f}")
  return 0


def _peak_mib() -> float:
  scale = 2**20 if sys.platform == "darwin" else 2**10
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


if __name__ == "__main__":
  command_line.run(main, (DataError,))
