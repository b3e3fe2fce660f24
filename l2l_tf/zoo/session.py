"""One task and one rival, compiled once: many steps in one call, anew for each seed."""

from collections.abc import Sequence
import math
import time
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from l2l_tf.zoo.rivals import Rival
from l2l_tf.zoo.task import Task
from l2l_tf.zoo.task import minibatches

CHUNK = 100  # steps in one call
TEST_BATCH = 250
FRESH_BATCHES = 200  # on which the loss of a published problem is measured at the end


class Trajectory(NamedTuple):
  """What one run gave.

  Attributes:
    losses: of the minibatches before each step, float32 `[T]`; NaN from where it broke off.
    held_out: by number of steps, the logs of `evaluate` on the held-out examples.
    fresh_loss: of a task with `skip`: the mean over 200 further minibatches after the last step.
    ms_per_step: processor time, the median over calls of `CHUNK` steps without the first; None if
      there is no second.
  """

  losses: np.ndarray
  held_out: dict[int, dict[str, float]]
  fresh_loss: float | None
  ms_per_step: float | None


class Session:
  """A model with an optimizer, ready to be trained from any seed.

  The losses are those that `fit` would report for each minibatch. Every run starts from the weights
  that the seed gives to a model built anew, and from the state that the optimizer was built with.
  """

  def __init__(self, task: Task, rival: Rival, horizon: int):
    """Builds and compiles.

    Args:
      task: gives model and data.
      rival: gives the optimizer.
      horizon: steps of the runs, for rivals that must know.

    Raises:
      DataError: if the data cannot be had.
      ValueError: if the model has more parameters than the rival can take.
    """
    self._task, self._averaged = task, rival.averaged
    self.data = task.data()
    self.data_digest = self.data.digest
    self.optimizer = rival.build(horizon)
    self.model = task.build(self.optimizer)
    if rival.max_parameters and self.num_parameters > rival.max_parameters:
      raise ValueError(
        f"{rival.name} is for {rival.max_parameters} parameters at most, here are"
        f" {self.num_parameters}: its state grows with their square."
      )
    self.optimizer.build(self.model.trainable_variables)
    self._start = [v.numpy() for v in self.optimizer.variables]
    self.model.test_step(_take(_constants(self.data.train), self.order(0, 1)[0]))
    self._steps = tf.function(self._loop(self._train_step), autograph=False)
    self._tests = tf.function(self._loop(self.model.test_step), autograph=False)

  @property
  def num_parameters(self) -> int:
    """Of the model, trainable ones."""
    return sum(math.prod(v.shape) for v in self.model.trainable_variables)

  @property
  def state_bytes(self) -> int:
    """Of the optimizer's variables but scalars, such as its counter and its learning rate."""
    variables = [v for v in self.optimizer.variables if len(v.shape)]
    return sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)

  def run(self, seed: int, num_steps: int, marks: Sequence[int]) -> Trajectory:
    """Trains from the start; breaks off where the loss is no number any more.

    Args:
      seed: of theta_0 and of the order of the minibatches.
      num_steps: T.
      marks: numbers of steps, multiples of `CHUNK`, after which held-out examples are looked at.
    """
    self.reset(seed)
    train = _constants(self.data.train)
    order = self.order(seed, num_steps)
    losses, held_out, times = np.full(num_steps, np.nan, np.float32), {}, []
    for first in range(0, num_steps, CHUNK):
      started = time.process_time()
      chunk = self._steps(train, order[first : first + CHUNK])["loss"].numpy()
      times.append((time.process_time() - started) / len(chunk))
      losses[first : first + CHUNK] = chunk
      if not np.isfinite(chunk[-1]):
        break
      if first + CHUNK in marks:
        held_out[first + CHUNK] = self.evaluate()
    times = times[1:] if num_steps % CHUNK == 0 else times[1:-1]
    fresh = self._fresh_loss(seed, num_steps) if self._task.skip[0] else None
    return Trajectory(losses, held_out, fresh, 1e3 * float(np.median(times)) if times else None)

  def order(self, seed: int, num_steps: int) -> np.ndarray:
    """The minibatches of a run, see `minibatches`."""
    num_examples = len(keras.tree.flatten(self.data.train)[0])
    task = self._task
    return minibatches(seed, num_examples, task.batch_size, num_steps, task.skip)

  def reset(self, seed: int):
    """Goes back to the start: theta_0 of the seed, everything else as built."""
    keras.utils.set_random_seed(seed)
    fresh = self._task.build(keras.optimizers.SGD())
    for variable, value in zip(_state(self.model), _state(fresh), strict=True):
      variable.assign(value)
    for variable, value in zip(self.optimizer.variables, self._start, strict=True):
      variable.assign(value)

  def evaluate(self) -> dict[str, float]:
    """The logs of the held-out examples, at the averaged weights of a rival that has them."""
    with _Averaged(self):
      return self._evaluate(self.data.test, len(keras.tree.flatten(self.data.test)[0]))

  def _evaluate(self, examples: Any, count: int) -> dict[str, float]:
    whole, rest = divmod(count, TEST_BATCH)
    indices = np.arange(count, dtype=np.int32)
    cuts = [indices[: whole * TEST_BATCH].reshape(whole, TEST_BATCH)] if whole else []
    cuts += [indices[-rest:][np.newaxis]] if rest else []
    self.model.reset_metrics()
    for cut in cuts:
      logs = self._tests(_constants(examples), cut)
    return {name: float(values[-1]) for name, values in logs.items()}

  def _fresh_loss(self, seed: int, num_steps: int) -> float | None:
    """The mean loss of minibatches that come after those of the run."""
    order = self.order(seed, num_steps + FRESH_BATCHES)[num_steps:]
    self.model.reset_metrics()
    with _Averaged(self):
      logs = self._tests(_constants(self.data.train), order)
    return float(logs["loss"][-1])

  def _loop(self, step):
    """A function of examples and indices int32 `[T, B]` to the logs of T steps, each `[T]`."""

    def loop(examples, indices):
      indices = tf.convert_to_tensor(indices)
      count = tf.shape(indices)[0]
      names = sorted(self._names())

      def body(k, arrays):
        logs = step(_take(examples, indices[k]))
        arrays = [a.write(k, tf.cast(logs[name], tf.float32)) for a, name in zip(arrays, names)]
        return k + 1, arrays

      arrays = [tf.TensorArray(tf.float32, count, element_shape=[]) for _ in names]
      _, arrays = tf.while_loop(lambda k, _: k < count, body, (0, arrays), parallel_iterations=1)
      return {name: array.stack() for name, array in zip(names, arrays)}

    return loop

  def _names(self) -> list[str]:
    return [name for name in self.model.get_metrics_result()]

  def _train_step(self, batch):
    """One step of training; the logs of this minibatch alone."""
    self._forget()
    if not self._averaged:
      return self.model.train_step(batch)
    logs = self._logs_at_average(batch)
    self.model.train_step(batch)
    return logs

  def _forget(self):
    for metric in self.model.metrics:
      metric.reset_state()

  def _logs_at_average(self, batch):
    """What a step of training would report at the averaged weights; changes nothing."""
    kept = [(v, tf.identity(v.value)) for v in _state(self.model)]
    for variable, value in zip(self.model.trainable_variables, self.optimizer.averaged()):
      variable.assign(value)
    optimizer, self.model.optimizer = self.model.optimizer, _Idle()
    try:
      logs = {name: tf.identity(value) for name, value in self.model.train_step(batch).items()}
    finally:
      self.model.optimizer = optimizer
    for variable, value in kept:
      variable.assign(value)
    self._forget()
    return logs


