"""The updates that optimizers propose for single coordinates (section 4, Figures 9 and 10).

A learned optimizer runs on one instance. At every step its rivals see the gradient that it sees, at
its own iterate, and propose an update too; only the learned optimizer moves theta. So all have the
same history of gradients. At chosen steps the gradient of one coordinate is then swept through a
range, with everything before that step as it was: the update as a function of the current gradient.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from l2l_tf import unroll
from l2l_tf.inspection.coordinates import Coordinate
from l2l_tf.inspection.coordinates import positions
from l2l_tf.inspection.proposal_files import LEARNED
from l2l_tf.optimizers import axes
from l2l_tf.optimizers import base
from l2l_tf.problems import base as problem_lib

COORDINATES_AT_ONCE = 80_000  # in a batch of sweeps of all n coordinates: bounds the memory
MARGIN = 1.1  # by how much a range exceeds the gradients seen


class Gradients(NamedTuple):
  """How large the gradients of one instance are along a trajectory; shaped as its parameters."""

  rms: dict[str, np.ndarray]  # root mean square over the steps
  largest: dict[str, np.ndarray]  # of their magnitudes


class Proposals(NamedTuple):
  """What the optimizers proposed for C coordinates; row t of T belongs to step t + 1.

  Step t + 1 sees the gradient at theta_t and goes from there to theta_{t+1}.
  """

  losses: np.ndarray  # f(theta_0), ..., f(theta_T), [T+1]
  gradients: np.ndarray  # seen, [T, C]
  updates: dict[str, np.ndarray]  # proposed along the trajectory, [T, C] by optimizer
  swept: dict[str, np.ndarray]  # proposed if the gradient were another, [K, C, V] by optimizer

  def entries(self, coordinates: Sequence[Coordinate], values: np.ndarray) -> dict[str, dict]:
    """The same by the names of the coordinates: what is drawn, and what files hold.

    Args:
      coordinates: C of them.
      values: that were swept, `[C, V]`.

    Returns:
      For each coordinate its `gradients` `[T]`, `updates` (`[T]` by optimizer), `swept_gradients`
      `[V]` and `swept_updates` (`[K, V]` by optimizer).
    """
    return {
      str(coordinate): {
        "gradients": self.gradients[:, c],
        "updates": {name: u[:, c] for name, u in self.updates.items()},
        "swept_gradients": values[c],
        "swept_updates": {name: u[:, c] for name, u in self.swept.items()},
      }
      for c, coordinate in enumerate(coordinates)
    }


def gradients_along(
  problem: problem_lib.Problem, optimizer: base.Optimizer, seed: np.ndarray, num_steps: int
) -> Gradients:
  """Runs `optimizer` from `seed`, int32 `[2]`, for `num_steps`, and measures all gradients."""

  @tf.function(autograph=False)
  def run(seeds):
    carry, _ = unroll.start(problem, optimizer, seeds)
    zeros = tf.nest.map_structure(tf.zeros_like, carry.gradients)

    def body(t, carry, squares, largest):
      squares = {name: squares[name] + g**2 for name, g in carry.gradients.items()}
      largest = {name: tf.maximum(largest[name], tf.abs(g)) for name, g in carry.gradients.items()}
      carry, _ = unroll.unroll(problem, optimizer, carry, 1)
      return t + 1, carry, squares, largest

    start = (tf.constant(0), carry, zeros, zeros)
    _, _, squares, largest = tf.while_loop(lambda t, *_: t < num_steps, body, start)
    return Gradients({name: tf.sqrt(s / num_steps) for name, s in squares.items()}, largest)

  return tf.nest.map_structure(lambda x: x.numpy()[0], run(tf.constant([seed])))


def sweeps(limits: Sequence[float] | np.ndarray, count: int) -> np.ndarray:
  """Gradients from -limit to limit for each of C limits, `[C, count]`.

  They are cubes of evenly spaced numbers, denser around 0: there learned updates change fastest.
  """
  return (np.asarray(limits)[:, np.newaxis] * np.linspace(-1, 1, count) ** 3).astype(np.float32)


def limits(largest: np.ndarray) -> np.ndarray:
  """The range for each coordinate, `[C]`, whose largest gradient seen is given.

  A little more, rounded up to 1, 1.5, 2, 3, 5 or 7 times a power of ten; 1 where nothing was seen.
  """
  wanted = np.where(largest > 0, MARGIN * np.asarray(largest, np.float64), 1.0)
  power = 10.0 ** np.floor(np.log10(wanted))
  steps = np.array([1, 1.5, 2, 3, 5, 7, 10])
  return power * steps[np.argmax(steps >= (wanted / power)[:, np.newaxis] * (1 - 1e-9), axis=1)]


class Recorder:
  """Records the proposals of `optimizer` and its rivals; compiled once for all its calls."""

  def __init__(
    self,
    problem: problem_lib.Problem,
    optimizer: base.Optimizer,
    rivals: Mapping[str, base.Optimizer],
    coordinates: Sequence[Coordinate],
    num_steps: int,
    steps: Sequence[int],
  ):
    """Chooses what is recorded.

    Args:
      problem: what is optimized.
      optimizer: what optimizes it; any.
      rivals: optimizers by name that propose without moving theta; coordinatewise ones.
      coordinates: C of them.
      num_steps: T.
      steps: the K steps whose gradient is swept, increasing, of 1..T.

    Raises:
      ValueError: for a rival that is not coordinatewise or is called "learned", or for other steps.
    """
    for name, rival in rivals.items():
      if name == LEARNED or not rival.coordinatewise:
        raise ValueError(f"A rival is coordinatewise and not called {LEARNED!r}, got {name!r}.")
    if list(steps) != sorted({t for t in steps if 1 <= t <= num_steps}):
      raise ValueError(f"steps must increase within 1..{num_steps}, got {list(steps)}.")
    self._problem = problem
    self._witness = _Witness(optimizer, coordinates, problem_lib.shapes(problem))
    self._rivals = dict(rivals)
    self._num_steps = num_steps
    self._rows = np.array(steps, int) - 1
    self._run = tf.function(self._build, autograph=False)

  def __call__(self, seed: np.ndarray, values: np.ndarray) -> Proposals:
    """Runs the instance of `seed`, int32 `[2]`; sweeps through `values`, float32 `[C, V]`."""
    proposals = self._run(tf.constant(seed[np.newaxis]), tf.constant(values.T))
    return tf.nest.map_structure(lambda x: x.numpy(), proposals)

  def _build(self, seeds: tf.Tensor, values: tf.Tensor) -> Proposals:
    """The graph: one loop over the steps, all values of a sweep, `[V, C]`, side by side."""
    carry, first = unroll.start(self._problem, self._witness, seeds)
    chosen = np.isin(np.arange(self._num_steps), self._rows)
    states = {name: rival.initial_state({"x": values[:1]}) for name, rival in self._rivals.items()}
    step = tf.function(
      lambda *args: self._step(tf.constant(chosen), values, *args), autograph=False
    )
    *_, row = step.get_concrete_function(tf.constant(0), carry, states).structured_outputs
    arrays = tf.nest.map_structure(
      lambda x: tf.TensorArray(x.dtype, self._num_steps, element_shape=x.shape), row
    )

    def body(t, carry, states, arrays):
      carry, states, row = step(t, carry, states)
      arrays = tf.nest.map_structure(lambda array, value: array.write(t, value), arrays, row)
      return t + 1, carry, states, arrays

    loop = (tf.constant(0), carry, states, arrays)
    *_, arrays = tf.while_loop(lambda t, *_: t < self._num_steps, body, loop)
    rows = tf.nest.map_structure(lambda array: array.stack(), arrays)
    return Proposals(
      tf.concat([first, rows.losses], axis=0),
      rows.gradients,
      rows.updates,
      {name: tf.gather(swept, self._rows) for name, swept in rows.swept.items()},
    )

  def _step(self, chosen, values, t, carry, states):
    """One step of everybody: the next carry, the rivals' next states, and what was proposed."""
    seen = self._witness.pick(carry.gradients)  # [1, C]

    def sweep():
      learned = self._witness.sweep(carry, values)
      swept = {LEARNED: tf.transpose(learned)}
      for name, rival in self._rivals.items():
        swept[name] = tf.transpose(_sweep_together(rival, states[name], values))
      return swept

    zeros = {name: tf.zeros(values.shape[::-1]) for name in (LEARNED, *self._rivals)}
    swept = tf.cond(chosen[t], sweep, lambda: zeros)  # [C, V]
    carry, loss = unroll.unroll(self._problem, self._witness, carry, 1)
    updates, next_states = {LEARNED: carry.state.updates[0]}, {}
    for name, rival in self._rivals.items():
      proposed, next_states[name] = rival({"x": seen}, states[name])
      updates[name] = proposed["x"][0]
    return carry, next_states, Proposals(loss[0, 0], seen[0], updates, swept)


