"""A trained optimizer as a Keras optimizer, for `fit`, custom loops and Sonnet modules."""

import os
from typing import TYPE_CHECKING, Any
import warnings

import keras

from l2l_tf import pretrained
from l2l_tf.keras import arguments as keras_arguments
from l2l_tf.keras import backends
from l2l_tf.keras import saved_state
from l2l_tf.keras import steps
from l2l_tf.keras.backends import ON_TENSORFLOW
from l2l_tf.storage import phi_files
from l2l_tf.storage.about import About

if TYPE_CHECKING:
  from l2l_tf import optimizers

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
    optimizer: Any = pretrained.GENERAL,
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
      odd: take the odd part of its rule, `optimizers.OddPart`: what has had no gradient but 0
        rests, at twice the states and 1.8 times the time.
      **kwargs: those of `keras.optimizers.Optimizer`: name, weight_decay, clipnorm, clipvalue,
        global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, loss_scale_factor,
        gradient_accumulation_steps; all mean what they mean there.

    Raises:
      ValueError: for an unknown name, or an argument that cannot be honoured.
      TypeError: if `optimizer` is something else.
      CheckpointError: if the directory holds no optimizer, or a damaged one.
      RuntimeError: for another than a general rule where Keras runs on JAX or PyTorch.
    """
    keras_arguments.check_keras(kwargs)
    keras_arguments.check_bool("odd", odd)
    keras_arguments.check_horizon(horizon)
    super().__init__(keras_arguments.update_scale(update_scale), **kwargs)
    card, directory = None, None
    if isinstance(optimizer, (str, os.PathLike)):
      name, directory = os.fspath(optimizer), pretrained.find(optimizer)
      card = None if name == directory else name
      optimizer = phi_files.read(directory)
    self.state_dtype = keras_arguments.state_dtype(state_dtype)
    self._step = steps.of(optimizer, self.state_dtype, odd)
    about = optimizer.about if isinstance(optimizer, phi_files.Trained) else About()
    self.horizon = about.horizon if horizon is None else horizon
    self._card = card
    self._warned = False
    self._watch = None
    if ON_TENSORFLOW:
      from l2l_tf.keras import watch

      self._watch = watch.Watch(self.name, card, directory, self._step.scale_free)
    self._saved = saved_state.SavedState(self)

  @property
  def learned(self) -> "optimizers.Optimizer":
    """The trained optimizer as a module, for TensorFlow; of a general rule another one each time.

    Raises:
      MissingPackage: without TensorFlow or Sonnet.
    """
    return steps.module_of(self._step)

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
      if not keras.backend.is_float_dtype(keras_arguments.dtype(variable)):
        raise ValueError(
          "LearnedOptimizer updates variables of float types only;"
          f" {keras_arguments.path(variable)} is of type {keras_arguments.dtype(variable)}."
        )
    count = len(self.variables)
    super().build(variables)
    paths = map(keras_arguments.path, variables)
    self._names = [f"{i}/{path}" for i, path in enumerate(paths)]  # paths can repeat
    self.shapes = {
      name: tuple(variable.shape)
      for name, variable in zip(self._names, variables)
      if not self._overwrite_variable_with_gradient(variable)
    }
    with backends.outside_of_graphs():
      self._states = [
        self.add_variable(
          x.shape, lambda *_, x=x, **__: x, keras_arguments.dtype(x), name=f"state_{k}"
        )
        for k, x in enumerate(self._step.initial_state(self.shapes))
      ]
      if self._watch:
        self._watch.build()
    self._saved.num_built = len(self.variables) - count

  def reset(self):
    """Starts a new trajectory, as a new optimizer would; `update_scale` stays as it is.

    Hidden states, `iterations`, accumulated gradients and moving averages go back to the start; if
    the gradients grow it warns again.
    """
    self._iterations.assign(0)
    if not self.built:
      return
    if self._watch:
      self._watch.reset()
    for variable, value in zip(self._states, self._step.initial_state(self.shapes)):
      variable.assign(value)
    for name in ("_accumulated_gradients", "_model_variables_moving_average"):
      for variable in getattr(self, name, []):
        if variable is not None:  # Keras has none for variables that gradients overwrite
          variable.assign(keras.ops.zeros(variable.shape, keras_arguments.dtype(variable)))

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
    self._report()

  def finalize_variable_values(self, var_list):
    """What `fit` calls at its end: see Keras, and the warnings."""
    super().finalize_variable_values(var_list)
    self._report()

  def get_config(self):
    """Returns Keras's config with the trained optimizer in it: its options and phi."""
    config = super().get_config()
    config["update_scale"] = config.pop("learning_rate")
    return {
      **config,
      "horizon": self.horizon,
      "state_dtype": self.state_dtype,
      "card": self._card,
      "optimizer": self._step.config,
      "phi": phi_files.to_text(self._step.weights),
    }

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
    source = "The config of a LearnedOptimizer"
    weights = phi_files.from_text(config.pop("phi", None), source)
    config["optimizer"] = phi_files.Trained(config.get("optimizer"), weights, About(), source)
    card = config.pop("card", None)
    optimizer = cls(**config)
    optimizer._card = card if card in pretrained.list() else None
    if optimizer._watch:
      optimizer._watch.card = optimizer._card
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

  def _backend_update_step(self, grads, trainable_variables, learning_rate):
    """Keras's hook for all variables at once, on every backend but TensorFlow."""
    if ON_TENSORFLOW:
      super()._backend_update_step(grads, trainable_variables, learning_rate)
      return
    with backends.without_gradients():
      names, grads, variables = self._in_order(grads, trainable_variables)
      self._update(names, grads, variables, self._states, learning_rate)

  def _distributed_tf_update_step(self, distribution, grads_and_vars, learning_rate):
    """The same hook on TensorFlow: one call for all of them on each device."""
    names, grads, variables = self._in_order(*zip(*grads_and_vars))
    states = [v.value for v in self._states]

    def update(_, grads, variables, states, seen, learning_rate):
      grads = [backends.tensor(g, v.shape) for g, v in zip(grads, variables)]
      self._watch.look(seen, grads)
      self._update(names, grads, variables, states, learning_rate)

    arguments = (grads, variables, states, self._watch.seen, learning_rate)
    distribution.extended.update(states[0], update, args=arguments, group=False)

  def _in_order(self, grads, variables):
    """The names, gradients and variables of those that take part, in the order of `build`."""
    indices = [self._get_variable_index(v) for v in variables]
    order = sorted(range(len(indices)), key=indices.__getitem__)
    names = [self._names[indices[k]] for k in order]
    return names, [grads[k] for k in order], [variables[k] for k in order]

  def _update(self, names, grads, variables, states, update_scale):
    """Updates the variables and the states on one device."""
    values = [backends.tensor(v) for v in variables]
    updates, new = self._step(
      dict(zip(names, grads)),
      dict(zip(names, values)),
      [backends.tensor(state) for state in states],
      backends.tensor(update_scale),
    )
    backends.assign(variables, updates, states, new)

  def _report(self):
    """Warns if it is time; only where Python sees the steps: eagerly, or at the end of `fit`."""
    if not ON_TENSORFLOW:
      return
    import tensorflow as tf

    if tf.executing_eagerly():
      self._warn_beyond_horizon(int(tf.convert_to_tensor(self.iterations)))  # no int() if mirrored
      self._watch.report()

  def _warn_beyond_horizon(self, steps: int):
    """Warns once."""
    if self.horizon is not None and not self._warned and steps > FAR * self.horizon:
      self._warned = True
      warnings.warn(
        f"{self.name} was trained to make {self.horizon} steps and has made {steps}. Learned"
        " optimizers seldom go on making progress so far beyond their horizon, and may diverge:"
        " watch the loss, lower `update_scale`, or go on with another optimizer.",
        stacklevel=4,
      )
