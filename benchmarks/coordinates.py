"""Cost against coordinates: python -m benchmarks.coordinates [--out=benchmarks/coordinates.json]

The 2 x 20 LSTM: seconds of one step at inference, in Keras without XLA, and of one inner step in
meta-training on a bowl of n dimensions, which itself costs next to nothing; and the peak memory of
both, against the size of the states h and c. Each n has a process of its own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
from typing import Any

from benchmarks import keras_cost
from benchmarks import measuring
from benchmarks import reports
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.training import Training
from l2l_tf.optimizers import CoordinatewiseLSTM
from l2l_tf.optimizers import blocks
from l2l_tf.training.meta_trainer import MetaTrainer


def inference(n: int, repeats: int) -> dict[str, Any]:
  """Times steps of `LearnedOptimizer`; the states are among the memory that counts."""
  found = keras_cost.measure("tensorflow", "mnist_lstm", [(n,)], repeats)
  figures = {"seconds": {"median": found["median_s"]}, "peak": found["peak_mib"] * measuring.MIB}
  return _row("inference", n, figures, 1, found["bytes_a_parameter"] * n)


def meta_training(n: int, repeats: int, unroll_length: int) -> dict[str, Any]:
  """Times whole meta-steps."""
  blocks.use_a_thread_a_block()
  training = Training(
    num_steps=unroll_length,
    unroll_length=unroll_length,
    episodes_per_epoch=10**6,
    validation_runs=1,
  )
  baseline = measuring.resident_bytes()
  trainer = MetaTrainer(problems.bowl(n), CoordinatewiseLSTM(), training)
  figures = measuring.measured(trainer.step, repeats, baseline)
  size = sum(4 * 2 * units * n for units in trainer.optimizer.layer_sizes)
  return _row("meta-training", n, figures, unroll_length, size)


def _row(what: str, n: int, figures: dict, steps: int, state_bytes: int) -> dict[str, Any]:
  return {
    "what": what,
    "n": n,
    "step_s": figures["seconds"]["median"] / steps,
    "ns_a_coordinate": 1e9 * figures["seconds"]["median"] / steps / n,
    "state_mib": state_bytes / measuring.MIB,
    "peak_mib": figures["peak"] / measuring.MIB,
    "peak_over_state": figures["peak"] / state_bytes,
  }


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[int, ...], "inference", tuple(10**k for k in range(3, 8)), "values of n")
  flags.add(tuple[int, ...], "meta_training", tuple(10**k for k in range(3, 7)), "values of n")
  flags.add(int, "unroll_length", 5, "steps of a window in meta-training: memory grows with it")
  flags.add(int, "repeats", 20, "timed steps or meta-steps")
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  if min(*flags.inference, *flags.meta_training, flags.unroll_length, flags.repeats) < 1:
    raise experiment_flags.UsageError("All numbers must be at least 1.")
  own = measuring.in_own_process
  rows = [own(inference, n, flags.repeats) for n in flags.inference]
  for n in flags.meta_training:
    rows.append(own(meta_training, n, flags.repeats, flags.unroll_length))
  reports.report(__file__, flags, rows, unroll_length=flags.unroll_length)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
