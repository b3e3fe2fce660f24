"""The odd part of a rule: it turns with the gradient, and rests where there is none."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from l2l_tf.optimizers import base
from l2l_tf.optimizers import partition


class OddState(NamedTuple):
  """State of `OddPart`."""

  positive: base.State  # of the optimizer that sees g
  negative: base.State  # of the one that sees -g
  met: tf.Tensor  # bool [B, n], whether a coordinate has had a gradient that is not 0


class OddPart(base.Wrapper):
  """The odd part of another optimizer, u_odd(g) = (u(g) - u(-g)) / 2.

  Both sides remember: the rule runs on g_1, g_2, ... with one state and on -g_1, -g_2, ... with
  another, so that it costs, and keeps, twice as much. The sign of all gradients turns that of all
  updates, and a sequence of zeros gives zeros. An LSTM by itself does not rest at zero gradients:
  the update of a coordinate that is never used is its bias, summed over the steps.

  A coordinate that has had no gradient but 0 stays where it is, exactly: under global averages the
  two sides hear different things, and it would move with the others.
  """

  def __init__(self, optimizer: base.Optimizer, name: str = "odd_part"):
    """Takes the optimizer, whose variables are phi.

    Raises:
      TypeError: if it is none.
      ValueError: for a `Partition`, whose groups have odd parts (`of`), or an odd part, which is
        its own.
    """
    if not isinstance(optimizer, base.Optimizer):
      raise TypeError(f"OddPart takes an optimizer, got {optimizer!r:.80}.")
    if isinstance(optimizer, (OddPart, partition.Partition)):
      kind = type(optimizer).__name__
      raise ValueError(f"OddPart cannot take a {kind}; odd_part.of(optimizer) does what is meant.")
    super().__init__(optimizer, name)

  def config(self) -> dict[str, Any]:
    """Returns what builds this optimizer again, in JSON types."""
    return {"kind": "odd_part", "optimizer": self.optimizer.config()}

  def initial_state(self, params: base.Params) -> OddState:
    """Returns the optimizer's twice, and that no coordinate has met a gradient."""
    state = self.optimizer.initial_state(params)
    return OddState(state, state, tf.zeros(base.flatten(params).shape, tf.bool))

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    opposite = {name: -g for name, g in gradients.items()}
    plus, positive = self.optimizer(gradients, state.positive, params)
    minus, negative = self.optimizer(opposite, state.negative, params)
    met = state.met | (base.flatten(gradients) != 0)  # [B, n]
    odd = 0.5 * (base.flatten(plus) - base.flatten(minus))
    odd = tf.where(met, odd, tf.zeros_like(odd))
    return base.unflatten(odd, gradients), OddState(positive, negative, met)

  def with_phi(self, phi: Sequence[tf.Tensor]) -> "OddPart | None":
    inner = self.optimizer.with_phi(phi)
    return inner and OddPart(inner)

  def rest(self, state: OddState) -> OddState:
    positive, negative = map(self.optimizer.rest, (state.positive, state.negative))
    return OddState(positive, negative, state.met)


def of(optimizer: base.Optimizer) -> base.Optimizer:
  """Returns the odd part of an optimizer, that of each group of a `Partition`."""
  return optimizer.map(lambda part: part if isinstance(part, OddPart) else OddPart(part))