class _WitnessState(NamedTuple):
  state: base.State  # of the optimizer
  updates: tf.Tensor  # its last ones of the chosen coordinates, [B, C]


class _Witness(base.Wrapper):
  """Does what `optimizer` does, and keeps the updates of C coordinates."""

  def __init__(
    self,
    optimizer: base.Optimizer,
    coordinates: Sequence[Coordinate],
    shapes: dict[str, tuple[int, ...]],
  ):
    super().__init__(optimizer)
    self.coordinates = coordinates
    self.shapes = shapes

  def initial_state(self, params):
    nothing = tf.zeros_like(self.pick(params))
    return _WitnessState(self.optimizer.initial_state(params), nothing)

  def __call__(self, gradients, state, params=None):
    updates, inner = self.optimizer(gradients, state.state, params)
    return updates, _WitnessState(inner, self.pick(updates))

  def pick(self, tensors: base.Params) -> tf.Tensor:
    """Those of the chosen coordinates, `[B, C]`."""
    return tf.gather(base.flatten(tensors), positions(self.coordinates, self.shapes), axis=1)

  def sweep(self, carry: unroll.Carry, values: tf.Tensor) -> tf.Tensor:
    """The update of each coordinate, were its gradient alone of those of one instance its values.

    Args:
      carry: before the step; B = 1.
      values: `[V, C]`.

    Returns:
      `[V, C]`.
    """
    columns: dict[int, tf.Tensor] = {}
    for optimizer, part, own in self.optimizer.parts(carry.gradients, carry.state.state):
      chosen = [c for c, coordinate in enumerate(self.coordinates) if coordinate.parameter in part]
      if not chosen:
        continue
      shapes = {name: self.shapes[name] for name in part}
      where = positions([self.coordinates[c] for c in chosen], shapes)
      params = {name: carry.params[name] for name in part}
      swept = _sweep(optimizer, part, own, params, where, tf.gather(values, chosen, axis=1))
      columns |= dict(zip(chosen, tf.unstack(swept, axis=1)))
    return tf.stack([columns[c] for c in range(len(self.coordinates))], axis=1)


