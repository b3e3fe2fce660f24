"""Problems from a user's Keras model."""

from collections.abc import Callable
import functools
import inspect
from typing import Any

import keras
import numpy as np
import sonnet as snt
import tensorflow as tf

from l2l_tf.problems import adapters
from l2l_tf.problems import base
from l2l_tf.problems import keras_loss
from l2l_tf.problems import minibatches
from l2l_tf.problems import reseeding

_MENDING = (
  "Give a function that makes the model in its place, or `initializer`, as in"
  " keras.initializers.RandomNormal(stddev=0.01)."
)


def from_keras(
  model: keras.Model | Callable[[], keras.Model],
  loss: Any,
  data: Any,
  batch_size: int = 128,
  initializer: keras.initializers.Initializer | None = None,
  loss_weights: Any = None,
) -> base.Problem:
  """Makes a problem of training a Keras model on random minibatches, as `fit` trains it.

      problems.from_keras(model, "sparse_categorical_crossentropy", (images, labels))

  Trainable variables are theta; the model itself never changes. f is what `fit` minimizes, computed
  by Keras's own compiled loss and the model's `compute_loss`, with `training=True`: several
  outputs, masks, sample weights, `add_loss` and regularizers count as there.

  - Dropout and other random layers draw from the seed of the step: an instance is reproducible.
  - Batch normalization normalizes by the minibatch. Non-trainable variables keep the values that
    they have now, and what a step assigns to them is dropped: f at a step is a function of theta
    and the minibatch alone. Moving averages do not matter to it.
  - Frozen layers keep their weights.

  Refused are a `train_step` or `fit` of the model's own, stateful layers, and a constraint, which
  `fit` applies after each update.

  Note: a layer that reads non-trainable variables in training (spectral normalization, batch
    renormalization) thus reads their present values at every step.

  Args:
    model: the model, or a function that makes one. One that is not built is built by calling it.
    loss: what `compile` takes: a name, a `keras.losses.Loss`, a function of (y_true, y_pred), or a
      list or dictionary of them. None: what the model is compiled with, or only what it adds
      itself (`add_loss`, `compute_loss`).
    data: x, (x, y) or (x, y, sample_weight) of arrays, each nested as in `fit`; a finite
      `tf.data.Dataset` of single examples of these; or a finite `PyDataset`, generator or other
      iterator of minibatches of these. All are loaded into memory, floats in Keras's `floatx`.
    batch_size: examples a minibatch, drawn with replacement.
    initializer: of all of theta_0, as in `keras.initializers.RandomNormal(stddev=0.01)`, the
      paper's. None: each variable's own, which are read from a second model: `model()` makes it, or
      the model's `get_config`. Either draws anew for each instance, from its seed.
    loss_weights: what `compile` takes. Class weights are sample weights, `weights[labels]`.

  Raises:
    ValueError, TypeError: for data, a loss or a model that are not as above.
    RuntimeError: if Keras runs on another backend than TensorFlow.
  """
  if keras.config.backend() != "tensorflow":
    raise RuntimeError(
      f"from_keras needs Keras on TensorFlow; KERAS_BACKEND is {keras.config.backend()}."
    )
  make: Callable[[], Any] = functools.partial(_copy, model)
  if not isinstance(model, keras.Model) and callable(model):
    make, model = model, model()
  if not isinstance(model, keras.Model):
    raise TypeError(
      f"from_keras takes a keras.Model or a function that makes one, got {type(model).__name__}."
    )
  examples = _examples(data, batch_size)
  _check_shapes(model, examples.arrays[0])
  if loss is not None and examples.arrays[1] is None and not keras_loss.has_own_loss(model):
    raise ValueError(
      "The data hold no targets y for the loss: give (x, y), or loss=None for a model that adds its"
      " own (`add_loss`, `compute_loss`)."
    )
  first = [examples.take(indices) for indices in examples.extremes()]
  f = keras_loss.FitLoss(model, loss, loss_weights, first)
  names = _names(f.variables)
  draw = reseeding.redraw(lambda: _initial_values(model, make, first[0][0], initializer))

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    return dict(zip(names, draw(seed))), {}

  def loss_at(
    params: base.Params, task: base.Task, seed: base.Seed, indices: tf.Tensor
  ) -> tf.Tensor:
    del task
    value = f([params[name] for name in names], seed, examples.take(indices))
    return tf.cast(value, next(iter(params.values())).dtype)

  return adapters.adapt(init, loss_at, examples.draw)


