"""Small valid results and visualizations, made of numbers that are known beforehand."""

from typing import Any

import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf import unroll
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import results
from l2l_tf.evaluation import statistics

MNIST = {"name": "mnist", "hidden": [20], "activation": "sigmoid"}


def curves(rate: float, num_runs: int = 6, num_steps: int = 20, seed: int = 0) -> np.ndarray:
  """Losses `[R, T+1]` that decay from 2.3 at `rate` a step, with some noise."""
  noise = np.random.default_rng(seed).normal(0, 0.05, (num_runs, num_steps + 1))
  return 2.3 * np.exp(-rate * np.arange(num_steps + 1) + noise)


def make(
  problem: dict[str, Any] = MNIST,
  num_steps: int = 20,
  learned: tuple[str, ...] = ("mnist_lstm",),
  **losses: np.ndarray,
) -> dict[str, Any]:
  """Results of `learned` and all rivals; `losses`, `[6, T+1]`, replace curves of their name."""
  rates = {name: 0.025 - 0.002 * i for i, name in enumerate([*learned, *optimizers.HAND_DESIGNED])}
  everybody = {name: curves(rate, 6, num_steps) for name, rate in rates.items()} | losses
  entries = {}
  for name, values in everybody.items():
    if name in learned:
      about = {"kind": "learned", "source": f"runs/{name}/best", "sha256": "0" * 64}
    else:
      grid = [1.0] * len(protocol.LEARNING_RATES)
      about = {"kind": "rival", "learning_rate": 0.1, "tuning_final_losses": grid}
    entries[name] = about | statistics.summary(values)
  return {
    "schema": results.SCHEMA,
    "command": "python bin/evaluate.py",
    "versions": {"commit": None},
    "data": "made up",
    "problem": problem,
    "num_steps": num_steps,
    "num_runs": 6,
    "tuning_runs": 2,
    "seed": 0,
    "streams": {"tuning": 2, "test": 3},
    "final_steps": unroll.FINAL_STEPS,
    "learning_rates": list(protocol.LEARNING_RATES),
    "optimizers": entries,
    **statistics.ratios(learned, tuple(optimizers.HAND_DESIGNED), everybody),
  }


def visualization() -> dict[str, Any]:
  """A small valid visualization of ten steps, two coordinates, nine panels of five values."""
  steps, swept = list(range(1, 10)), np.array([-2.0, -0.25, 0.0, 0.25, 2.0])
  entries = {}
  for c, name in enumerate(("a[0]", "b[1,2]")):
    gradients = np.cos(np.arange(10) + c)
    updates = {"learned": -0.1 * np.sign(gradients), "adam": 0.2 * gradients, "sgd": -gradients}
    sweeps = {"learned": -0.1 * np.sign(swept), "adam": 0.2 - 0.1 * swept, "sgd": -swept}
    entries[name] = {
      "gradients": gradients.tolist(),
      "updates": {n: u.tolist() for n, u in updates.items()},
      "swept_gradients": swept.tolist(),
      "swept_updates": {n: [u.tolist()] * len(steps) for n, u in sweeps.items()},
    }
  return {
    "schema": 1,
    "command": "python bin/visualize.py",
    "versions": {"commit": None},
    "data": "made up",
    "problem": {"name": "made up"},
    "optimizer": {"name": "some_lstm", "source": "runs/some_lstm/best", "sha256": "0" * 64},
    "seed": 0,
    "stream": 3,
    "tuning_runs": 1,
    "num_steps": 10,
    "steps": steps,
    "rivals": {"adam": {"learning_rate": 0.1}, "sgd": {"learning_rate": 1.0}},
    "losses": np.geomspace(2, 1, 11).tolist(),
    "coordinates": entries,
  }


def change(*path, to):
  """What puts `to` at `path` of a document, or with KeyError takes it away; a `pytest.param`."""

  def apply(value):
    for key in path[:-1]:
      value = value[key]
    if to is KeyError:
      del value[path[-1]]
    else:
      value[path[-1]] = to

  return pytest.param(apply, id=f"{'.'.join(map(str, path))}={str(to)[:20]}")
