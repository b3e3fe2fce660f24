"""One sentence on a trained optimizer beside the tuned Adam, on the same fresh instances."""

import numpy as np

from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol


def sentence(learned: np.ndarray, adam: np.ndarray | None = None) -> str:
  """Says whether the optimizer beats Adam, in mean and in final loss, and by how much.

  Ahead and behind are those whose 95 % interval of the ratio, paired over the instances, leaves out
  1; the others are within the noise. Where losses are not positive it is that of the difference.

  Args:
    learned: f(theta_0), ..., f(theta_T) of each instance, `[R, T+1]`.
    adam: those of the tuned Adam on the same instances; None if there is none.
  """
  count, lost = len(learned), _diverged(learned)
  if adam is None:
    first, last = learned[:, 0].mean(), _final(learned).mean()
    way = f"takes the loss from {first:.4g} to {last:.4g}"
    way = f"diverged on {lost} of {count} instances" if lost else way
    return f"The learned optimizer {way}; it was compared with no other."
  if lost or _diverged(adam):
    return _of_divergence(lost, _diverged(adam), count)
  pairs = {"mean": (_mean(learned), _mean(adam)), "final": (_final(learned), _final(adam))}
  found = {name: _compare(*pair) for name, pair in pairs.items()}
  ahead = [name for name, (_, standing) in found.items() if standing == "ahead"]
  head = {0: "does not beat tuned Adam", 2: "beats tuned Adam"}.get(len(ahead))
  head = head or f"beats tuned Adam in {ahead[0]} loss only"
  (mean, at_mean), (final, at_final) = found.values()
  return (
    f"The learned optimizer {head}: its mean loss is {mean} ({at_mean}), its final loss {final}"
    f" ({at_final})."
  )


def _diverged(losses: np.ndarray) -> int:
  """How many runs of `[R, T+1]` were not finite."""
  return int((~np.isfinite(losses).all(axis=1)).sum())


def _of_divergence(learned: int, adam: int, count: int) -> str:
  """What there is to say if some runs of one, or of both, were not finite."""
  if not learned:
    return f"The learned optimizer beats tuned Adam, which diverged on {adam} of {count} instances."
  also = f", tuned Adam on {adam}" if adam else ""
  return (
    f"The learned optimizer does not beat tuned Adam: it diverged on {learned} of {count}"
    f" instances{also}."
  )


def _compare(learned: np.ndarray, adam: np.ndarray) -> tuple[str, str]:
  """How two losses `[R]` compare, in numbers and in a word."""
  if learned.mean() > 0 and adam.mean() > 0:
    ratio = intervals.ratio_interval(learned, adam)
    numbers = [f"{x:.3f}" if x < 10 else f"{x:.3g}" for x in ratio]
    words = "{} ({} to {}) times Adam's".format(*numbers)
    return words, _standing(ratio.low - 1, ratio.high - 1)
  mean, half = intervals.interval(learned - adam)
  words = f"{mean:+.3g} ({mean - half:+.3g} to {mean + half:+.3g}) from Adam's"
  return words, _standing(mean - half, mean + half)


def _standing(low: float, high: float) -> str:
  """What an interval, 0 for equals, says."""
  return "ahead" if high < 0 else "behind" if low > 0 else "within the noise"


def _mean(losses: np.ndarray) -> np.ndarray:
  return losses[:, 1:].mean(axis=1)


def _final(losses: np.ndarray) -> np.ndarray:
  return protocol.final_losses(losses)