class _Averaged:
  """With this, the model has the averaged weights of a rival that has them."""

  def __init__(self, session: Session):
    self._session = session
    self._kept = None

  def __enter__(self):
    if self._session._averaged:
      variables = self._session.model.trainable_variables
      averaged = [x.numpy() for x in self._session.optimizer.averaged()]
      self._kept = [(v, v.numpy()) for v in variables]
      for variable, value in zip(variables, averaged):
        variable.assign(value)

  def __exit__(self, *_):
    for variable, value in self._kept or []:
      variable.assign(value)


class _Idle:
  """Stands in for an optimizer where a step of training shall change no weight."""

  def scale_loss(self, loss):
    return loss

  def apply(self, grads, trainable_variables=None):
    del grads, trainable_variables

  def apply_gradients(self, grads_and_vars):
    list(grads_and_vars)


def _state(model: keras.Model) -> list:
  """Weights, statistics and seeds, without those of the metrics."""
  metrics = {id(v) for v in model.metrics_variables}
  return [v for v in model.variables if id(v) not in metrics]


def _constants(data: Any) -> Any:
  return keras.tree.map_structure(tf.convert_to_tensor, data)


def _take(examples: Any, indices) -> Any:
  return keras.tree.map_structure(lambda array: tf.gather(array, indices), examples)
