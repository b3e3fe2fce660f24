"""The state of a LearnedOptimizer in Keras's files: in a place of its own, with whose it is.

Keras numbers the variables of an optimizer, and any other takes them that counts as many: an Adam
would go on with an `update_scale` of 1 as its rate, one LSTM with the memory of another. So nothing
lies there. A state that does not fit costs a warning and nothing else, as with Adam. One of these
variables and of others, as when layers were frozen since, fits.
"""

from collections.abc import Callable, Mapping
import hashlib
import itertools
import json
import math
from typing import Any
import warnings
import weakref

from keras.src.backend.common import global_state  # nothing public tells of either
from keras.src.saving import keras_saveable
import numpy as np

OWNER = (
  "owner"  # digests of the trained optimizer and of the shapes of the variables, uint8 [2, 32]
)
VARIABLES = "variables"  # paths and shapes of those that it was built for: JSON, uint8
MOST_BYTES = 2**24  # of that: of a hundred thousand variables


class SavedState(keras_saveable.KerasSaveable):
  """What Keras saves and loads of an optimizer that is a `LearnedOptimizer`, `{number: value}`."""

  def __init__(self, optimizer):
    """Takes the optimizer, whose `build` tells how many variables it has made: `num_built`."""
    self.strict = False
    self.num_built = 0
    self._owner: Callable[[], Any]
    self._owner = weakref.ref(optimizer)  # Keras follows other references, and in a circle
    self._is_foreign = False

  def _obj_type(self):
    return "Optimizer"

  def save_own_variables(self, store):
    """Puts in the variables and whose they are."""
    optimizer = self._owner()
    store[OWNER] = self._digests(optimizer.built)
    if optimizer.built:
      store[VARIABLES] = np.frombuffer(json.dumps(self._variables()).encode(), np.uint8)
    for i, variable in enumerate(optimizer.variables):
      store[str(i)] = variable.numpy()

  def load_own_variables(self, store):
    """Takes them, or warns and starts anew; see `refuse`."""
    if self._is_foreign:
      return
    if (values := self._of_more(store)) is not None:
      self._assign(values)
    elif why := self._misfit(store):
      self.refuse(why)
    else:
      self._take(store, sum(key.isdigit() for key in [*store.keys()]))

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
    optimizer, strict, self.strict = self._owner(), self.strict, False
    if strict and optimizer.built:
      raise ValueError(
        f"The state of the optimizer {optimizer.name!r} does not fit: {why}."
        " `keras.models.load_model(path, compile=False)` loads the model without it."
      )
    optimizer.reset()
    if strict:
      warnings.warn(
        f"The optimizer {optimizer.name!r} starts anew: a state is for the variables of a model,"
        " and it came without them, copied alone or with a model that is not built.",
        stacklevel=3,
      )
      return
    warnings.warn(
      f"The optimizer {optimizer.name!r} starts anew, as the numbers in the file are not its state:"
      f" {why}. The weights of the model are not concerned.",
      stacklevel=3,
    )

  def _take(self, store, count: int):
    if count == self._num_unbuilt:
      self._owner().reset()
    self._assign([store[str(i)] for i in range(count)])

  def _assign(self, values):
    self.strict = False
    for variable, value in zip(self._owner().variables, values):
      variable.assign(value)

  @property
  def _num_unbuilt(self) -> int:
    """How many variables it has before it is built; a schedule takes the place of one."""
    return len(self._owner().variables) - self.num_built

  def _variables(self) -> list[tuple[str, tuple[int, ...]]]:
    """Paths and shapes of the model's variables, in order."""
    shapes = self._owner().shapes  # by "number/path"
    return [(name.partition("/")[2], tuple(shape)) for name, shape in shapes.items()]

  def _of_more(self, store) -> list[np.ndarray] | None:
    """The values of its variables, from those of this optimizer for these parameters and others.

    Of a file nothing is read but what it takes.
    """
    optimizer = self._owner()
    if not optimizer.built or not {OWNER, VARIABLES} <= {*store.keys()}:
      return None
    digests = self._digests(True)
    if _shape(store[OWNER]) != digests.shape or math.prod(_shape(store[VARIABLES])) > MOST_BYTES:
      return None
    if (np.asarray(store[OWNER]) == digests).all(1).tolist() != [True, False]:
      return None
    try:
      read = json.loads(np.asarray(store[VARIABLES]).tobytes())
      saved = [(str(path), tuple(map(int, shape))) for path, shape in read]
    except (TypeError, ValueError):
      return None
    current = self._variables()
    found = [[k for k, one in enumerate(saved) if _are_one(one, own)] for own in current]
    numbers = [k for one in found for k in one]
    if {*map(len, found)} - {1} or numbers != sorted({*numbers}):
      return None
    chosen, shapes = [k in numbers for k in range(len(saved))], [shape for _, shape in saved]
    keys = sorted(filter(str.isdigit, [*store.keys()]), key=int)
    values = [store[key] for key in keys]
    start, stop = self._num_unbuilt, len(values) - len(optimizer._states)
    taken = values[:start]
    if current:
      times = (self.num_built - len(optimizer._states)) // len(current)  # averages, and the like
      states = optimizer._step.of_some(values[stop:], shapes, chosen)
      if states is None or stop - start != times * len(saved):
        return None
      taken += [*itertools.compress(values[start:stop], chosen * times), *states]
    if [*map(_shape, taken)] != [*map(_shape, optimizer.variables)]:
      return None
    return [np.asarray(x) for x in taken]

  def _misfit(self, store) -> str | None:
    """Why the store is not this optimizer's, in words."""
    optimizer, shapes = self._owner(), _shapes(store)
    shapes.pop(VARIABLES, None)
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
    shapes = {str(i): _shape(v) for i, v in enumerate(self._owner().variables)}
    return [shapes, {str(i): shapes[str(i)] for i in range(self._num_unbuilt)}]

  def _digests(self, built: bool) -> np.ndarray:
    """Whose the variables are, as `OWNER` says it."""
    optimizer = self._owner()
    variables = optimizer.shapes.values() if built else None
    return np.stack([_of_trained(optimizer._step), _sha256(str(variables and [*variables]))])


def a_whole_model_is_loaded() -> bool:
  """Whether Keras is making a model from its file, whose optimizer must fit."""
  return global_state.get_global_attribute("shared_objects/id_to_obj_map") is not None


def _are_one(saved: tuple[str, Any], own: tuple[str, Any]) -> bool:
  """Whether paths and shapes are those of one variable; a model may add its name to a path."""
  shorter, longer = sorted(["/" + saved[0], "/" + own[0]], key=len)
  return longer.endswith(shorter) and saved[1] == own[1]


def _of_trained(step: Any) -> np.ndarray:
  return _sha256(json.dumps(step.config, sort_keys=True), step.weights)


def _sha256(text: str, content: bytes = b"") -> np.ndarray:
  digest = hashlib.sha256(text.encode() + content).digest()
  return np.frombuffer(digest, np.uint8)


def _shapes(store: Mapping[str, Any]) -> dict[str, tuple]:
  return {key: _shape(store[key]) for key in [*store.keys()]}


def _shape(x: Any) -> tuple[int, ...]:
  return tuple(x.shape)
