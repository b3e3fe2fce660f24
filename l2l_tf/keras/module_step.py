"""A step of a learned optimizer that is a Sonnet module, on TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from l2l_tf.optimizers import Optimizer
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import stored_state
from l2l_tf.storage import optimizer_files


class ModuleStep:
  """What `LearnedOptimizer` does with all gradients at once; as `RuleStep`, of any kind."""

  def __init__(self, module: Optimizer, state_dtype: str | None):
    """Takes the optimizer, and the float type of its state between steps."""
    self.module = module
    self.scale_free = module.scale_free
    self._dtype = module.trainable_variables[0].dtype
    stored = (
      module if state_dtype is None else stored_state.stored(module, tf.as_dtype(state_dtype))
    )
    self._runner = blocks.split(stored, in_turn=True)

  @property
  def config(self) -> dict[str, Any]:
    """What builds the optimizer again."""
    return self.module.config()

  @property
  def weights(self) -> bytes:
    """Phi, as files hold it."""
    return optimizer_files.weights_to_bytes(self.module)

  def initial_state(self, shapes: Mapping[str, tuple[int, ...]]) -> list[tf.Tensor]:
    """The state before the first step for parameters of these shapes; it remembers these."""
    self._shapes = dict(shapes)
    params = {name: tf.zeros([1, *shape], self._dtype) for name, shape in shapes.items()}
    state = self._runner.initial_state(params) if params else ()
    self._structure = tf.nest.map_structure(lambda _: None, state)
    return tf.nest.flatten(state)

  def of_some(self, *_: Any) -> None:
    """None: how coordinates lie in the state is the module's own affair."""

  def __call__(
    self,
    gradients: Mapping[str, Any],
    params: Mapping[str, Any],
    state: Sequence[Any],
    update_scale: tf.Tensor,
  ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Returns the updates, one for each gradient, and the next state; see `RuleStep`."""
    given = {name: self._with_axis(g) for name, g in gradients.items()}
    theta = None
    if self.module.sees_params:
      theta = {name: self._with_axis(x) for name, x in params.items()}
    real = given
    if not (self.module.coordinatewise or self.module.scale_free):  # `General` takes NaN for 0
      real = {n: tf.where(tf.math.is_nan(g), tf.zeros_like(g), g) for n, g in given.items()}
    nested = tf.nest.pack_sequence_as(self._structure, list(state))
    if len(given) == len(self._shapes):
      found, nested = self._runner(real, nested, theta)
    else:
      found, nested = self._runner.partial_step(real, nested, self._shapes, theta)
    updates = list(found.values())
    if real is not given:  # a NaN stays where it is, as under Adam
      updates = [tf.where(tf.math.is_nan(g), g, u) for u, g in zip(updates, given.values())]
    scale = tf.cast(update_scale, self._dtype)
    return [scale * update[0] for update in updates], tf.nest.flatten(nested)

  def _with_axis(self, values: Any) -> tf.Tensor:
    """As the learned optimizer takes it: in its float type, one instance."""
    return tf.cast(values, self._dtype)[tf.newaxis]
