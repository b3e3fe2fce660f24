"""`general` on wider and wider layers: python -m benchmarks.wide_layers [--out=...]

`LearnedOptimizer()` in Keras's `fit` beside Adam, at Keras's default rate and at the best of 30
(from coarse to fine, on other seeds), on MNIST by a network with two hidden layers of ReLU units.
Meta-training had layers of at most 48 units, and updates of larger matrices than of 64 columns are
not orthogonal. With 1,024 units there are 1.9 million weights. Every optimizer meets the same
theta_0 and the same minibatches of 128 for each seed. The loss is the mean over the last tenth of
them, each before its update; a step's time is that of the fastest run.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import time
from typing import Any

import keras
import numpy as np

from benchmarks import keras_experiments
from benchmarks import reports
import l2l_tf
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream
from l2l_tf.problems.datasets import SOURCES


def make_task(width: int, data: problems.datasets.Dataset) -> keras_experiments.Task:
  """Two hidden layers of `width` units, by Keras's own theta_0."""

  def make_model() -> keras.Model:
    hidden = [keras.layers.Dense(width, "relu") for _ in range(2)]
    return keras.Sequential([keras.Input((x.shape[1],)), *hidden, keras.layers.Dense(10)])

  x = data.images.reshape(len(data.images), -1).astype(np.float32) / 255
  loss = keras_experiments.CROSS_ENTROPY
  return keras_experiments.Task(make_model, x, data.labels, data.source, loss)


class Timed:
  """Runs of one optimizer, and the fastest of them."""

  def __init__(self, task: keras_experiments.Task, optimizer: Any, num_steps: int):
    self._runner = keras_experiments.Runner(task, optimizer, num_steps)
    self._num_steps = num_steps
    self.num_weights = self._runner.model.count_params()
    self.step_seconds = np.inf

  def losses(self, seeds: np.ndarray, rate: float | None = None) -> np.ndarray:
    """The losses after the run from each of the seeds, `[R]`; of what diverged infinity."""
    found = []
    for seed in seeds:
      began = time.perf_counter()
      curve = self._runner.run(seed, rate)
      self.step_seconds = min(self.step_seconds, (time.perf_counter() - began) / self._num_steps)
      found.append(curve[-max(self._num_steps // 10, 1) :].mean())
    return np.nan_to_num(found, nan=np.inf, posinf=np.inf)


def measured(
  task: keras_experiments.Task, num_steps: int, num_seeds: int, tuning_seeds: int
) -> dict[str, Any]:
  """The losses of the three after `num_steps`, the time of a step, and ratios of the losses."""
  seeds = keras_experiments.run_seeds(Stream.TEST, num_seeds)
  tuning = keras_experiments.run_seeds(Stream.TUNING, tuning_seeds)
  general = Timed(task, l2l_tf.LearnedOptimizer(), num_steps)
  adam = Timed(task, keras.optimizers.Adam(), num_steps)
  default = float(keras.optimizers.Adam().learning_rate)
  losses = {"general": general.losses(seeds), "adam": adam.losses(seeds, default)}
  final = protocol.coarse_to_fine(
    lambda rates: np.array([adam.losses(tuning, rate).mean() for rate in rates]),
    protocol.LEARNING_RATES,
  )
  rate = protocol.least(final, protocol.LEARNING_RATES)
  if rate is not None:
    losses["tuned_adam"] = adam.losses(seeds, rate)
  row = {"weights": general.num_weights, "rate": rate}
  for name, values in losses.items():
    row[name] = float(values.mean())
  for name in list(losses)[1:]:
    ratio = intervals.ratio_interval(losses["general"], losses[name])
    row |= reports.finite(f"over_{name}", ratio)
  row["step_seconds"], row["adam_step_seconds"] = general.step_seconds, adam.step_seconds
  return row | {"losses": {name: values.tolist() for name, values in losses.items()}}


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  data = problems.load("mnist", "train", flags.data)
  rows = []
  for width in flags.widths:
    task = make_task(width, data)
    row = measured(task, flags.num_steps, flags.num_seeds, flags.tuning_seeds)
    rows.append({"width": width, **row})
    print(reports.table([{k: v for k, v in rows[-1].items() if k != "losses"}]), flush=True)
  about = {"data": data.source, "num_steps": flags.num_steps}
  reports.write(__file__, flags, about | {"rows": rows})
  return 0


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "the results file")
  flags.add(tuple[int, ...], "widths", (256, 1024), "units of each hidden layer")
  flags.add(int, "num_steps", 500, "batches", bounds=(1, 10**6))
  flags.add(int, "num_seeds", 4, "reported runs of each optimizer", bounds=(2, 10**4))
  flags.add(int, "tuning_seeds", 1, "other runs, which pick Adam's rate", bounds=(1, 10**4))
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  return flags


if __name__ == "__main__":
  experiment_flags.run(main)
