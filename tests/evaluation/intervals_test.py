"""Tests of the intervals: they cover as often as they say, and equal values by hand."""

import numpy as np
import pytest

from l2l_tf.evaluation import intervals


def test_interval_covers_the_mean_95_times_in_100():
  rng = np.random.default_rng(0)
  hits = 0
  for _ in range(4000):
    mean, half = intervals.interval(rng.normal(3.0, 2.0, size=5))
    hits += abs(mean - 3.0) <= half
  assert hits / 4000 == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors


def test_interval_by_hand():
  mean, half = intervals.interval(np.array([1.0, 2.0, 3.0]))
  assert mean == 2.0 and half == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
  assert str(intervals.Interval(0.123456, 0.0321)) == "0.1235 ± 0.032"
  alone = intervals.interval([1.5])
  assert alone.mean == 1.5 and np.isnan(alone.half)
  np.testing.assert_allclose(intervals.half(np.array([1.0, 2.0]), 10), [2.26216, 4.52431], 1e-5)
  lost = intervals.interval(np.array([1.0, np.inf, np.inf]))
  assert str(lost) == "diverged"


def pairs(rng, num_runs, noise=0.2):
  """Paired positive values with the ratio of means 0.5: hard instances are hard for both."""
  instance = rng.lognormal(0, 0.5, num_runs)
  x, y = (instance * np.exp(rng.normal(0, noise, num_runs)) for _ in range(2))
  return 0.5 * x, y


def test_ratio_interval_covers_the_ratio_95_times_in_100():
  rng = np.random.default_rng(0)
  found = [intervals.ratio_interval(*pairs(rng, 40)) for _ in range(2000)]
  covered = np.mean([r.low <= 0.5 <= r.high for r in found])
  assert abs(covered - 0.95) < 0.015
  assert abs(np.mean([r.ratio for r in found]) - 0.5) < 0.005


def test_ratio_interval_gains_from_the_pairs():
  rng = np.random.default_rng(0)
  x, y = pairs(rng, 200, noise=0.05)
  paired, shuffled = (intervals.ratio_interval(x, z) for z in (y, rng.permutation(y)))
  np.testing.assert_allclose(paired.ratio, shuffled.ratio)
  assert paired.high - paired.low < 0.2 * (shuffled.high - shuffled.low)


def test_ratio_interval_by_hand():
  result = intervals.ratio_interval(np.array([1.0, 3.0]), np.array([4.0, 4.0]))
  # The residuals are -1 and 1, their standard error 1, that of log r 1/2; t with 1 degree 12.706.
  np.testing.assert_allclose(result, [0.5, 0.5 * np.exp(-6.353102), 0.5 * np.exp(6.353102)], 1e-6)


def test_ratio_of_what_is_solved_is_zero_without_an_interval():
  ratio, low, high = intervals.ratio_interval(np.zeros(2), np.ones(2))
  assert ratio == 0 and np.isnan(low) and np.isnan(high)


def test_ratio_of_a_run_that_diverged_is_infinite():
  ratio, low, high = intervals.ratio_interval(np.array([1.0, np.inf]), np.ones(2))
  assert ratio == np.inf and np.isnan(low) and np.isnan(high)


@pytest.mark.parametrize(
  "x, y",
  [
    ([1.0, 2.0], [np.inf, 1.0]),  # 0 would be the best ratio that there is
    ([-1.0, -2.0], [-2.0, -2.0]),
    ([1.0, np.nan], [1.0, 1.0]),
    ([1.0, 2.0], [1.0, -1.0]),
  ],
)
def test_there_is_no_ratio_to_what_diverged_nor_of_what_is_negative(x, y):
  assert np.isnan(intervals.ratio_interval(np.array(x), np.array(y))).all()
