"""Longer unrolls: python -m benchmarks.long_unrolls [--option=NAME] [--out=...]

Meta-steps on MNIST with windows of 20 and of 80 steps: seconds an inner step, and peak memory.
--option names an option of meta-training that saves memory, and measures all windows with it too.
Each row has a process of its own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import dataclasses
from typing import Any, Sequence

from benchmarks import measuring
from l2l_tf import blocks
from l2l_tf import command_line
from l2l_tf.experiments import PRESETS
from l2l_tf.meta_training import MetaTrainer
from l2l_tf.training_options import Training
from problems import DataError


def measure(unroll_length: int, repeats: int, data: str, options: dict) -> dict[str, Any]:
  """Times meta-steps of one window each."""
  blocks.use_a_thread_a_block()
  experiment = PRESETS["paper"]["mnist"]
  problem, _ = dataclasses.replace(experiment.problem, data=data).build()
  training = dataclasses.replace(
    experiment.training,
    num_steps=unroll_length,
    unroll_length=unroll_length,
    episodes_per_epoch=10**6,
    **options,
  )
  trainer = MetaTrainer(problem, experiment.optimizer.build(0), training)
  figures = measuring.measured(trainer.step, repeats)
  return {
    "unroll_length": unroll_length,
    "option": " ".join(f"{name}={value}" for name, value in options.items()) or None,
    "step_s": figures["seconds"]["median"] / unroll_length,
    **measuring.row(figures),
  }


def parse_option(text: str) -> dict[str, Any]:
  """Returns {"name": True} for "name" and {"name": 3} for "name=3"; they are of `Training`.

  Raises:
    UsageError: if there is no such option, or it does not take such a value.
  """
  name, _, value = text.partition("=")
  options = {name: int(value) if value.isdecimal() else value or True}
  try:
    Training.from_dict(options)
  except ValueError as error:
    raise command_line.UsageError(f"--option={text}: {error}") from error
  return options


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = command_line.Flags(__doc__)
  flags.add(tuple[int, ...], "unroll_lengths", (20, 80), "steps of a window")
  flags.add(str, "option", None, "of meta-training (bin/train.py --help): NAME, or NAME=NUMBER")
  flags.add(int, "repeats", 20, "timed meta-steps")
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py")
  flags.add(str, "out", None, "JSON file to write")
  flags.parse(argv)
  if min(*flags.unroll_lengths, flags.repeats) < 1:
    raise command_line.UsageError("All numbers must be at least 1.")
  variants = [{}, parse_option(flags.option)] if flags.option else [{}]
  rows = [
    measuring.in_own_process(measure, length, flags.repeats, flags.data, options)
    for options in variants
    for length in flags.unroll_lengths
  ]
  for row in rows:
    row["step_over_first"] = row["step_s"] / rows[0]["step_s"]
    row["peak_over_first"] = measuring.ratio(row["peak_mib"], rows[0]["peak_mib"])
  measuring.report(rows, flags.out)
  return 0


if __name__ == "__main__":
  command_line.run(main, (DataError, OSError))
