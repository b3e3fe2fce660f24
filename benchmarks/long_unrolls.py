"""Longer unrolls: python -m benchmarks.long_unrolls [--out=benchmarks/long_unrolls.json]

Meta-steps on MNIST with windows of 20 and of 80 steps: seconds an inner step, and peak memory,
plain and with recomputation in segments (--meta_gradient=segments:S of bin/train.py). Each row has
a process of its own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
from typing import Any

from benchmarks import measuring
from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.presets import PRESETS
from l2l_tf.optimizers import blocks
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.training.meta_trainer import MetaTrainer


def measure(unroll_length: int, repeats: int, data: str, segment_length: int) -> dict[str, Any]:
  """Times meta-steps of one window each."""
  blocks.use_a_thread_a_block()
  experiment = PRESETS["paper"]["mnist"]
  problem, _ = experiment.problem.replace(data=data).build()
  training = experiment.training.replace(
    num_steps=unroll_length,
    unroll_length=unroll_length,
    episodes_per_epoch=10**6,
    meta_gradient=f"segments:{segment_length}" if segment_length else "full",
  )
  trainer = MetaTrainer(problem, experiment.optimizer.build(0), training)
  figures = measuring.measured(trainer.step, repeats)
  return {
    "unroll_length": unroll_length,
    "segment_length": segment_length,
    "step_s": figures["seconds"]["median"] / unroll_length,
    **measuring.row(figures),
  }


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[int, ...], "unroll_lengths", (20, 80), "steps of a window")
  flags.add(tuple[int, ...], "segment_lengths", (5, 10), "steps whose activations are kept")
  flags.add(int, "repeats", 20, "timed meta-steps")
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  lengths, segments = flags.unroll_lengths, flags.segment_lengths
  if min(*lengths, *segments, flags.repeats) < 1:
    raise experiment_flags.UsageError("All numbers must be at least 1.")
  pairs = [(length, segment) for segment in segments for length in lengths if segment < length]
  if any(length % segment for length, segment in pairs):
    raise experiment_flags.UsageError(
      f"--unroll_lengths={lengths} must be multiples of --segment_lengths={segments}."
    )
  pairs = [(length, 0) for length in lengths] + pairs
  rows = [
    measuring.in_own_process(measure, length, flags.repeats, flags.data, segment)
    for length, segment in pairs
  ]
  for row in rows:
    row["step_over_first"] = row["step_s"] / rows[0]["step_s"]
    row["peak_over_first"] = measuring.ratio(row["peak_mib"], rows[0]["peak_mib"])
  reports.report(__file__, flags, rows)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
