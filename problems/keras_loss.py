"""What `fit` minimizes: the loss that Keras itself computes of a model, as a function of theta."""

from collections.abc import Iterator
import contextlib
import copy
import inspect
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from l2l_tf.problems import adapters
from l2l_tf.problems import base

_SEED_STATE = "seed_generator_state"  # the name of the variable of a `keras.random.SeedGenerator`
_OWN_TRAINING = ("train_step", "make_train_function", "train_on_batch", "fit")


class FitLoss:
  """The loss of a minibatch before its update, with `training=True`, computed as by `fit`.

  Keras's compiled loss and the model's own `compute_loss` do it, on the model's layers and
  variables; nothing of the model changes.
  """

  def __init__(self, model: keras.Model, loss: Any, loss_weights: Any, batches: list[Any]):
    """Builds the model and its loss by computing it.

    Args:
      model: built by a call, if it is not.
      loss: as in `compile`; None: that which the model is compiled with, or what it adds itself.
      loss_weights: as in `compile`.
      batches: minibatches, as `fit` takes them, whose losses must be finite.

    Raises:
      ValueError: for a model that trains otherwise, or whose loss cannot be computed.
    """
    _check_training(model)
    self._training = {"training": True} if _takes_training(model.call) else {}
    with _explained(model, batches):
      _call_as_it_is(model, keras.utils.unpack_x_y_sample_weight(batches[0])[0])
    _check_constraints(model.trainable_variables)
    self.variables = model.trainable_variables
    self._kept = [(v, tf.convert_to_tensor(v.value)) for v in model.non_trainable_variables]
    self._generators = [v for v, _ in self._kept if v.name == _SEED_STATE]
    recorder = _Recorder(self._mapping([v.value for v in self.variables], None))
    with _explained(model, batches):
      self._model = _compiled(model, loss, loss_weights)
      self._compute = {"training": True} if _takes_training(self._model.compute_loss) else {}
      for batch in batches:
        _check_finite(self._value(recorder, batch))
    self._generators += recorder.generators

  def __call__(self, values: list[tf.Tensor], seed: base.Seed, batch: Any) -> tf.Tensor:
    """Returns f.

    Args:
      values: of the trainable variables.
      seed: int32 `[2]`, from which dropout and all other random layers draw.
      batch: a minibatch, as `fit` takes it.
    """
    return self._value(keras.StatelessScope(self._mapping(values, seed), True), batch)

  def _mapping(self, values: list[tf.Tensor], seed: base.Seed | None) -> list[tuple[Any, Any]]:
    """The values of all variables; without a seed, generators keep theirs."""
    mapping = [*zip(self.variables, values), *self._kept]
    if seed is not None and self._generators:
      seeds = tf.unstack(tf.random.split(seed, len(self._generators)))
      mapping += [(v, tf.cast(s, v.dtype)) for v, s in zip(self._generators, seeds)]
    return mapping

  def _value(self, scope: keras.StatelessScope, batch: Any) -> tf.Tensor:
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    with scope, _one_replica():
      y_pred = self._model(x, **self._training)
      return self._model.compute_loss(
        x=x, y=y, y_pred=y_pred, sample_weight=weights, **self._compute
      )


class _Recorder(keras.StatelessScope):
  """Finds the random generators that are not the model's: a loss's own, and Keras's global one."""

  def __init__(self, mapping: list[tuple[Any, Any]]):
    super().__init__(mapping, collect_losses=True)
    self.generators: list[Any] = []

  def get_current_value(self, variable: Any) -> Any:
    value = super().get_current_value(variable)
    if value is None and variable.name == _SEED_STATE and variable not in self.generators:
      self.generators.append(variable)
    return value


@contextlib.contextmanager
def _one_replica() -> Iterator[None]:
  """Keras divides a loss by the number of replicas, as `fit` adds theirs: here each has its f."""
  graph = tf.compat.v1.get_default_graph()
  stack, graph._distribution_strategy_stack = graph._distribution_strategy_stack, []
  try:
    yield
  finally:
    graph._distribution_strategy_stack = stack


