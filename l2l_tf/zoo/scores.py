"""The scores: pure functions of losses, NumPy in and out.

A curve is the loss by number of steps. Lower is better everywhere but in speed-ups.
"""

from collections.abc import Callable, Sequence
import functools
import math
from typing import NamedTuple

import numpy as np

LAST = 0.05  # the share of the steps whose mean is the final loss
FEWEST = 5  # steps at least
DIVERGED = 2.0  # times the first loss
MAX_RATIO = 100.0  # of losses, both ways: a run that is worse or diverged counts as much
REPETITIONS = 2000  # of the bootstrap
CONFIDENCE = 0.95


class Estimate(NamedTuple):
  """A number with the two ends of its 95 % interval."""

  value: float
  low: float
  high: float


def knots(num_steps: int, marks: Sequence[int] = ()) -> np.ndarray:
  """The steps at which a curve is kept: 48 in a decade, the marks and the last; int `[K]`."""
  grid = np.rint(10 ** (np.arange(48 * math.log10(num_steps) + 1) / 48)).astype(int)
  steps = np.unique([*grid, *marks, num_steps])
  return steps[steps <= num_steps]


def final_loss(losses: np.ndarray) -> np.ndarray:
  """The mean loss of the last 5 % of the steps, of five at least: `[..., T]` to `[...]`."""
  losses = np.asarray(losses, np.float64)
  num_steps = losses.shape[-1]
  start = max(min(math.floor((1 - LAST) * num_steps + 1e-9), num_steps - FEWEST), 0)
  return losses[..., start:].mean(-1)


def smoothed(losses: np.ndarray, steps: Sequence[int] | np.ndarray) -> np.ndarray:
  """The `final_loss` that each of these steps would have as the last.

  Note: Metz et al. average exponentially, with a lag of some 190 steps, longer than our shortest
  runs. This mean lags by 2.5 %, and it is what the final loss is.

  Args:
    losses: of T steps, `[T]` or `[..., T]`.
    steps: numbers of steps from 1 to T, `[K]`.

  Returns:
    `[K]` or `[..., K]`.
  """
  losses = np.asarray(losses, np.float64)
  return np.stack([final_loss(losses[..., :t]) for t in steps], -1)


def monotone(curve: np.ndarray) -> np.ndarray:
  """The lowest value so far, `[T]`; what is not finite is never reached."""
  curve = np.where(np.isfinite(curve), curve, np.inf)
  return np.minimum.accumulate(curve)


def steps_to_reach(level: float, steps: np.ndarray, curve: np.ndarray) -> float:
  """How many steps a monotone curve takes to come down to a level.

  Args:
    level: a loss.
    steps: increasing, `[K]`.
    curve: the losses at these steps, never rising, `[K]`; linear between them.

  Returns:
    0 for a level above the first loss or one that is not finite, the last step for one never
    reached; within a flat stretch its first step.
  """
  if not np.isfinite(level) or level > curve[0]:
    return 0.0
  reached = np.flatnonzero(curve <= level)
  if not reached.size:
    return float(steps[-1])
  k = int(reached[0])
  if k == 0 or not np.isfinite(curve[k - 1]):
    return float(steps[k])
  share = (curve[k - 1] - level) / (curve[k - 1] - curve[k])
  return float(steps[k - 1] + share * (steps[k] - steps[k - 1]))


def speed_up(final: float, horizon: int, steps: np.ndarray, curve: np.ndarray, cap: float) -> float:
  """How many times as many steps the rival with this curve needs to a final loss.

  Args:
    final: the loss that was reached.
    horizon: after how many steps.
    steps: see `steps_to_reach`.
    curve: of the rival, see `steps_to_reach`.
    cap: the largest speed-up that is told, as the rival was not run longer.
  """
  return min(steps_to_reach(final, steps, curve) / horizon, cap)


def log_ratio(final: np.ndarray, reference: np.ndarray) -> np.ndarray:
  """log(final / reference), at most log(100) both ways; what is not finite counts as that bad."""
  final, reference = np.asarray(final, np.float64), np.asarray(reference, np.float64)
  limit = math.log(MAX_RATIO)
  with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
    ratio = np.log(final) - np.log(reference)
  ratio = np.where(np.isfinite(final), ratio, limit)
  ratio = np.where(np.isfinite(final) & ~np.isfinite(reference), -limit, ratio)
  ratio = np.where(final == reference, 0.0, ratio)
  return np.clip(ratio, -limit, limit)


def diverged(first: float, final: float) -> bool:
  """Whether a run ended above twice its first loss, or at no number."""
  return not final <= DIVERGED * first


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
  """The mean of the middle half, 25 % cut off at each end, as rliable's: `[..., N]` to `[...]`."""
  values = np.sort(np.asarray(scores, np.float64), -1)
  cut = int(0.25 * values.shape[-1])
  return values[..., cut : values.shape[-1] - cut].mean(-1)


def mean(scores: np.ndarray) -> np.ndarray:
  """The mean over the last axis: `[..., N]` to `[...]`."""
  return np.mean(scores, -1)


def bootstrap(
  scores: Sequence[np.ndarray], statistic: Callable[[np.ndarray], np.ndarray] = interquartile_mean
) -> Estimate:
  """A statistic of the scores of all tasks and its percentile interval.

  Stratified: the runs of each task are drawn anew from that task's (Agarwal et al. 2021, arXiv
  2108.13264), 2,000 times, from a fixed seed. The tasks stay the same.

  Args:
    scores: for each task those of its runs, `[runs]` each.
    statistic: of all scores in one vector: `[..., N]` to `[...]`.
  """
  rng = np.random.default_rng(0)
  draws = [s[rng.integers(len(s), size=[REPETITIONS, len(s)])] for s in map(np.asarray, scores)]
  values = statistic(np.concatenate(draws, 1))
  tail = 50 * (1 - CONFIDENCE)
  low, high = np.percentile(values, [tail, 100 - tail])
  return Estimate(float(statistic(np.concatenate(scores))), float(low), float(high))


def lost(log_ratios: np.ndarray) -> bool:
  """Whether a task is lost: the interval of the mean log ratio of its runs lies above 0."""
  return _interval(tuple(log_ratios)).low > 0


def won(log_ratios: np.ndarray) -> bool:
  """Whether a task is won: the interval of the mean log ratio of its runs lies below 0."""
  return _interval(tuple(log_ratios)).high < 0


@functools.lru_cache(maxsize=2**14)
def _interval(log_ratios: tuple[float, ...]) -> Estimate:
  """The interval of the mean of a task's runs: a page asks for each several times."""
  return bootstrap([np.array(log_ratios)], mean)


def profile(scores: Sequence[np.ndarray], levels: np.ndarray) -> np.ndarray:
  """The share of runs that are better (lower) than each level: the mean over tasks, `[K]`."""
  shares = [(np.asarray(s)[:, np.newaxis] < levels).mean(0) for s in scores]
  return np.mean(shares, 0)
