"""Memory over many meta-steps: python -m benchmarks.flat_memory [--out=benchmarks/flat_memory.json]

Meta-training on MNIST as the paper has it; the resident memory of the process after every so many
meta-steps. Flat means that the last rows equal the first ones.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import gc

from benchmarks import measuring
from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.presets import PRESETS
from l2l_tf.optimizers import blocks
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.training.meta_trainer import MetaTrainer


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  flags.add(int, "meta_steps", 1000, "all together")
  flags.add(int, "every", 50, "meta-steps between two rows")
  flags.add(int, "unroll_length", 20, "optimization steps a meta-step, of 100 an episode")
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  if not 1 <= flags.every <= flags.meta_steps:
    raise experiment_flags.UsageError(
      f"--every must be of 1..{flags.meta_steps} (--meta_steps), got {flags.every}."
    )
  if flags.unroll_length < 1 or 100 % flags.unroll_length:
    raise experiment_flags.UsageError(
      f"--unroll_length must divide 100, got {flags.unroll_length}."
    )
  blocks.use_a_thread_a_block()
  experiment = PRESETS["paper"]["mnist"]
  problem, data = experiment.problem.replace(data=flags.data).build()
  baseline = measuring.resident_bytes()
  # One epoch, as validation has a memory of its own.
  training = experiment.training.replace(
    episodes_per_epoch=10**6, unroll_length=flags.unroll_length
  )
  trainer = MetaTrainer(problem, experiment.optimizer.build(0), training)
  rows = []
  measuring.reset_peak()
  for step in range(1, flags.meta_steps + 1):
    trainer.step()
    if step % flags.every == 0:
      gc.collect()
      resident = (measuring.resident_bytes() - baseline) / measuring.MIB
      peak = (measuring.peak_bytes() - baseline) / measuring.MIB
      rows.append({"meta_steps": step, "resident_mib": resident, "peak_mib": peak})
      measuring.reset_peak()
  reports.report(__file__, flags, rows, data=data)
  first, last = rows[len(rows) // 10]["peak_mib"], rows[-1]["peak_mib"]
  print(
    f"peak after {rows[len(rows) // 10]['meta_steps']} meta-steps to the end: {last - first:+.1f}"
  )
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
