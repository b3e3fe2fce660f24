"""The rule on a list of parameters: what Keras, optax and PyTorch have in common."""

from collections.abc import Callable, Sequence
import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from l2l_tf.rule import formula
from l2l_tf.rule import layout as layouts
from l2l_tf.rule.formula import GeneralState
from l2l_tf.rule.layout import Shape
from l2l_tf.rule.ops import Fixed
from l2l_tf.rule.partial import Partial
from l2l_tf.rule.phi import Phi

DTYPE = "float32"  # of phi, and of the arithmetic


class RuleOnParameters:
  """Steps of parameters of these shapes, of which some may rest; phi stays as it is."""

  def __init__(self, ops: Any, phi: Phi, shapes: Sequence[Shape]):
    """Takes the operations of the framework, phi, and the shapes."""
    self._ops, self._phi = ops, _Frozen.of(phi)
    self._shapes = tuple(map(tuple, shapes))
    self._steps: dict[tuple[bool, ...], Callable[..., Any]] = {}

  def initial_state(self, zeros: Callable[[Sequence[int], str], Any]) -> GeneralState:
    """The state before the first step, B = 1; `zeros(shape, dtype)` makes its tensors."""
    layout = layouts.of(self._shapes)
    return formula.initial_state(layout, 1, lambda shape, dtype: zeros(shape, dtype or DTYPE))

  def step(
    self,
    gradients: Sequence[Any],
    params: Sequence[Any],
    state: GeneralState,
    scale: Any = 1.0,
  ) -> tuple[list[Any], GeneralState]:
    """Takes a step.

    Args:
      gradients: one for each parameter, None for one that rests; another one does not.
      params: the parameters, in tensors of any float type.
      state: float32, of all of them.
      scale: constant on the updates.

    Returns:
      The updates of those that do not rest, float32, and the next state.
    """
    active = tuple(g is not None for g in gradients)
    if active not in self._steps:
      self._steps[active] = _step(self._ops, self._phi, self._shapes, active)
    given = [(g, x) for g, x in zip(gradients, params) if g is not None]
    return self._steps[active]([g for g, _ in given], [x for _, x in given], state, scale)


class _Frozen(NamedTuple):
  """Phi as a key."""

  layers: tuple[tuple[Shape, bytes], ...]
  orthogonal: bool

  @classmethod
  def of(cls, phi: Phi) -> "_Frozen":
    layers = [np.asarray(w, DTYPE) for w in phi.layers]
    return cls(tuple((w.shape, w.tobytes()) for w in layers), phi.orthogonal)

  def fixed(self) -> list[Fixed]:
    """Its layers as arrays."""
    return [Fixed(np.frombuffer(w, DTYPE).reshape(shape).copy()) for shape, w in self.layers]


@functools.lru_cache(maxsize=64)
def _step(
  ops: Any, phi: _Frozen, shapes: tuple[Shape, ...], active: tuple[bool, ...]
) -> Callable[..., Any]:
  """The step of those that are active, made once: a compiler takes seconds for it."""
  moving = tuple(itertools.compress(shapes, active))
  layout = layouts.of(moving)
  in_one_call = layout.in_one_call
  rule, fixed = formula.Rule(ops, phi.orthogonal, not in_one_call), phi.fixed()
  part = None if all(active) else Partial(shapes, active)

  def step(
    gradients: Any, params: Any, state: GeneralState, scale: Any
  ) -> tuple[list[Any], GeneralState]:
    if not layout.n:
      return [ops.cast(g, DTYPE) for g in gradients], state
    own = part.select(ops, state) if part else state
    constants = [ops.constant(w, own.v) for w in fixed]
    one = lambda x: ops.cast(x, DTYPE)[None]  # noqa: E731
    given = list(map(one, gradients)), own, list(map(one, params))
    updates, own = rule.step(constants, *given, layout, scale)
    return [x[0] for x in updates], part.merge(ops, state, own) if part else own

  return ops.compiled(step, in_one_call)
