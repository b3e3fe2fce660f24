"""Optimizers younger than the paper: python -m benchmarks.modern_rivals [--out=...]

In the paper's protocol, on MNIST as in results/mnist_*.json: each of them gets the rate, of the
same 30, with the best final loss on the same tuning instances, and runs on the same fresh ones as
`mnist_lstm` and `general`.
Lion as in Keras; Muon as in Keras, with Adam for vectors, at the same rate; NAdamW with a warm-up
of a twentieth of the steps and a cosine to 0, which alone knows how many steps there will be. There
is no weight decay, as the training loss is what counts.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple

import numpy as np
import sonnet as snt
import tensorflow as tf

from benchmarks import reports
from l2l_tf import pretrained
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import problems
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.optimizers import base
from l2l_tf.optimizers import hand_designed
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
from l2l_tf.rule import matrices
from l2l_tf.rule import ops
from l2l_tf.storage import optimizer_files

OURS = ("mnist_lstm", pretrained.GENERAL)
SEED = 0  # of the experiment, as in results/mnist_*.json
WARM_UP = 0.05  # of the steps
SCALE = 0.2  # of Muon's update, times the root of the longer side (Liu et al. 2025)


class Lion(hand_designed.HandDesigned):
  """Chen et al. 2023, beta = (0.9, 0.99): update = -rate sign(0.9 m + 0.1 g)."""

  def initial_slots(self, zeros: tf.Tensor) -> tf.Tensor:
    return zeros  # m, moving average of g

  def update(self, g: tf.Tensor, slots: Any, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    return -rate * tf.sign(0.9 * slots + 0.1 * g), 0.99 * slots + 0.01 * g


class NAdamW(hand_designed.HandDesigned):
  """Dozat 2016 with beta = (0.9, 0.999), the rate rising over `WARM_UP`, then falling to 0."""

  def __init__(self, learning_rate: Any, num_steps: int):
    super().__init__(learning_rate)
    self._num_steps = num_steps

  def initial_slots(self, zeros: tf.Tensor) -> hand_designed.AdamSlots:
    return hand_designed.AdamSlots(zeros, zeros, tf.zeros([], zeros.dtype))

  def update(self, g: tf.Tensor, slots: Any, rate: tf.Tensor) -> tuple[tf.Tensor, Any]:
    t = slots.t + 1
    m, v = 0.9 * slots.m + 0.1 * g, 0.999 * slots.v + 0.001 * g**2
    ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
    direction = ahead / (tf.sqrt(v / (1 - 0.999**t)) + 1e-8)
    rise = max(1.0, WARM_UP * self._num_steps)
    fall = 0.5 * (1 + tf.cos(math.pi * slots.t / self._num_steps))
    return -rate * tf.minimum(t / rise, 1.0) * fall * direction, hand_designed.AdamSlots(m, v, t)


class MuonState(NamedTuple):
  """What Muon keeps."""

  momentum: dict[str, tf.Tensor]  # of matrices
  adam: Any  # of vectors


@snt.allow_empty_variables
class Muon(base.Optimizer):
  """Jordan et al. 2024: orthogonal updates of matrices along Nesterov's momentum of 0.95.

  Five rounds of Newton and Schulz's iteration, of RMS 0.2 sqrt(longer side / rank) or so.
  """

  def __init__(self, learning_rate: Any):
    super().__init__()
    self.learning_rate = learning_rate
    self._adam = hand_designed.Adam(learning_rate)

  def initial_state(self, params: base.Params) -> MuonState:
    matrices, vectors = _apart(params)
    return MuonState(
      {name: tf.zeros_like(x) for name, x in matrices.items()}, self._adam.initial_state(vectors)
    )

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    matrices, vectors = _apart(gradients)
    momentum = {name: 0.95 * state.momentum[name] + g for name, g in matrices.items()}
    updates, adam = self._adam(vectors, state.adam)
    for name, g in matrices.items():
      rate = tf.reshape(tf.cast(self.learning_rate, g.dtype), [-1] + [1] * (len(g.shape) - 1))
      turned = _with_unit_singular_values(g + 0.95 * momentum[name])
      updates[name] = -rate * SCALE * max(g.shape[1:]) ** 0.5 * turned
    return {name: updates[name] for name in gradients}, MuonState(momentum, adam)


def _apart(tensors: base.Params) -> tuple[base.Params, base.Params]:
  """The matrices, and the vectors."""
  is_matrix = {name: len(x.shape) == 3 for name, x in tensors.items()}
  return tuple({n: x for n, x in tensors.items() if is_matrix[n] == one} for one in (True, False))


def _with_unit_singular_values(x: tf.Tensor) -> tf.Tensor:
  """`[B, r, c]`, singular values near 1: the norm of all is the root of how many there are."""
  found = matrices.orthogonal(ops.of("tensorflow"), x, rounds=5)
  norm = tf.sqrt(tf.reduce_sum(found**2, [1, 2], keepdims=True))
  return tf.math.divide_no_nan(found, norm) * min(x.shape[1:]) ** 0.5


RIVALS: dict[str, Callable[[Any, int], base.Optimizer]] = {
  "Muon": lambda rate, _: Muon(rate),
  "NAdamW with a cosine": NAdamW,
  "Lion": lambda rate, _: Lion(rate),
}
SETTINGS: dict[str, tuple[dict[str, Any], int]] = {  # of Mnist, and steps
  "mnist_100": ({}, 100),
  "mnist_200": ({}, 200),
  "mnist_40": ({"hidden": (40,)}, 100),
  "mnist_2x20": ({"hidden": (20, 20)}, 100),
  "mnist_relu": ({"activation": "relu"}, 100),
}


def measured(name: str, problem: Problem, num_steps: int, num_runs: int, tuning_runs: int) -> dict:
  """How `OURS` and `RIVALS` do on one setting.

  Returns:
    Of each rival its rate, the mean of its final losses with half the width of the interval, and
    the ratio of the final losses of each of `OURS` to its own, paired over instances.
  """
  tuning = problem.seeds(SEED, Stream.TUNING, count=tuning_runs)
  seeds = problem.seeds(SEED, Stream.TEST, count=num_runs)
  ours = {}
  for one in OURS:
    optimizer, _ = optimizer_files.load_optimizer(pretrained.find(one))
    ours[one] = protocol.final_losses(protocol.curves(problem, optimizer, seeds, num_steps))
  rows = []
  for rival, make in RIVALS.items():
    grid = protocol.grid_curves(problem, lambda k, make=make: make(k, num_steps), tuning, num_steps)
    rate = protocol.best_rate(grid)
    curves = protocol.lost(num_runs, num_steps)
    if rate is not None:
      curves = protocol.curves(problem, make(rate, num_steps), seeds, num_steps)
    final = protocol.final_losses(curves)
    mean = intervals.interval(final)
    row = {"setting": name, "rival": rival, "learning_rate": rate, **reports.finite("final", mean)}
    for one, losses in ours.items():
      row |= reports.finite(f"{one}_over_it", intervals.ratio_interval(losses, final))
    rows.append(row)
  return {"rows": rows, "ours": {one: float(np.mean(losses)) for one, losses in ours.items()}}


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  rows: list[dict] = []
  ours = {}
  for name in (
    SETTINGS if flags.settings is None else [n for group in flags.settings for n in group]
  ):
    if name not in SETTINGS:
      raise experiment_flags.UsageError(f"Unknown setting {name!r}; known: {', '.join(SETTINGS)}.")
    options, num_steps = SETTINGS[name]
    problem, data = problems.Mnist(**options).build()
    found = measured(name, problem, num_steps, flags.num_runs, flags.tuning_runs)
    rows += found["rows"]
    ours[name] = found["ours"]
  reports.report(
    __file__, flags, rows, data=data, num_runs=flags.num_runs, seed=SEED, final_losses=ours
  )
  return 0


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "the results file")
  flags.add(tuple[str, ...], "settings", None, f"of {', '.join(SETTINGS)}; default all")
  flags.add(int, "num_runs", 100, "fresh instances", bounds=(2, 10**5))
  flags.add(int, "tuning_runs", 10, "instances that pick the rates", bounds=(1, 10**4))
  return flags


if __name__ == "__main__":
  experiment_flags.run(main)