def _sweep(
  optimizer: base.Optimizer,
  gradients: base.Params,
  state: base.State,
  params: base.Params,
  positions: np.ndarray,
  values: tf.Tensor,
) -> tf.Tensor:
  """`_Witness.sweep` of one optimizer; `positions` `[C]` of the coordinates among all of its."""
  if not optimizer.coordinatewise:
    return _sweep_apart(optimizer, state, gradients, params, positions, values)
  own = axes.along("n", lambda x, axis: tf.gather(x, positions, axis=axis), state)
  return _sweep_together(optimizer, own, values)  # all C change at once, without the other n - C


def _sweep_together(optimizer: base.Optimizer, state, values: tf.Tensor) -> tf.Tensor:
  """Updates `[V, C]` of coordinates that do not depend on each other; `state` is that of C."""
  updates, _ = optimizer({"x": values}, _repeat(state, values.shape[0]))
  return updates["x"]


def _sweep_apart(
  optimizer: base.Optimizer,
  state,
  gradients: base.Params,
  params: base.Params,
  positions: np.ndarray,
  values: tf.Tensor,
) -> tf.Tensor:
  """Updates `[V, C]` with one of all n gradients changed at a time, in batches of instances."""
  num_values, num_coordinates = values.shape
  flat = base.flatten(gradients)
  total, n = num_values * num_coordinates, flat.shape[1]
  batch = min(total, max(1, COORDINATES_AT_ONCE // n))
  columns = np.resize(np.tile(positions, num_values), [-(-total // batch), batch])
  column_values = tf.gather(tf.reshape(values, [-1]), np.resize(np.arange(total), columns.shape))
  states = _repeat(state, batch)
  theta = {name: tf.repeat(x, batch, axis=0) for name, x in params.items()}

  def run(pair):
    column, value = pair
    where = tf.stack([tf.range(batch), column], axis=1)
    changed = tf.tensor_scatter_nd_update(tf.repeat(flat, batch, axis=0), where, value)
    updates, _ = optimizer(base.unflatten(changed, theta), states, theta)
    return tf.gather_nd(base.flatten(updates), where)

  updates = tf.map_fn(run, (tf.constant(columns), column_values), fn_output_signature=values.dtype)
  return tf.reshape(tf.reshape(updates, [-1])[:total], values.shape)


def _repeat(state: base.State, count: int) -> base.State:
  """The state of one instance as that of `count` equal ones."""
  return axes.along("B", lambda x, axis: tf.repeat(x, count, axis=axis), state)
