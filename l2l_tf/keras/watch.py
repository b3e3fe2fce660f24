"""Watches the gradients that a trained optimizer gets in Keras: does it still know their kind?

A learned optimizer makes its steps whatever becomes of the loss, which Keras does not tell it. What
it can see of a divergence is that the gradients grow and stay large. On their own ground those of
the shipped optimizers grow at most 15-fold; where one diverges, by hundreds within some tens of
steps.
"""

import warnings

import tensorflow as tf
from tensorflow.python.ops import control_flow_util  # nothing public tells of XLA

FIRST_STEPS = 2  # the larger gradient of these is what later ones are measured by
MAX_GROWTH = 30.0  # times as large
PATIENCE = 10  # steps in a row: minibatches differ, and single spikes pass


class Watch:
  """Warns once. What it counts is in a variable that no file holds: nothing goes on from it.

  Of an optimizer that is scale-free only gradients that are not finite are worth a warning.

  `seen`, float32 `[4]`: steps, the norm of the first gradients, how many have been too large in a
  row, up to PATIENCE, where it stays, and the norm of the last gradient until then.
  """

  def __init__(self, name: str, card: str | None, directory: str | None, scale_free: bool = False):
    """Takes the optimizer's name, and its pretrained name or the directory that it comes from."""
    self.card, self.seen = card, None
    self._name, self._directory, self._scale_free = name, directory, scale_free
    self._follow = tf.function(self._after, autograph=False)
    self._warned = False

  def build(self):
    """Makes the variable `seen`, on all devices of the strategy whose scope this is."""
    self.seen = tf.Variable(tf.zeros([4]), trainable=False, name="gradients_seen")

  def reset(self):
    """Starts anew, and may warn again."""
    self.seen.assign(tf.zeros([4]))
    self._warned = False

  def look(self, seen: tf.Variable, gradients: list[tf.Tensor]):
    """Counts a step on one device. Warns if that is a graph's step from which Python can be called.

    Args:
      seen: the variable on this device.
      gradients: of all variables that take part.
    """
    before = tf.convert_to_tensor(seen)
    follow_ = self._follow if tf.executing_eagerly() else self._after  # one operation, not thirty
    now = follow_(before, gradients)
    seen.assign(now)
    if _graph_may_call_python():
      is_time = (before[2] < PATIENCE) & (now[2] >= PATIENCE)
      tf.cond(is_time, lambda: tf.py_function(self._warn, [now], []), tf.no_op)

  def report(self):
    """Warns if it is time; to be called where Python sees the steps: eagerly, and after `fit`."""
    if self.seen is not None and not self._warned and tf.executing_eagerly():
      self._warn(tf.convert_to_tensor(self.seen), stacklevel=4)

  def _warn(self, seen: tf.Tensor, stacklevel: int = 2):
    steps, first, in_a_row, norm = seen.numpy().tolist()
    if self._warned or in_a_row < PATIENCE:
      return
    self._warned = True
    what = f"at step {steps:.0f} the gradient is not finite"
    if norm < float("inf"):
      what = (
        f"for {PATIENCE} steps the gradient has been more than {MAX_GROWTH:g} times as large as at"
        f" first (norm {norm:.3g} at step {steps:.0f}, {first:.3g} then)"
      )
    warnings.warn(
      f"{self._name}{self._source()} is beyond what it was trained on, and may diverge: {what}."
      f" Watch the loss. {self._advice()} See 'It diverges' in docs/faq.md.",
      stacklevel=stacklevel,
    )

  def _after(self, seen: tf.Tensor, gradients: list[tf.Tensor]) -> tf.Tensor:
    gradients = [tf.cast(g, tf.float32) for g in gradients]  # whose sums 16 bits do not hold
    if self._scale_free:  # squares of finite numbers may be infinite
      return follow(seen, tf.add_n([tf.norm(g, 1) for g in gradients]), float("inf"))
    return follow(seen, tf.linalg.global_norm(gradients))

  def _advice(self) -> str:
    if self._scale_free:
      return "Look for what is not finite in the data or the model, or use a lower `update_scale`."
    return (
      "Use LearnedOptimizer() without a name, which is for any model, Adam, another of"
      " l2l_tf.pretrained.list(), a lower `update_scale`, or targets standardized to mean 0 and"
      " deviation 1; or train an optimizer on this model."
    )

  def _source(self) -> str:
    if self.card:
      return f" ({self.card}; l2l_tf.pretrained.card({self.card!r}) says where it works)"
    return f" ({self._directory})" if self._directory else ""


def _graph_may_call_python() -> bool:
  """Whether this is a graph, but none that XLA compiles or a strategy spreads over devices."""
  if tf.executing_eagerly() or tf.distribute.has_strategy():
    return False
  return not control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def follow(seen: tf.Tensor, norm: tf.Tensor, max_growth: float = MAX_GROWTH) -> tf.Tensor:
  """Returns what `Watch.seen` becomes after a gradient of this norm."""
  steps, first, in_a_row, _ = tf.unstack(seen)
  opening = (steps < FIRST_STEPS) | (first == 0)  # gradients of 0 are nothing to measure by
  finite = tf.math.is_finite(norm)
  large = ~opening & (norm > max_growth * first)
  count = tf.where(finite, tf.where(large, in_a_row + 1, 0), PATIENCE)
  first = tf.where(opening & finite, tf.maximum(first, norm), first)
  now = tf.stack([steps + 1, first, count, norm])
  return tf.where(in_a_row >= PATIENCE, seen, now)
