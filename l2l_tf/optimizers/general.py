"""The general rule as an optimizer that is meta-trained: `l2l_tf.rule` with variables for phi."""

from collections.abc import Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from l2l_tf.optimizers import base
from l2l_tf.rule import formula
from l2l_tf.rule import layout as layouts
from l2l_tf.rule import ops
from l2l_tf.rule import phi as rule_phi
from l2l_tf.rule.layout import Layout


class General(base.Optimizer):
  """Updates each parameter by -step * unit * direction: see `l2l_tf.rule.formula.Rule`.

  A coordinate whose gradient is always 0 never moves.
  """

  sees_params = True
  scale_free = True

  def __init__(
    self,
    hidden: Sequence[int] = (24, 24),
    orthogonal: bool = False,
    seed: int = 0,
    name: str = "general",
  ):
    """Makes the network; its last layer is 0: the step is 0.01 and the directions weigh the same.

    Args:
      hidden: units of its layers.
      orthogonal: whether updates of small matrices are (`l2l_tf.rule.matrices`).
      seed: of its first values.
      name: of the module.

    Raises:
      ValueError: for layers that are not 1 to 4 of 1 to 256 units.
    """
    super().__init__(name)
    self.hidden, self.orthogonal = rule_phi.checked(hidden), orthogonal
    self._rule = self.make_rule()
    phi = []
    for k, (name, shape) in enumerate(rule_phi.shapes(self.hidden).items()):
      value = tf.zeros(shape)
      if k % 2 == 0 and k // 2 < len(self.hidden):
        value = tf.random.stateless_normal(shape, [seed, k // 2]) / shape[0] ** 0.5
      phi.append(tf.Variable(value, name=name))
    self._phi = phi

  def make_rule(self) -> formula.Rule:
    """Returns the formula on TensorFlow's tensors; a subclass may have another."""
    return formula.Rule(ops.of("tensorflow"), self.orthogonal)

  def config(self) -> dict[str, Any]:
    """Returns what builds this optimizer again, in JSON types."""
    config = {"kind": rule_phi.KIND, "hidden": list(self.hidden)}
    return config | {"orthogonal": True} if self.orthogonal else config

  def with_phi(self, phi: Sequence[tf.Tensor]) -> base.Optimizer:
    """Returns the rule with other values of phi: `[...]`, or `[B, ...]`, one an instance."""
    return _WithPhi(self, phi)

  def initial_state(self, params: base.Params) -> base.State:
    flat = base.flatten(params)

    def zeros(shape: Sequence[int], dtype: str | None) -> tf.Tensor:
      return tf.zeros(shape, dtype or flat.dtype)

    return formula.initial_state(_layout(params), flat.shape[0], zeros)

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    """Returns the updates and the next state.

    Raises:
      ValueError: without `params`.
    """
    return self.step(self._phi, gradients, state, params)

  def step(
    self, phi: Sequence[tf.Tensor], gradients: base.Params, state: base.State, params: Any
  ) -> tuple[base.Params, base.State]:
    """Does what a call does, with this phi in place of its own."""
    if params is None:
      raise ValueError("General needs the parameters beside their gradients: pass `params`.")
    layout = _layout(gradients)
    if not layout.n:
      return gradients, state
    theta = [params[name] for name in gradients]
    updates, state = self._rule.step(phi, list(gradients.values()), state, theta, layout)
    return dict(zip(gradients, updates, strict=True)), state


@snt.allow_empty_variables
class _WithPhi(base.Optimizer):
  """A rule with values in place of its variables."""

  sees_params = True
  scale_free = True

  def __init__(self, rule: General, phi: Sequence[tf.Tensor]):
    super().__init__(rule.name)
    self._rule = [rule]  # in a list that no module looks into: its variables are not ours
    self._values = phi

  def initial_state(self, params: base.Params) -> base.State:
    return self._rule[0].initial_state(params)

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    return self._rule[0].step(self._values, gradients, state, params)


def _layout(tensors: base.Params) -> Layout:
  return layouts.of(tuple(tuple(x.shape[1:]) for x in tensors.values()))