@contextlib.contextmanager
def _explained(model: keras.Model, batches: list[Any]) -> Iterator[None]:
  """Puts into words what Keras, or a user's layers and losses, raise on these minibatches."""
  try:
    yield
  except Exception as error:
    reason = re.sub(r"{{.*?}}", "", str(error)).split() or [type(error).__name__]
    raise ValueError(
      f"Keras cannot compute the loss of {model.name!r} on these data ({_describe(batches)}), and"
      f" `fit` could not: {' '.join(reason):.300}."
    ) from error


def _check_training(model: keras.Model) -> None:
  """Raises ValueError for a model whose training is not the loss of a minibatch."""
  kind = type(model)
  for name in _OWN_TRAINING:
    if getattr(kind, name) is not getattr(keras.Model, name) or name in vars(model):
      raise ValueError(
        f"{kind.__name__} has a {name}() of its own, which from_keras cannot follow: its loss may"
        " be another. Override `compute_loss` instead, which is followed, or use from_function."
      )
  stateful = [x.name for x in model._flatten_layers() if getattr(x, "stateful", False)]
  if stateful:
    raise ValueError(
      f"Layers {stateful} are stateful: they go on from the minibatch before, and minibatches here"
      " are drawn at random. Make them with stateful=False."
    )


def _check_constraints(variables: list[keras.Variable]) -> None:
  """Raises ValueError for variables that `fit` projects after each update."""
  constrained = {v.path: type(v.constraint).__name__ for v in variables if v.constraint is not None}
  if constrained:
    raise ValueError(
      f"Variables have a constraint, {constrained}: `fit` applies it after each update, and a"
      " Problem has no constraints. Make the layers without it; a regularizer is followed."
    )


def has_own_loss(model: keras.Model) -> bool:
  """Whether the model overrides `compute_loss`, which may need no targets."""
  return type(model).compute_loss is not keras.Model.compute_loss or "compute_loss" in vars(model)


def _check_finite(value: Any) -> None:
  """Raises ValueError for NaN, which a label out of range makes where it is no error: on GPUs."""
  if not np.all(np.isfinite(value := np.asarray(value))):
    raise ValueError(f"it is {value}")


def _takes_training(method: Any) -> bool:
  return "training" in inspect.signature(method).parameters


def _call_as_it_is(model: keras.Model, x: Any) -> None:
  """Calls the model once, which makes the variables that are made while called."""
  before = [(v, tf.identity(v.value)) for v in model.non_trainable_variables]
  model(x, **({"training": False} if _takes_training(model.call) else {}))
  for variable, value in before:
    variable.assign(value)


def _compiled(model: keras.Model, loss: Any, loss_weights: Any) -> keras.Model:
  """The same layers and variables as a model of its own, compiled: the user's stays as it is."""
  twin = object.__new__(type(model))
  twin.__dict__.update({name: _shallow(value) for name, value in vars(model).items()})
  if loss is not None:
    keras.Model.compile(
      twin,
      optimizer=getattr(model, "optimizer", None) or "sgd",
      loss=tf.nest.map_structure(_converted, loss),
      loss_weights=loss_weights,
      jit_compile=False,
    )
  return twin


def _shallow(value: Any) -> Any:
  """What lists of tracked objects become, so that the twin's do not enter the model's."""
  return copy.copy(value) if type(value) in (list, dict, set) else value


def _converted(loss: Any) -> Any:
  """A function of the user's may have `if` and loops that depend on tensors."""
  own = inspect.isfunction(loss) and not loss.__module__.startswith("keras.")
  return adapters.converted(loss) if own else loss


def _describe(batches: list[Any]) -> str:
  """The shapes, types and ranges of minibatches in words."""
  texts = []
  parts = zip(*map(keras.utils.unpack_x_y_sample_weight, batches))
  for name, same in zip(("x", "y", "weights"), parts):
    for leaves in zip(*map(tf.nest.flatten, same)):
      if leaves[0] is not None:
        low, high = np.min(leaves), np.max(leaves)
        kind, shape = leaves[0].dtype.name, tuple(leaves[0].shape)
        texts.append(f"{name}: {kind} {shape} from {low:.6g} to {high:.6g}")
  return "; ".join(texts)