def _examples(data: Any, batch_size: int) -> minibatches.Minibatches:
  """The data as (x, y, sample_weight), None where there are none, in the types of `fit`."""
  if isinstance(data, keras.utils.PyDataset):
    if data.num_batches is None:
      raise ValueError("The PyDataset never ends, and cannot be loaded; give it a `__len__`.")
    data = map(data.__getitem__, range(data.num_batches))
  loaded = minibatches.load(data)
  try:
    parts = keras.utils.unpack_x_y_sample_weight(loaded)
  except ValueError as error:
    raise ValueError(
      f"The data must be x, (x, y) or (x, y, sample_weight), got {len(loaded)} parts."
    ) from error
  floatx = np.dtype(keras.config.floatx())

  def as_fit(array: Any) -> Any:
    cast = array.dtype.kind == "f" or array.dtype == tf.bfloat16.as_numpy_dtype
    return array.astype(floatx) if cast else array

  return minibatches.Minibatches(minibatches.map_arrays(as_fit, parts), batch_size)


def _check_shapes(model: keras.Model, x: Any) -> None:
  """Raises ValueError if the model has one input, of another shape than the examples `x`."""
  expected = getattr(model, "input_shape", None) if model.built else None
  if not isinstance(x, tf.Tensor) or type(expected) is not tuple or None in expected[1:]:
    return
  if tuple(x.shape[1:]) != expected[1:]:
    raise ValueError(
      f"The model takes examples of shape {expected[1:]}, those of the data are of shape"
      f" {tuple(x.shape[1:])}. A dataset of batches gives examples after `.unbatch()`."
    )


def _names(variables: list[keras.Variable]) -> list[str]:
  """Readable names, "dense/kernel"; numbered if two are the same."""
  paths = [v.path for v in variables]
  if len(set(paths)) < len(paths):
    return [f"{i}/{path}" for i, path in enumerate(paths)]
  return paths


def _initial_values(
  model: keras.Model,
  make: Callable[[], keras.Model],
  x: Any,
  initializer: keras.initializers.Initializer | None,
) -> list[tf.Tensor]:
  """One draw of theta_0, by one initializer or by the variables' own."""
  if initializer is not None:
    return [initializer(v.shape, dtype=v.dtype) for v in model.trainable_variables]
  shapes = [tuple(v.shape) for v in model.trainable_variables]
  graph = tf.compat.v1.get_default_graph()

  def drawn(next_creator: Any, initial_value: Any, **options: Any) -> Any:
    with graph.as_default():  # where Keras has left it, too
      value = initial_value() if callable(initial_value) else initial_value
      return next_creator(initial_value=value, **options)

  with snt.functional.variables(), tf.variable_creator_scope(drawn):  # they are what is drawn
    copy = make()
    if len(copy.trainable_variables) < len(shapes):  # not built, or some are made while called
      try:
        copy(x)
      except Exception as error:  # whatever a user's layers raise
        raise ValueError(
          f"A second {type(model).__name__} cannot be called in a graph: its theta_0 is not known"
          f" ({' '.join(str(error).split()):.200}). A layer that assigns to a tf.Variable has no f"
          f" that is a function of theta. {_MENDING}"
        ) from error
    values = [tf.convert_to_tensor(v.value) for v in copy.trainable_variables]
  if [tuple(v.shape) for v in values] != shapes:
    raise ValueError(
      f"A second {type(model).__name__} has trainable variables of shapes"
      f" {[tuple(v.shape) for v in values]}, the model itself {shapes}. {_MENDING}"
    )
  return values


def _copy(model: keras.Model) -> keras.Model:
  """A new model of the same configuration."""
  kind = type(model)
  foreign = {"name", "trainable", "dtype"} - set(inspect.signature(kind).parameters)
  try:
    config = model.get_config()
    try:
      return kind.from_config(config)
    except TypeError:  # a user's __init__ may not take what the config of every layer has
      return kind(**{key: value for key, value in config.items() if key not in foreign})
  except Exception as error:  # whatever a user's layers raise
    reason = " ".join(str(error).split())
    raise ValueError(
      f"{kind.__name__} cannot be copied by its get_config(), so its initializers are not known"
      f" ({reason:.200}). {_MENDING}"
    ) from error
