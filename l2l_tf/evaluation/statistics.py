"""What a results file says of curves: means with intervals, quantiles, ratios over instances."""

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation.results import number
from l2l_tf.evaluation.results import numbers
from l2l_tf.evaluation.results_schema import QUANTILES


def summary(losses: np.ndarray) -> dict[str, Any]:
  """What a results file says of an optimizer's curves `[R, T+1]`, R > 1.

  A run that diverged has an infinite final loss, and so has the mean over the runs.
  """
  losses = np.where(np.isfinite(losses), losses, np.inf)
  final = protocol.final_losses(losses)
  with np.errstate(invalid="ignore"):  # inf - inf
    error = losses.std(axis=0, ddof=1) / math.sqrt(len(losses))
    mean_loss = intervals.interval(losses[:, 1:].mean(axis=1))
    final_loss = intervals.interval(final)
  quantiles = np.percentile(final, QUANTILES, method="inverted_cdf")
  return {
    "mean": numbers(losses.mean(axis=0)),
    "standard_error": numbers(error),
    "mean_loss": {"mean": number(mean_loss.mean), "half": number(mean_loss.half)},
    "final_loss": {
      "mean": number(final_loss.mean),
      "half": number(final_loss.half),
    },
    "final_loss_quantiles": {str(q): number(x) for q, x in zip(QUANTILES, quantiles)},
    "final_losses": numbers(final),
    "diverged": int((~np.isfinite(final)).sum()),
  }


def ratios(
  learned: Sequence[str], rivals: Sequence[str], losses: dict[str, np.ndarray]
) -> dict[str, Any]:
  """Ratios of final losses, paired over instances: each learned optimizer over everybody else.

  The best rival is the one with the least mean on the very instances that are reported, so that no
  rival in the table is better than the one that a ratio names.

  Args:
    learned: names of learned optimizers and peers.
    rivals: names of rivals.
    losses: curves `[R, T+1]` by name, the same R instances for all.
  """
  final = {name: protocol.final_losses(curves) for name, curves in losses.items()}
  pairs = []
  for numerator in learned:
    for denominator in [*learned, *rivals]:
      if numerator == denominator:
        continue
      x, y = final[numerator], final[denominator]
      ratio = intervals.ratio_interval(x, y)
      wins = float(np.mean(x < y))
      pairs.append(
        {"numerator": numerator, "denominator": denominator}
        | {key: number(value) for key, value in ratio._asdict().items()}
        | {"wins": number(wins)}
      )
  best = min(rivals, key=lambda name: final[name].mean()) if rivals else None
  return {"best_rival": best, "ratios": pairs}
