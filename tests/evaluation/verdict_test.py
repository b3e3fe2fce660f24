"""The verdict's words for every outcome, on curves whose ratios are known."""

import numpy as np
import pytest

from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import verdict

STEPS, RUNS = 20, 8
EASE = np.linspace(0.8, 1.2, RUNS)[:, np.newaxis]  # instances differ, and both optimizers feel it
NOISE = 0.01 * np.array([1, -1, 1, -1, -1, 1, -1, 1])[:, np.newaxis]


def curves(mean=1.0, final=1.0, noise=0.0):
  """Losses `[R, T+1]`: 10 at theta_0, then around `mean`, and in the last ten around `final`."""
  ends = np.repeat([10.0, 2 * mean - final, final], [1, STEPS - 10, 10])
  return EASE * ends * (1 + noise * NOISE)


DIVERGED = np.where(np.arange(RUNS)[:, np.newaxis] == 0, np.nan, curves())
BEATS, NOT = (
  "The learned optimizer beats tuned Adam",
  "The learned optimizer does not beat tuned Adam",
)
CASES = {
  "both": (
    curves(0.5, 0.25, 1),
    [f"{BEATS}: its mean loss is 0.5", "(ahead), its final", "(ahead)."],
  ),
  "mean": (curves(0.9, 1.2, 1), [f"{BEATS} in mean loss only", "(ahead), its final", "(behind)."]),
  "final": (
    curves(1.1, 0.8, 1),
    [f"{BEATS} in final loss only", "(behind), its final", "(ahead)."],
  ),
  "mean, final level": (curves(0.9, 1.0, 1), [f"{BEATS} in mean loss only", "(within the noise)."]),
  "neither": (curves(1.2, 1.3, 1), [f"{NOT}: its mean loss is 1.2", "(behind), its", "(behind)."]),
  "level": (curves(noise=1), [NOT, "is 1.000", "(within the noise), its", "(within the noise)."]),
  "the same": (curves(), [NOT, "1.000 (1.000 to 1.000) times Adam's (within the noise), its"]),
  "far behind": (curves(400, 400, 1), ["400 (39", "times Adam's (behind)"]),
  "diverged": (DIVERGED, [f"{NOT}: it diverged on 1 of 8 instances."]),
}


@pytest.mark.parametrize("case", CASES)
def test_beside_adam(case):
  learned, words = CASES[case]
  text = verdict.sentence(learned, curves())
  for word in words:
    assert word in text
  assert ". " not in text and text.endswith(".")  # one sentence
  assert "nan" not in text and "inf" not in text and "\n" not in text


def test_the_numbers_are_those_of_the_paired_interval():
  learned = curves(0.9, 0.8, 1)
  mean = intervals.ratio_interval(learned[:, 1:].mean(axis=1), curves()[:, 1:].mean(axis=1))
  final = intervals.ratio_interval(*map(protocol.final_losses, (learned, curves())))
  text = verdict.sentence(learned, curves())
  for ratio in (mean, final):
    assert f"{ratio.ratio:.3f} ({ratio.low:.3f} to {ratio.high:.3f}) times Adam's (ahead)" in text


def test_adam_or_both_diverged():
  assert verdict.sentence(curves(), DIVERGED) == f"{BEATS}, which diverged on 1 of 8 instances."
  text = verdict.sentence(DIVERGED, DIVERGED)
  assert text == f"{NOT}: it diverged on 1 of 8 instances, tuned Adam on 1."


def test_losses_that_are_not_positive_are_compared_by_their_difference():
  text = verdict.sentence(curves(0.5, 0.5, 1) - 100, curves() - 100)
  assert BEATS in text and "is -0.5 (-0.5" in text and "from Adam's (ahead)" in text


def test_without_adam():
  text = verdict.sentence(curves(0.5, 0.25))
  assert text == (
    "The learned optimizer takes the loss from 10 to 0.25; it was compared with no other."
  )
  assert "diverged on 1 of 8 instances; it was" in verdict.sentence(DIVERGED)
