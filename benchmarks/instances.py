"""B instances side by side: python -m benchmarks.instances [--out=benchmarks/instances.json]

Seconds an instance of an unroll of 20 steps on MNIST (inference), and of a meta-step on the
quadratics, for B instances in one call. Each B has a process of its own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from benchmarks import measuring
from benchmarks import reports
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.presets import PRESETS
from l2l_tf.optimizers import blocks
from l2l_tf.problems.base import Stream
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.training.meta_trainer import MetaTrainer


def inference(num_tasks: int, repeats: int, num_steps: int, data: str) -> dict[str, Any]:
  """Times unrolls on MNIST that are not differentiated."""
  blocks.use_a_thread_a_block()
  experiment = PRESETS["paper"]["mnist"]
  problem, _ = experiment.problem.replace(data=data).build()
  optimizer = blocks.split(experiment.optimizer.build(0))
  seeds = tf.constant(problem.seeds(0, Stream.TUNING, count=num_tasks))
  rollout = tf.function(
    lambda: unroll.rollout(problem, optimizer, seeds, num_steps), autograph=False
  )
  return _row("MNIST, unroll", num_tasks, measuring.measured(lambda: rollout().numpy(), repeats))


def meta_training(num_tasks: int, repeats: int) -> dict[str, Any]:
  """Times meta-steps on the quadratics."""
  blocks.use_a_thread_a_block()
  experiment = PRESETS["paper"]["quadratic"]
  training = experiment.training.replace(
    num_tasks=num_tasks, episodes_per_epoch=10**6, jit_compile=False
  )
  problem, _ = experiment.problem.build()
  trainer = MetaTrainer(problem, experiment.optimizer.build(0), training)
  return _row("quadratics, meta-step", num_tasks, measuring.measured(trainer.step, repeats))


def _row(what: str, num_tasks: int, figures: dict) -> dict[str, Any]:
  a_task = {"instance_s": figures["seconds"]["median"] / num_tasks}
  return {"what": what, "instances": num_tasks} | a_task | measuring.row(figures)


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[int, ...], "instances", tuple(2**k for k in range(9)), "values of B")
  flags.add(int, "num_steps", 20, "of an unroll on MNIST")
  flags.add(int, "repeats", 20, "timed unrolls and meta-steps")
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  if min(*flags.instances, flags.num_steps, flags.repeats) < 1:
    raise experiment_flags.UsageError("All numbers must be at least 1.")
  own = measuring.in_own_process
  rows = [own(inference, b, flags.repeats, flags.num_steps, flags.data) for b in flags.instances]
  rows += [own(meta_training, b, flags.repeats) for b in flags.instances]
  reports.report(__file__, flags, rows, num_steps=flags.num_steps)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
