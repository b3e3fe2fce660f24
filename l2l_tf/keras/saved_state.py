"""The state of a LearnedOptimizer in Keras's files: in a place of its own, with whose it is.

Keras numbers the variables of an optimizer, and any other takes them that counts as many: an Adam
would go on with an `update_scale` of 1 as its rate, one LSTM with the memory of another. So nothing
lies there. A state that does not fit costs a warning and nothing else, as with Adam.
"""

from collections.abc import Callable, Mapping
import hashlib
import json
from typing import Any
import warnings
import weakref

from keras.src.backend.common import global_state  # nothing public tells of either
from keras.src.saving import keras_saveable
import numpy as np

OWNER = (
  "owner"  # digests of the trained optimizer and of the shapes of the variables, uint8 [2, 32]
)


class SavedState(keras_saveable.KerasSaveable):
  """What Keras saves and loads of an optimizer that is a `LearnedOptimizer`, `{number: value}`."""

  def __init__(self, optimizer, num_unbuilt: int):
    """Args: optimizer: whose; num_unbuilt: how many variables it has before it is built."""
    self.strict = False
    self._owner: Callable[[], Any]
    self._owner = weakref.ref(optimizer)  # Keras follows other references, and in a circle
    self._num_unbuilt = num_unbuilt
    self._is_foreign = False

  def _obj_type(self):
    return "Optimizer"

  def save_own_variables(self, store):
    """Puts in the variables and whose they are."""
    optimizer = self._owner()
    store[OWNER] = self._digests(optimizer.built)
    for i, variable in enumerate(optimizer.variables):
      store[str(i)] = variable.numpy()

  def load_own_variables(self, store):
    """Takes them, or warns and starts anew; see `refuse`."""
    if self._is_foreign:
      return
    if why := self._misfit(store):
      self.refuse(why)
      return
    self._take(store, len(store.keys()) - 1)

  def look_at(self, store):
    """What to do with variables where Keras's optimizers have theirs: they are another one's.

    In a whole model of an earlier version they are the optimizer's own.
    """
    count = len(store.keys())
    self._is_foreign = count > 0
    if not count:
      return
    if self.strict and _shapes(store) in self._expected():
      self._take(store, count)
    else:
      self.refuse(f"they are of {count} variables of another kind")

  def refuse(self, why: str):
    """Starts anew and says so, once.

    Raises:
      ValueError: if a whole model is loaded, whose optimizer is in the same file.
    """
    optimizer = self._owner()
    if self.strict:
      raise ValueError(f"The state of the optimizer {optimizer.name!r} does not fit: {why}.")
    optimizer.reset()
    warnings.warn(
      f"The optimizer {optimizer.name!r} starts anew, as the numbers in the file are not its state:"
      f" {why}. The weights of the model are not concerned.",
      stacklevel=3,
    )

  def _take(self, store, count: int):
    optimizer, self.strict = self._owner(), False
    if count == self._num_unbuilt:
      optimizer.reset()
    for i in range(count):
      optimizer.variables[i].assign(store[str(i)])

  def _misfit(self, store) -> str | None:
    """Why the store is not this optimizer's, in words."""
    optimizer, shapes = self._owner(), _shapes(store)
    if shapes.pop(OWNER, None) != (2, 32):
      return "there are none"
    owner = np.asarray(store[OWNER])
    own, unbuilt = self._digests(optimizer.built), self._digests(False)
    if not np.array_equal(owner[0], own[0]):
      return "they are of another trained optimizer"
    if np.array_equal(owner, unbuilt) and shapes == self._expected()[-1]:
      return None
    if not optimizer.built:
      return (
        "it has no variables yet; `optimizer.build(model.trainable_variables)` before loading makes"
        " them"
      )
    if not np.array_equal(owner[1], own[1]):
      return "they are for variables of other shapes"
    if shapes != self._expected()[0]:
      return "they were saved with other arguments, such as use_ema or a schedule"
    return None

  def _expected(self) -> list[dict[str, tuple]]:
    """The shapes of the variables as they are, and as before they were built."""
    shapes = {str(i): tuple(v.shape) for i, v in enumerate(self._owner().variables)}
    return [shapes, {str(i): shapes[str(i)] for i in range(self._num_unbuilt)}]

  def _digests(self, built: bool) -> np.ndarray:
    """Whose the variables are, as `OWNER` says it."""
    optimizer = self._owner()
    variables = optimizer.shapes.values() if built else None
    return np.stack([_of_trained(optimizer._step), _sha256(str(variables and [*variables]))])


def a_whole_model_is_loaded() -> bool:
  """Whether Keras is making a model from its file, whose optimizer must fit."""
  return global_state.get_global_attribute("shared_objects/id_to_obj_map") is not None


def _of_trained(step: Any) -> np.ndarray:
  return _sha256(json.dumps(step.config, sort_keys=True), step.weights)


def _sha256(text: str, content: bytes = b"") -> np.ndarray:
  digest = hashlib.sha256(text.encode() + content).digest()
  return np.frombuffer(digest, np.uint8)


def _shapes(store: Mapping[str, Any]) -> dict[str, tuple]:
  return {key: tuple(store[key].shape) for key in [*store.keys()]}
