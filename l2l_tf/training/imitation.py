"""Imitation: phi is fitted to the updates of a hand-designed teacher, to start from what it knows.

Backpropagation through windows of 50 steps makes an optimizer greedy: what helps only hundreds of
steps later it cannot learn there. A teacher with a schedule of its learning rate knows it, and what
the teacher does is known for every history of gradients. So phi is fitted to that in the way of
Chen et al. 2020 (Training Stronger Baselines for Learning to Optimize, section 4), with the rounds
of Ross et al. 2011 (DAgger): trajectories of the teacher first, then the student's own, on all of
which the teacher says what it would have done with the gradients seen there. Meta-training goes on
from the phi found (`init_from` of bin/train.py).

Note: not in the paper.
"""

from collections.abc import Sequence
import functools
import hashlib
import math
from typing import Any, NamedTuple

from absl import logging
import numpy as np
import sonnet as snt
import tensorflow as tf

from l2l_tf import code
from l2l_tf import unroll
from l2l_tf.config.training import Imitation
from l2l_tf.errors import ExpectedError
from l2l_tf.optimizers import base
from l2l_tf.optimizers import hand_designed
from l2l_tf.problems import base as problem_lib
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import provenance
from l2l_tf.storage.cache import Parts
from l2l_tf.training import sampled_backprop

FLOOR = 0.1  # of the mean square of all updates, so that the last of a decay do not count alone
MAX_GRADIENT_NORM = 1.0


class Teacher(hand_designed.Adam):
  """Adam with Nesterov's momentum and a schedule (Dozat 2016; Goyal et al. 2017).

    m = beta_1 m + (1 - beta_1) g,  v = beta_2 v + (1 - beta_2) g^2
    n = (beta_1 m + (1 - beta_1) g) / (1 - beta_1^(t+1))
    update = -rate s_t n / (sqrt(v / (1 - beta_2^t)) + epsilon)
    s_t = min(t / warmup_steps, 1) (1 - (t - 1) / num_steps), at least 0

  with t = 1 at the first step and beta = (0.9, 0.99).
  """

  beta_2 = 0.99

  def __init__(self, learning_rate: float | Sequence[float], warmup_steps: int, num_steps: int):
    """Takes the highest learning rate (of each instance), and when it is reached and is 0."""
    super().__init__(learning_rate, "teacher")
    self.warmup_steps = warmup_steps
    self.num_steps = num_steps

  def update(self, g, slots, rate):
    t = slots.t + 1
    rise, fall = tf.minimum(t / self.warmup_steps, 1), tf.maximum(1 - slots.t / self.num_steps, 0)
    m = self.beta_1 * slots.m + (1 - self.beta_1) * g
    v = self.beta_2 * slots.v + (1 - self.beta_2) * g**2
    ahead = (self.beta_1 * m + (1 - self.beta_1) * g) / (1 - self.beta_1 ** (t + 1))
    size = tf.sqrt(v / (1 - self.beta_2**t)) + self.epsilon
    return -rate * rise * fall * ahead / size, hand_designed.AdamSlots(m, v, t)


class Round(NamedTuple):
  """What came of one round."""

  losses: np.ndarray  # [trajectories, num_steps + 1]: the teacher's in round 0, then the student's
  error: float  # mean square of student - teacher in the fit, 1 being that of updates of 0


class Diverged(ExpectedError, ValueError):
  """No trajectory of the teacher is finite, or phi is not."""


