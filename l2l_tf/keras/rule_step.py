"""A step of the general rule on the tensors of Keras's backend."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from l2l_tf.rule import formula
from l2l_tf.rule import ops as rule_ops
from l2l_tf.rule.layout import Shape
from l2l_tf.rule.parameters import DTYPE
from l2l_tf.rule.parameters import RuleOnParameters
from l2l_tf.rule.partial import Partial
from l2l_tf.storage import phi_files


class RuleStep:
  """What `LearnedOptimizer` does with all gradients at once; phi stays as it is."""

  scale_free = True

  def __init__(self, config: dict[str, Any], weights: bytes, source: str, state_dtype: str | None):
    """Takes the content of a trained optimizer's files.

    Raises:
      CheckpointError: if it is not that of a general rule.
    """
    self.config, self.weights = config, weights
    self._phi = phi_files.rule(config, weights, source)
    self._dtype = state_dtype or DTYPE
    self._ops = rule_ops.of(keras.config.backend())

  def initial_state(self, shapes: Mapping[str, Shape]) -> list[np.ndarray]:
    """The state before the first step for parameters of these shapes; it remembers these."""
    self._names = list(shapes)
    self._on_all = RuleOnParameters(self._ops, self._phi, list(shapes.values()))
    floats = np.dtype(self._dtype) if self._dtype != "bfloat16" else _bfloat16()
    state = self._on_all.initial_state(
      lambda shape, dtype: np.zeros(shape, floats if dtype == DTYPE else dtype)
    )
    return state.leaves() if shapes else []

  def of_some(
    self, state: Sequence[np.ndarray], shapes: Sequence[Shape], chosen: Sequence[bool]
  ) -> list[np.ndarray]:
    """The state of some of the parameters of these shapes, from that of all, of which it cuts."""
    return Partial(shapes, chosen).select(np, formula.GeneralState.of(state)).leaves()

  def __call__(
    self,
    gradients: Mapping[str, Any],
    params: Mapping[str, Any],
    state: Sequence[Any],
    update_scale: Any,
  ) -> tuple[list[Any], list[Any]]:
    """Returns the updates, one for each gradient, and the next state.

    Args:
      gradients: of all parameters or of some of them, by name, in their order.
      params: the same, their values.
      state: of all of them.
      update_scale: constant on the updates, a scalar.
    """
    cast = self._ops.cast
    updates, new = self._on_all.step(
      [gradients.get(name) for name in self._names],
      [params.get(name) for name in self._names],
      formula.GeneralState.of([*(cast(x, DTYPE) for x in state[:-1]), state[-1]]),
      cast(update_scale, DTYPE),
    )
    *floats, t = new.leaves()
    return updates, [*(cast(x, self._dtype) for x in floats), t]


def _bfloat16() -> np.dtype:
  import ml_dtypes  # NumPy has no such type; Keras needs this package

  return np.dtype(ml_dtypes.bfloat16)
