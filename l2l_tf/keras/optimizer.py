"""A trained optimizer as a Keras optimizer, for `fit`, custom loops and Sonnet modules."""

import base64
import os
from typing import Any
import warnings

import keras
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.keras import arguments as keras_arguments
from l2l_tf.keras import saved_state
from l2l_tf.keras import watch
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import odd_part
from l2l_tf.optimizers import stored_state
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.storage.about import About
from l2l_tf.storage.files import CheckpointError

FAR = 5  # horizons: worth a warning even where nothing went wrong, see also advice.BEYOND


@keras.saving.register_keras_serializable(package="l2l_tf")
class LearnedOptimizer(keras.optimizers.Optimizer):
  """Trains a model with a trained optimizer: `model.compile(l2l_tf.LearnedOptimizer(), ...)`.

  All gradients enter the optimizer in one call, and its hidden states are variables of this Keras
  optimizer, one vector over all coordinates for each unit: they are saved and restored with it.

    theta <- theta + update_scale * update

  `update_scale` takes the place of a learning rate and is Keras's `learning_rate` under another
  name: reading or setting either is the same, so callbacks and schedules that set
  `learning_rate` scale the updates. 1 is what the optimizer was trained with.

  Note: Keras multiplies its decoupled weight decay by the learning rate, here by `update_scale`.
  Note: phi stays as it is. Nothing here trains it.
  """

  def __init__(
    self,
    optimizer: str | os.PathLike | optimizers.Optimizer = pretrained.GENERAL,
    update_scale: Any = 1.0,
    horizon: int | None = None,
    state_dtype: Any = None,
    odd: bool = False,
    **kwargs: Any,
  ):
    """Loads the optimizer.

    Args:
      optimizer: a directory (runs/NAME/best), one of `l2l_tf.pretrained.list()`, or one of
        `l2l_tf.optimizers.LEARNED`, already built. A directory comes before a name. The default is
        for any model; the others are for models like those that they were trained on.
      update_scale: constant on the updates, or a `keras.optimizers.schedules.LearningRateSchedule`.
      horizon: how many steps it was trained for; None takes what its files say. More than five
        times as many give a warning, once.
      state_dtype: float type of the hidden states between steps: "bfloat16" halves their memory.
        None takes that of phi, in which the arithmetic always is.
      odd: take the odd part of its rule, `optimizers.OddPart`: a variable without a gradient rests,
        at twice the cost.
      **kwargs: those of `keras.optimizers.Optimizer`: name, weight_decay, clipnorm, clipvalue,
        global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, loss_scale_factor,
        gradient_accumulation_steps; all mean what they mean there.

    Raises:
      ValueError: for an unknown name, or an argument that cannot be honoured.
      TypeError: if `optimizer` is something else.
      CheckpointError: if the directory holds no optimizer, or a damaged one.
      RuntimeError: if Keras runs on another backend than TensorFlow.
    """
    if keras.config.backend() != "tensorflow":
      raise RuntimeError(
        f"LearnedOptimizer needs Keras on TensorFlow; KERAS_BACKEND is {keras.config.backend()}."
      )
    keras_arguments.check_keras(kwargs)
    keras_arguments.check_bool("odd", odd)
    keras_arguments.check_horizon(horizon)
    super().__init__(keras_arguments.update_scale(update_scale), **kwargs)
    about, card, directory = About(), None, None
    if isinstance(optimizer, (str, os.PathLike)):
      name, directory = os.fspath(optimizer), pretrained.find(optimizer)
      card = None if name == directory else name
      optimizer, about = optimizer_files.load_optimizer(directory)
    if not (isinstance(optimizer, optimizers.Optimizer) and optimizer.trainable_variables):
      raise TypeError(
        "LearnedOptimizer takes a directory, a name of l2l_tf.pretrained.list() or a learned"
        f" optimizer, got {type(optimizer).__name__}."
      )
    self.learned = optimizer = odd_part.of(optimizer) if odd else optimizer
    self.horizon = about.horizon if horizon is None else horizon
    self.state_dtype = keras_arguments.state_dtype(state_dtype)
    if self.state_dtype is not None:
      optimizer = stored_state.stored(optimizer, tf.as_dtype(self.state_dtype))
    self._runner = blocks.split(optimizer, in_turn=True)
    self._warned = False
    self._watch = watch.Watch(self.name, card, directory, self.learned.scale_free)
    self._saved = saved_state.SavedState(self, len(self.variables))

  @property
  def update_scale(self):
    """The constant on the updates: Keras's `learning_rate` under another name."""
    return self.learning_rate

  @update_scale.setter
  def update_scale(self, value):
    self.learning_rate = value

  def build(self, variables):
    """Creates the hidden states for all coordinates of `variables`.

    Raises:
      ValueError: if one of them is not of a float type, or they do not fit the groups of a
        `Partition` (whose labels get the shapes and the paths, as in "0/model/conv2d/kernel").
    """
    if self.built:
      return
    for variable in variables:
      if not tf.as_dtype(variable.dtype).is_floating:
        raise ValueError(
          "LearnedOptimizer updates variables of float types only;"
          f" {keras_arguments.path(variable)} is of type {variable.dtype}."
        )
    super().build(variables)
    paths = map(keras_arguments.path, variables)
    self._names = [f"{i}/{path}" for i, path in enumerate(paths)]  # paths can repeat
    self.shapes = {
      name: tuple(variable.shape)
      for name, variable in zip(self._names, variables)
      if not self._overwrite_variable_with_gradient(variable)
    }
    with tf.init_scope():
      initial = self._initial_state()
      states = [
        self.add_variable(x.shape, lambda *_, x=x, **__: x, x.dtype.name, name=f"state_{k}")
        for k, x in enumerate(tf.nest.flatten(initial))
      ]
      self._watch.build()
    self._state = tf.nest.pack_sequence_as(initial, states)

  def reset(self):
    """Starts a new trajectory, as a new optimizer would; `update_scale` stays as it is.

    Hidden states, `iterations`, accumulated gradients and moving averages go back to the start; if
    the gradients grow it warns again.
    """
    self._iterations.assign(0)
    if not self.built:
      return
    self._watch.reset()
    initial = tf.nest.flatten(self._initial_state())
    for variable, value in zip(tf.nest.flatten(self._state), initial):
      variable.assign(value)
    for name in ("_accumulated_gradients", "_model_variables_moving_average"):
      for variable in getattr(self, name, []):
        if variable is not None:  # Keras has none for variables that gradients overwrite
          variable.assign(tf.zeros(variable.shape, variable.dtype))

  def apply(self, grads, trainable_variables=None):
    """Takes one step: as in Keras, `apply(gradients, variables)` also for Sonnet modules.

    Raises:
      ValueError: as Keras's optimizers do; if `trainable_variables` are not as many as `grads` or
        hold one twice; and for gradients of other shapes than their variables, or of no numbers
        that are real.
    """
    if trainable_variables is not None:
      trainable_variables = list(trainable_variables)
      keys = {self._var_key(v) for v in trainable_variables}
      if not len(grads) == len(trainable_variables) == len(keys):
        raise ValueError(
          f"apply() takes one gradient for each variable, and each variable once; got {len(grads)}"
          f" gradients and {len(trainable_variables)} variables, {len(keys)} of them different."
        )
    keras_arguments.check_gradients(grads, trainable_variables or self._trainable_variables)
    super().apply(grads, trainable_variables)
    self._warn_beyond_horizon()
    self._watch.report()

  def finalize_variable_values(self, var_list):
    """What `fit` calls at its end: see Keras, and the warnings."""
    super().finalize_variable_values(var_list)
    self._warn_beyond_horizon()
    self._watch.report()

  def get_config(self):
    """Returns Keras's config with the trained optimizer in it: its options and phi."""
    config = super().get_config()
    config["update_scale"] = config.pop("learning_rate")
    weights = base64.b64encode(optimizer_files.weights_to_bytes(self.learned)).decode()
    config["horizon"], config["state_dtype"] = self.horizon, self.state_dtype
    config["card"] = self._watch.card
    return {**config, "optimizer": self.learned.config(), "phi": weights}

  @classmethod
  def from_config(cls, config, custom_objects=None):
    """The inverse of `get_config`.

    Raises:
      CheckpointError: if there is no optimizer of ours in it.
    """
    config = dict(config)
    if isinstance(config.get("update_scale"), dict):
      config["update_scale"] = keras.saving.deserialize_keras_object(
        config["update_scale"], custom_objects=custom_objects
      )
    weights = _decode(config.pop("phi", None))
    source = "The config of a LearnedOptimizer"
    config["optimizer"] = optimizer_files.from_bytes(config.get("optimizer"), weights, source)
    card = config.pop("card", None)
    optimizer = cls(**config)
    optimizer._watch.card = card if card in pretrained.list() else None
    optimizer._saved.strict = saved_state.a_whole_model_is_loaded()
    return optimizer

  def save_own_variables(self, store):
    """Keeps nothing where other optimizers would take it for theirs: see `saved_state`."""

  def load_own_variables(self, store):
    """Warns and starts anew if another optimizer has kept something there.

    Raises:
      ValueError: if it is loaded with a whole model.
    """
    self._saved.look_at(store)

  def _initial_state(self):
    """The state of the learned optimizer before the first step, B = 1."""
    dtype = self.learned.trainable_variables[0].dtype
    params = {name: tf.zeros([1, *shape], dtype) for name, shape in self.shapes.items()}
    return self._runner.initial_state(params) if params else ()

  def _with_axis(self, values) -> tf.Tensor:
    """As the learned optimizer takes it: in its float type, one instance."""
    dtype = self.learned.trainable_variables[0].dtype
    return tf.cast(tf.convert_to_tensor(values), dtype)[tf.newaxis]

  def _distributed_tf_update_step(self, distribution, grads_and_vars, learning_rate):
    """Keras's hook for all variables at once, here one call for all of them on each device."""
    indices = [self._get_variable_index(v) for _, v in grads_and_vars]
    order = sorted(range(len(indices)), key=indices.__getitem__)
    gradients, variables = zip(*(grads_and_vars[k] for k in order))
    names = [self._names[indices[k]] for k in order]
    states = [v.value for v in tf.nest.flatten(self._state)]

    def update(_, gradients, variables, states, seen, update_scale):
      self._step(dict(zip(names, gradients)), variables, states, seen, update_scale)

    arguments = (gradients, variables, states, self._watch.seen, learning_rate)
    distribution.extended.update(states[0], update, args=arguments, group=False)

  def _step(self, gradients, variables, states, seen, update_scale):
    """Updates the variables, the states and what is watched on one device: tf.Variables all."""
    gradients = {
      name: self._with_axis(tf.ensure_shape(tf.convert_to_tensor(g), v.shape))
      for (name, g), v in zip(gradients.items(), variables)
    }
    params = None
    if self.learned.sees_params:
      params = {name: self._with_axis(v) for name, v in zip(gradients, variables)}
    self._watch.look(seen, list(gradients.values()))
    given = gradients
    if not (self.learned.coordinatewise or self.learned.sees_params):  # `General` takes NaN for 0
      gradients = {n: tf.where(tf.math.is_nan(g), tf.zeros_like(g), g) for n, g in given.items()}
    state = tf.nest.pack_sequence_as(self._state, [tf.convert_to_tensor(s) for s in states])
    if len(gradients) == len(self.shapes):
      updates, state = self._runner(gradients, state, params)
    else:
      updates, state = self._runner.partial_step(gradients, state, self.shapes, params)
    scale = tf.cast(update_scale, self.learned.trainable_variables[0].dtype)
    for variable, update, g in zip(variables, updates.values(), given.values()):
      if gradients is not given:  # a NaN stays where it is, as under Adam
        update = tf.where(tf.math.is_nan(g), g, update)
      variable.assign_add(tf.cast(scale * update[0], variable.dtype))
    for variable, value in zip(states, tf.nest.flatten(state)):
      variable.assign(value)

  def _warn_beyond_horizon(self):
    """Warns once; only where Python sees the steps: eagerly, or at the end of `fit`."""
    if self.horizon is None or self._warned or not tf.executing_eagerly():
      return
    steps = int(tf.convert_to_tensor(self.iterations))  # mirrored ones are no int()
    if steps > FAR * self.horizon:
      self._warned = True
      warnings.warn(
        f"{self.name} was trained to make {self.horizon} steps and has made {steps}. Learned"
        " optimizers seldom go on making progress so far beyond their horizon, and may diverge:"
        " watch the loss, lower `update_scale`, or go on with another optimizer.",
        stacklevel=3,
      )


def _decode(text) -> bytes:
  """The inverse of base64, for text that may be hostile."""
  if not isinstance(text, str) or len(text) > 2 * files.MAX_FILE_BYTES:
    raise CheckpointError("The config of a LearnedOptimizer holds no phi, or far too large a one.")
  try:
    return base64.b64decode(text, validate=True)
  except ValueError as error:
    raise CheckpointError(f"The phi of a LearnedOptimizer is no base64: {error}.") from error