class Imitator:
  """Fits the phi of a coordinatewise optimizer, or of the groups of a partition of such."""

  def __init__(
    self,
    problem: problem_lib.Problem,
    optimizer: base.Optimizer,
    config: Imitation,
    parts: Parts,
    key: dict[str, Any],
  ):
    """Prepares the first round.

    Args:
      problem: whose instances the trajectories are on.
      optimizer: the student, which `round` changes.
      config: how.
      parts: keeps what is finished, so that the same calls after a stop go on there.
      key: JSON types, all that decides the results beside `config` and phi as it is now.

    Raises:
      ValueError: if the coordinates of `optimizer` depend on each other.
    """
    if not optimizer.coordinatewise:
      raise ValueError("Only optimizers whose coordinates are independent can imitate a teacher.")
    self._problem, self._optimizer, self._config = problem, optimizer, config
    self._teacher = Teacher(config.teacher_rate, config.warmup_steps, config.num_steps)
    phi = hashlib.sha256(optimizer_files.weights_to_bytes(optimizer)).hexdigest()
    about = {"phi": phi, "optimizer": optimizer.config(), "libraries": provenance.libraries()}
    about["code"] = code.digest(__name__, "l2l_tf.config.problems")
    about["devices"] = sorted({d.device_type for d in tf.config.list_logical_devices()})
    options = {name: value for name, value in config.to_dict().items() if name != "rounds"}
    self._parts, self._key = parts, {"key": key, "config": options, **about}
    total = config.rounds * config.trajectories
    stream = problem_lib.Stream.META_TRAINING
    self._seeds = problem.seeds(config.seed, stream, count=total)
    specs, _ = problem_lib.specs(problem)
    self._params = {name: tf.TensorSpec([1, *x.shape], x.dtype) for name, x in specs.items()}
    self._students = [_Student(part, own, config) for part, own in optimizer.parts(self._params)]
    self._record = {who: self._recorder(who) for who in (self._teacher, optimizer)}
    self._teach = tf.function(self._build_teach, autograph=False)

  def round(self, index: int) -> Round:
    """Records new trajectories and fits phi to the teacher on all there are.

    Args:
      index: 0, 1, ..., in this order.

    Raises:
      Diverged: if no trajectory of the teacher is finite, or phi is not.
    """
    who, count = self._optimizer if index else self._teacher, self._config.trajectories
    numbers = range(index * count, (index + 1) * count)
    recorded = [
      self._parts.get(self._key | {"trajectory": i}, functools.partial(self._trajectory, who, i))
      for i in numbers
    ]
    for points in recorded:
      if np.isfinite(points).all():
        self._add(points[:-1, 1:])
      else:
        logging.warning("A trajectory of round %d is not finite and left out.", index)
    if not self._students[0].histories:
      raise Diverged(
        f"No trajectory of the teacher is finite at `teacher_rate`={self._config.teacher_rate:g}."
      )
    result = self._parts.get(self._key | {"round": index}, lambda: self._fit(index))
    phi = self._optimizer.trainable_variables
    sizes = np.cumsum([math.prod(v.shape) for v in phi])
    for variable, value in zip(phi, np.split(result[1:], sizes[:-1])):
      variable.assign(value.reshape(variable.shape))
    return Round(np.stack([points[:, 0] for points in recorded]), float(result[0]))

  def _recorder(self, optimizer: base.Optimizer):
    """Returns functions that start a trajectory, and that follow it for a window."""
    problem, length = self._problem, self._config.unroll_length

    @tf.function(autograph=False)
    def start(seed):
      return unroll.start(problem, optimizer, seed[tf.newaxis])

    @tf.function(autograph=False)
    def follow(carry, places):
      end, losses, seen = sampled_backprop.record(problem, optimizer, carry, length)
      return end, losses[:, 0], tf.gather(seen[:, 0], places, axis=-1)

    return start, follow

  def _trajectory(self, optimizer: base.Optimizer, number: int) -> np.ndarray:
    """Returns f and gradients of a sample of the coordinates at each point, `[T + 1, 1 + m]`."""
    config, (start, follow) = self._config, self._record[optimizer]
    sample = sampled_backprop.sample(self._params, config.coordinates, [config.seed, number])
    places = tf.concat(
      [sampled_backprop.places(sample, s.params, self._params)[0] for s in self._students], axis=0
    )
    carry, first = start(tf.constant(self._seeds[number]))
    losses, gradients = [first.numpy()], []
    for _ in range(config.num_steps // config.unroll_length):
      carry, window, seen = follow(carry, places)
      losses.append(window.numpy())
      gradients.append(seen.numpy())
    gradients.append(tf.gather(base.flatten(carry.gradients), places, axis=-1).numpy())
    return np.concatenate(
      [np.concatenate(losses)[:, np.newaxis], np.concatenate(gradients)], axis=1
    )

  def _add(self, gradients: np.ndarray):
    """Has the teacher look at the gradients of a trajectory, `[T, m]`."""
    updates = self._teach(tf.constant(gradients)).numpy()
    sizes = np.cumsum([student.num_coordinates for student in self._students])[:-1]
    columns = (np.split(x, sizes, axis=1) for x in (gradients, updates))
    for student, *history in zip(self._students, *columns):
      student.histories.append(np.stack(history))

  def _build_teach(self, gradients):
    """Returns what the teacher would have done with the gradients `[T, m]`, at each step."""

    def step(before, g):
      updates, state = self._teacher({"": g[tf.newaxis]}, before[1])
      return updates[""][0], state

    zeros = tf.zeros_like(gradients[:1])
    return tf.scan(step, gradients, (zeros[0], self._teacher.initial_state({"": zeros})))[0]

  def _fit(self, index: int) -> np.ndarray:
    """Fits phi; returns the relative error and phi, one after the other."""
    dice = np.random.default_rng([self._config.seed, index])
    error = np.mean([student.fit(dice) for student in self._students])
    phi = [variable.numpy().ravel() for variable in self._optimizer.trainable_variables]
    result = np.concatenate([[error], *phi])
    result = result.astype(np.result_type(np.float32, *(x.dtype for x in phi)))
    if not np.isfinite(result).all():
      raise Diverged(f"phi diverged in round {index + 1}; lower `learning_rate`.")
    return result


class _Student:
  """A coordinatewise optimizer with what was recorded for it."""

  def __init__(self, optimizer: base.Optimizer, params: base.Params, config: Imitation):
    self.params, self._optimizer, self._config = params, optimizer, config
    sizes = [math.prod(x.shape) for x in params.values()]
    self.num_coordinates = sum(min(size, config.coordinates) for size in sizes)
    self.histories: list[np.ndarray] = []  # of gradients and wanted updates, [2, num_steps, m]
    self._phi = optimizer.trainable_variables
    (self._dtype,) = {x.dtype for x in params.values()}
    self._rate = tf.Variable(0.0, dtype=self._dtype)
    self._adam = snt.optimizers.Adam(self._rate)
    self._window = tf.function(self._build_window, autograph=False)

  def fit(self, dice: np.random.Generator) -> float:
    """Fits phi for a round; returns the mean error of its last tenth."""
    config, length = self._config, self._config.unroll_length
    seen, wanted = np.concatenate(self.histories, axis=2)
    squares = np.mean(wanted**2, axis=1)  # [T]
    weights = 1 / (squares + FLOOR * squares.mean() + 1e-30)
    for slot in (*self._adam.m, *self._adam.v, self._adam.step):
      slot.assign(tf.zeros_like(slot))  # a round that goes on after a stop begins like this too
    errors = []
    for step in range(config.fit_steps):
      self._rate.assign(
        config.learning_rate * (1 + math.cos(math.pi * step / config.fit_steps)) / 2
      )
      batch = dice.choice(seen.shape[1], min(config.batch_size, seen.shape[1]), replace=False)
      state = self._optimizer.initial_state({"": tf.zeros([1, len(batch)], self._dtype)})
      for start in range(0, config.num_steps, length):
        window = slice(start, start + length)
        arrays = (*(x[window][:, np.newaxis, batch] for x in (seen, wanted)), weights[window])
        error, state = self._window(*(tf.constant(x, self._dtype) for x in arrays), state)
        errors.append(float(error))
    of_none = np.mean(weights * squares)  # the error of updates of 0
    return float(np.mean(errors[-max(1, len(errors) // 10) :]) / of_none) if of_none else 0.0

  def _build_window(self, seen, wanted, weights, state):
    """Takes a step of Adam for a window of gradients and wanted updates, `[T, 1, m]`."""

    def follow(t, state, total):
      updates, state = self._optimizer({"": seen[t]}, state)
      return t + 1, state, total + weights[t] * tf.reduce_mean((updates[""] - wanted[t]) ** 2)

    length = seen.shape[0]
    with tf.GradientTape() as tape:
      _, state, total = tf.while_loop(
        lambda t, *_: t < length,
        follow,
        (tf.constant(0), state, tf.zeros([], self._dtype)),
        maximum_iterations=length,
      )
      error = total / length
    gradients, _ = tf.clip_by_global_norm(tape.gradient(error, self._phi), MAX_GRADIENT_NORM)
    self._adam.apply(gradients, self._phi)
    return error, state
