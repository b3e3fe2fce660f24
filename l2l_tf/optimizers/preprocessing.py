"""Preprocessing of gradients before they enter a learned optimizer (Appendix A).

Each function maps gradients of any shape `[...]` to features `[k, ...]`.
"""

import dataclasses
import math

import tensorflow as tf


def log_and_sign(gradients: tf.Tensor, p: float = 10.0) -> tf.Tensor:
  """Appendix A: (log|g| / p, sgn g) where |g| >= e^-p, else (-1, e^p g).

  Gradients of very different magnitudes come out between -1 and about 1, continuous at |g| = e^-p.

  Args:
    gradients: float `[...]`.
    p: how small a gradient still counts, at most 80; 10 in the paper.

  Returns:
    Features `[2, ...]`.
  """
  threshold = math.exp(-p)
  magnitude = tf.abs(gradients)
  # The clamp keeps log finite at 0, where its value is not used, and thus its derivative too.
  log = tf.math.log(tf.maximum(magnitude, threshold)) / p
  sign = tf.clip_by_value(gradients * math.exp(p), -1.0, 1.0)
  return tf.stack([log, sign])


def rescale(gradients: tf.Tensor, factor: float = 1.0) -> tf.Tensor:
  """Section 2.1: gradients times a constant, as features `[1, ...]`."""
  return factor * gradients[tf.newaxis]


MAX_P = 80.0  # e^p and e^-p are normal numbers of float32
MAX_FACTOR = 1e30


@dataclasses.dataclass(frozen=True)
class LogAndSign:
  """`log_and_sign` with its constant, 0 < p <= 80."""

  p: float = 10.0
  num_features = 2

  def __post_init__(self) -> None:
    _check("p of log_and_sign", self.p, MAX_P)

  def __call__(self, gradients: tf.Tensor) -> tf.Tensor:
    return log_and_sign(gradients, self.p)


@dataclasses.dataclass(frozen=True)
class Rescale:
  """`rescale` with its constant; factor 1 is no preprocessing."""

  factor: float = 1.0
  num_features = 1

  def __post_init__(self) -> None:
    _check("factor of rescale", self.factor, MAX_FACTOR)

  def __call__(self, gradients: tf.Tensor) -> tf.Tensor:
    return rescale(gradients, self.factor)


def _check(what: str, value: float, maximum: float) -> None:
  if type(value) not in (int, float) or not 0 < value <= maximum:
    raise ValueError(f"The {what} must be a positive number of at most {maximum:g}, got {value!r}.")


BY_NAME: dict[str, type[LogAndSign | Rescale]] = {"log_and_sign": LogAndSign, "rescale": Rescale}
"""Names that flags and files use."""


def to_config(preprocessing: LogAndSign | Rescale) -> dict:
  """Returns `{"name": ..., constant: value}`."""
  (name,) = (name for name, kind in BY_NAME.items() if isinstance(preprocessing, kind))
  return {"name": name, **dataclasses.asdict(preprocessing)}
