"""Problems from a user's Keras model."""

import functools
import inspect
from typing import Any, Callable, Optional

import keras
import tensorflow as tf

from l2l_tf.problems import adapters
from l2l_tf.problems import base
from l2l_tf.problems import minibatches
from l2l_tf.problems import reseeding

_SEED_STATE = "seed_generator_state"  # the name of the variable of a `keras.random.SeedGenerator`

_MENDING = (
  "Give a function that makes the model in its place, or `initializer`, as in"
  " keras.initializers.RandomNormal(stddev=0.01)."
)


def from_keras(
  model: keras.Model | Callable[[], keras.Model],
  loss: str | keras.Loss | Callable[..., tf.Tensor],
  data: Any,
  batch_size: int = 128,
  initializer: Optional[keras.initializers.Initializer] = None,
) -> base.Problem:
  """Makes a problem of training a Keras model on random minibatches, as `fit` trains it.

      problems.from_keras(model, "sparse_categorical_crossentropy", (images, labels))

  Trainable variables are theta, `model.stateless_call` computes f; the model itself never changes.
  f is what `fit` minimizes: the mean loss of a minibatch plus the model's regularization losses,
  with `training=True`:

  - Dropout and other random layers draw from the seed of the step: an instance is reproducible.
  - Batch normalization normalizes by the minibatch. Non-trainable variables keep the values that
    they have now, and what a step assigns to them is dropped: f at a step is a function of theta
    and the minibatch alone. Moving averages do not matter to it.
  - Frozen layers keep their weights.

  Note: a layer that reads non-trainable variables in training (spectral normalization, batch
    renormalization) thus reads their present values at every step.

  Args:
    model: the model, or a function that makes one. One that is not built is built by calling it.
    loss: what `compile` takes: a name, a `keras.losses.Loss`, or a function of (y_true, y_pred),
      whose values are averaged.
    data: a pair (x, y) of arrays, x and y as in `fit`, or a finite `tf.data.Dataset` of single
      examples (x, y), which is loaded into memory.
    batch_size: examples a minibatch, drawn with replacement.
    initializer: of all of theta_0, as in `keras.initializers.RandomNormal(stddev=0.01)`, the
      paper's. None: each variable's own, which are read from a second model: `model()` makes it, or
      the model's `get_config`. Either draws anew for each instance, from its seed.

  Raises:
    ValueError, TypeError: for data, a loss or a model that are not as above.
    RuntimeError: if Keras runs on another backend than TensorFlow.
  """
  if keras.config.backend() != "tensorflow":
    raise RuntimeError(
      f"from_keras needs Keras on TensorFlow; KERAS_BACKEND is {keras.config.backend()}."
    )
  make = functools.partial(_copy, model)
  if not isinstance(model, keras.Model) and callable(model):
    make, model = model, model()
  if not isinstance(model, keras.Model):
    raise TypeError(
      f"from_keras takes a keras.Model or a function that makes one, got {type(model).__name__}."
    )
  examples = minibatches.Minibatches(data, batch_size)
  if type(examples.arrays) not in (tuple, list) or len(examples.arrays) != 2:
    raise ValueError(f"The data must be a pair (x, y), got {type(data).__name__}.")
  _check_shapes(model, examples)
  if not model.built:
    model(examples.take([0])[0])
  losses = _mean_loss(loss)
  names = _names(model.trainable_variables)
  draw = reseeding.redraw(lambda: _initial_values(model, make, examples, initializer))
  kept = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
  seeded = [v.name == _SEED_STATE for v in model.non_trainable_variables]
  mode = {"training": True} if "training" in inspect.signature(model.call).parameters else {}

  def init(seed):
    return dict(zip(names, draw(seed))), {}

  def loss_at(params, task, seed, indices):
    del task
    x, y = examples.take(indices)
    seeds = iter(tf.unstack(tf.random.split(seed, sum(seeded))) if any(seeded) else ())
    state = [tf.cast(next(seeds), k.dtype) if is_seed else k for k, is_seed in zip(kept, seeded)]
    prediction, _, extra = model.stateless_call(
      [params[name] for name in names], state, x, return_losses=True, **mode
    )
    dtype = next(iter(params.values())).dtype
    value = losses(y, prediction)
    return tf.add_n([tf.cast(v, dtype) for v in (value, *extra)])

  return adapters.adapt(init, loss_at, examples.draw)


def _mean_loss(loss: Any) -> Callable[..., tf.Tensor]:
  """What `compile` makes of a loss: a function of (y_true, y_pred) that returns a scalar."""
  loss = keras.losses.get(loss)
  if not callable(loss):
    raise TypeError(f"loss must be a name, a keras.losses.Loss or a function, got {loss!r}.")
  if isinstance(loss, keras.Loss):
    return loss
  loss = adapters.converted(loss)
  return lambda y_true, y_pred: tf.reduce_mean(loss(*_same_rank(y_true, y_pred)))


def _same_rank(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
  """As `compile` does: `[batch]` meets `[batch, 1]` as `[batch, 1]`, and is not broadcast."""
  if isinstance(y_true, tf.Tensor) and isinstance(y_pred, tf.Tensor):
    ranks = y_true.shape.rank, y_pred.shape.rank
    if ranks[0] + 1 == ranks[1] and y_pred.shape[-1] == 1:
      return y_true[..., tf.newaxis], y_pred
    if ranks[0] == ranks[1] + 1 and y_true.shape[-1] == 1:
      return y_true, y_pred[..., tf.newaxis]
  return y_true, y_pred


def _check_shapes(model: keras.Model, examples: minibatches.Minibatches):
  """Raises ValueError if the model has one input, of another shape than the examples."""
  x = examples.arrays[0]
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
  examples: minibatches.Minibatches,
  initializer: Optional[keras.initializers.Initializer],
) -> list[tf.Tensor]:
  """One draw of theta_0, by one initializer or by the variables' own."""
  if initializer is not None:
    return [initializer(v.shape, dtype=v.dtype) for v in model.trainable_variables]
  shapes = [tuple(v.shape) for v in model.trainable_variables]
  with keras.StatelessScope(initialize_variables=False):  # variables are made, not initialized:
    copy = make()
    if not copy.built:
      copy(examples.take([0])[0])
    values = [v.value for v in copy.trainable_variables]  # their values are draws of initializers
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
