"""What takes the steps of a LearnedOptimizer: a general rule from files anywhere, or a module."""

from typing import TYPE_CHECKING, Any

import keras

from l2l_tf import surroundings
from l2l_tf.keras import rule_step
from l2l_tf.keras.backends import ON_TENSORFLOW
from l2l_tf.keras_backend import BACKENDS
from l2l_tf.rule import phi as rule_phi
from l2l_tf.storage import phi_files
from l2l_tf.storage.about import About

if TYPE_CHECKING:
  from l2l_tf import optimizers


def of(optimizer: Any, state_dtype: str | None, odd: bool) -> Any:
  """What takes the steps of an optimizer: a module, or the content of its files.

  Raises:
    TypeError, CheckpointError, RuntimeError: as `LearnedOptimizer`.
  """
  backend = keras.config.backend()
  if backend not in BACKENDS:
    raise RuntimeError(
      f"LearnedOptimizer needs Keras on one of {', '.join(BACKENDS)}; KERAS_BACKEND is {backend}."
    )
  if isinstance(optimizer, phi_files.Trained):
    kind = optimizer.config.get("kind") if isinstance(optimizer.config, dict) else None
    if kind == rule_phi.KIND and not odd:
      return rule_step.RuleStep(*optimizer[:2], optimizer.source, state_dtype)
    if not ON_TENSORFLOW:
      raise RuntimeError(
        f"LearnedOptimizer() without a name runs on JAX and PyTorch; {'odd parts' if odd else kind}"
        f" need Keras on TensorFlow, and KERAS_BACKEND is {backend}."
      )
    optimizer = _built(optimizer)
  learned: Any = ()
  if ON_TENSORFLOW:
    with surroundings.extra("tensorflow"):
      from l2l_tf import optimizers
      from l2l_tf.optimizers import odd_part

    from l2l_tf.keras import module_step

    learned = optimizers.Optimizer
  if not (isinstance(optimizer, learned) and optimizer.trainable_variables):
    raise TypeError(
      "LearnedOptimizer takes a directory, a name of l2l_tf.pretrained.list() or a learned"
      f" optimizer, got {type(optimizer).__name__}."
    )
  return module_step.ModuleStep(odd_part.of(optimizer) if odd else optimizer, state_dtype)


def module_of(step: Any) -> "optimizers.Optimizer":
  """The optimizer that takes the steps, as a module; of a general rule from files a new one."""
  if isinstance(step, rule_step.RuleStep):
    return _built(phi_files.Trained(step.config, step.weights, About(), "phi"))
  return step.module


def _built(trained: phi_files.Trained) -> "optimizers.Optimizer":
  with surroundings.extra("tensorflow"):
    from l2l_tf.storage import optimizer_files

  return optimizer_files.from_bytes(trained.config, trained.weights, trained.source)
