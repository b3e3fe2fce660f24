"""Times one meta-step on MNIST: python -m benchmarks.meta_step [--data=bundled] [--repeats=30]

A meta-step is 20 optimization steps of the base MLP (15,910 coordinates, minibatch 128) by the
2 x 20 LSTM, backpropagation through them, and Adam on phi. Run it on an otherwise idle machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence

from benchmarks import measuring
from l2l_tf.cli import experiment_flags
from l2l_tf.config.presets import PRESETS
from l2l_tf.optimizers import blocks
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.training.meta_trainer import MetaTrainer


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  flags.add(int, "repeats", 30, "timed meta-steps, after 2 that are not")
  flags.parse(argv)
  if flags.repeats < 1:
    raise experiment_flags.UsageError(f"--repeats must be at least 1, got {flags.repeats}.")
  blocks.use_a_thread_a_block()
  experiment = PRESETS["paper"]["mnist"]
  problem, data = experiment.problem.replace(data=flags.data).build()
  trainer = MetaTrainer(problem, experiment.optimizer.build(0), experiment.training)
  data_mib = measuring.resident_bytes() / measuring.MIB
  figures = measuring.measured(trainer.step, flags.repeats, baseline=0)
  low, median, high = (figures["seconds"][key] for key in ("low", "median", "high"))
  peak = max(figures["first_peak"], figures["peak"]) / measuring.MIB
  print(f"{data}; {os.cpu_count()} cores")
  print(f"trace and first meta-step  {figures['first_seconds']:.2f} s")
  print(f"meta-step                  {median:.3f} s (10 % {low:.3f}, 90 % {high:.3f})")
  print(f"peak memory                {peak:.0f} MiB, of which {data_mib:.0f} before the first")
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
