"""Scores of an optimizer against default and tuned Adam, from results files."""

from collections.abc import Mapping
import functools
import json
import os
from typing import Any, NamedTuple

import numpy as np

from l2l_tf.zoo import protocol
from l2l_tf.zoo import scores
from l2l_tf.zoo.protocol import HELD_OUT_FAMILIES
from l2l_tf.zoo.protocol import TRAINING_FAMILIES

DEFAULT = "Adam"
SPLITS = {"held-out": HELD_OUT_FAMILIES, "training": TRAINING_FAMILIES}
_BASELINES = os.path.join(os.path.dirname(__file__), "baselines", "lo_baselines.json")

Row = dict[str, Any]


class Comparison(NamedTuple):
  """One optimizer on one task at one horizon against another.

  Attributes:
    row: of the optimizer.
    log_ratios: of final losses, a seed each; below 0 is better.
    speed_ups: a seed each; none where the other's file has no curves.
    generalizes: whether the held-out metric is better, in the mean over the seeds.
  """

  row: Row
  log_ratios: np.ndarray
  speed_ups: np.ndarray
  generalizes: bool


class Score(NamedTuple):
  """One optimizer over tasks at one horizon.

  Attributes:
    log_ratio: interquartile mean over all runs, with its interval.
    speed_up: the same of speed-ups.
    num_tasks: how many.
    won: on how many the interval of the log ratio lies below 0.
    lost: on how many above.
    generalizes: on how many the held-out metric is better.
    worst: the task with the highest mean log ratio, and this.
    diverged: the share of runs.
  """

  log_ratio: scores.Estimate
  speed_up: scores.Estimate
  num_tasks: int
  won: int
  lost: int
  generalizes: int
  worst: tuple[str, float]
  diverged: float


def compare(row: Row, reference: Row) -> Comparison | None:
  """Two rows of one task and horizon, of the seeds that both have; None if they differ.

  They differ if the task's definition or the data do: such losses tell nothing of each other.
  """
  keys = ("task", "horizon", "definition", "data")
  seeds = [seed for seed in row["seeds"] if seed in reference["seeds"]]
  if any(row[key] != reference[key] for key in keys) or not seeds:
    return None
  finals = [_by_seed(each, "final", seeds) for each in (row, reference)]
  held_out = [float(_by_seed(each, "held_out", seeds).mean()) for each in (row, reference)]
  sign = 1 if "accuracy" in row["metric"] else -1
  speed_ups = []
  if "curve" in reference:
    steps, curve = np.array(reference["curve"]["steps"]), _finite(reference["curve"]["loss"])
    horizon, cap = row["horizon"], protocol.REACH[row["horizon"]]
    speed_ups = [scores.speed_up(final, horizon, steps, curve, cap) for final in finals[0]]
  better = sign * held_out[0] > sign * held_out[1] or (
    np.isfinite(held_out[0]) and not np.isfinite(held_out[1])
  )
  return Comparison(row, scores.log_ratio(*finals), np.array(speed_ups), better)


def comparisons(document: dict[str, Any], reference: dict[str, Any]) -> list[Comparison]:
  """All rows that the two results files have in common."""
  others = {(row["task"], row["horizon"]): row for row in reference["rows"]}
  pairs = [(row, others.get((row["task"], row["horizon"]))) for row in document["rows"]]
  found = [compare(row, other) for row, other in pairs if other is not None]
  return [comparison for comparison in found if comparison is not None]


class Results(dict[str, dict[str, Any]]):
  """Results files by optimizer; what two of them have in common is computed once."""

  def __init__(self, results: Mapping[str, dict[str, Any]]):
    super().__init__(results)
    self._found: dict[tuple[str, str], list[Comparison]] = {}

  def against(self, name: str, reference: str) -> list[Comparison]:
    """The rows of an optimizer against those of another; none if a file is missing."""
    if name not in self or reference not in self:
      return []
    pair = name, reference
    if pair not in self._found:
      self._found[pair] = comparisons(self[name], self[reference])
    return self._found[pair]


def score(found: list[Comparison]) -> Score:
  """Sums up comparisons of one horizon."""
  ratios = [c.log_ratios for c in found]
  means = {c.row["task"]: float(c.log_ratios.mean()) for c in found}
  worst = max(means, key=means.__getitem__)
  diverged = [flag for c in found for flag in c.row["diverged"]]
  return Score(
    scores.bootstrap(ratios),
    scores.bootstrap([c.speed_ups for c in found]),
    len(found),
    sum(map(scores.won, ratios)),
    sum(map(scores.lost, ratios)),
    sum(c.generalizes for c in found),
    (worst, means[worst]),
    float(np.mean(diverged)),
  )


def of_split(found: list[Comparison], split: str, horizon: int) -> list[Comparison]:
  """Those of the families of a split, at one horizon."""
  families = SPLITS[split]
  return [c for c in found if c.row["family"] in families and c.row["horizon"] == horizon]


def published_score(row: Row) -> float:
  """Steps that the best of 60 published baselines needs to the loss, over ours: 1 is as good.

  Metz et al. 2022; see zoo/tasks/published.py. 0 for a run that diverged, at most 10.
  """
  if None in row["fresh_loss"]:
    return 0.0
  bars = _published()[row["task"]]
  steps, losses = np.array(bars["steps"]), np.array(bars["best_loss"])
  return scores.steps_to_reach(float(np.mean(row["fresh_loss"])), steps, losses) / row["horizon"]


@functools.cache
def _published() -> dict[str, dict[str, list[float]]]:
  with open(_BASELINES, encoding="utf-8") as file:
    return json.load(file)


def _by_seed(row: Row, key: str, seeds: list[int]) -> np.ndarray:
  by_seed = dict(zip(row["seeds"], row[key]))
  return np.array([by_seed[seed] for seed in seeds], np.float64)  # None becomes NaN


def _finite(values: list[float | None]) -> np.ndarray:
  """Null is an infinite loss."""
  return np.array([np.inf if value is None else value for value in values])
