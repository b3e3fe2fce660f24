"""Tests of proposed updates: the numbers of Figures 9 and 10 against formulas and single runs."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.inspection import coordinates
from l2l_tf.inspection import proposals
from l2l_tf.optimizers import base
from l2l_tf.problems.base import make_seeds

(SEED,) = make_seeds(3, count=1)
T, STEPS = 8, (1, 2, 3, 5, 8)
RATES = {"sgd": 0.02, "adam": 0.3}
NTM = {"num_gacs": 1, "num_write_heads": 2}
KINDS = {
  "lstm": {},
  "lstm_gac": {"num_gacs": 2},
  "ntm_bfgs": NTM,
  "ntm_lbfgs": {**NTM, "history": 3},
}


def optimizer_of(kind):
  """One whose updates are large enough to see."""
  optimizer = optimizers.LEARNED[kind]((5, 4), output_scale=2.0, seed=1, **KINDS[kind])
  rng = np.random.default_rng(0)
  for variable in optimizer.trainable_variables:
    variable.assign(rng.normal(size=variable.shape, scale=0.2))
  return optimizer


def two_parameters():
  """A quadratic of 3 + 4 coordinates in two parameters, all of which depend on each other."""
  matrix = np.random.default_rng(5).normal(size=(7, 7)).astype(np.float32)

  def init(seed):
    draws = tf.random.stateless_normal([7], seed)
    return {"a": draws[:3], "b": tf.reshape(draws[3:], [2, 2])}

  def loss(params, task, seed):
    theta = tf.concat([params["a"], tf.reshape(params["b"], [-1])], axis=0)
    return tf.reduce_sum(tf.linalg.matvec(matrix, theta) ** 2)

  return problems.from_function(init, loss)


PROBLEM = two_parameters()
CHOSEN = [coordinates.Coordinate("a", (1,)), coordinates.Coordinate("b", (0, 1))]
POSITIONS = [1, 4]
VALUES = np.float32([[-20, -1, 0, 3, 20], [-7, -0.1, 0, 2, 9]])  # [C, V]


def recorder(optimizer, steps=STEPS, num_steps=T):
  rivals = {name: optimizers.HAND_DESIGNED[name](rate) for name, rate in RATES.items()}
  return proposals.Recorder(PROBLEM, optimizer, rivals, CHOSEN, num_steps, steps)


@pytest.fixture(scope="module", params=KINDS)
def case(request):
  optimizer = optimizer_of(request.param)
  record = recorder(optimizer)
  return optimizer, record, record(SEED, VALUES)


def trajectory(optimizer):
  """Gradients `[T, n]`, states before each step, and parameters of a plain loop."""
  carry, _ = unroll.start(PROBLEM, optimizer, SEED[np.newaxis])
  gradients, states, params = [], [], []
  for _ in range(T):
    gradients.append(base.flatten(carry.gradients)[0].numpy())
    states.append(carry.state)
    params.append(base.flatten(carry.params)[0].numpy())
    carry, _ = unroll.unroll(PROBLEM, optimizer, carry, 1)
  params.append(base.flatten(carry.params)[0].numpy())
  return np.stack(gradients), states, np.stack(params)


def test_histories_are_those_of_the_trajectory(case):
  optimizer, _, found = case
  gradients, _, params = trajectory(optimizer)
  np.testing.assert_allclose(found.gradients, gradients[:, POSITIONS], rtol=1e-4, atol=1e-5)
  moves = np.diff(params, axis=0)[:, POSITIONS]
  np.testing.assert_allclose(found.updates["learned"], moves, rtol=1e-3, atol=1e-5)
  losses = unroll.rollout(PROBLEM, optimizer, SEED[np.newaxis], T)[:, 0]
  np.testing.assert_allclose(found.losses, losses, rtol=1e-4)
  assert np.abs(moves).max() > 0.05


def test_the_line_of_sgd_is_exactly_minus_the_rate_times_the_gradient(case):
  _, _, found = case
  rate = np.float32(RATES["sgd"])
  np.testing.assert_array_equal(found.updates["sgd"], -rate * found.gradients)
  expected = np.broadcast_to(-rate * VALUES, (len(STEPS), *VALUES.shape))
  np.testing.assert_array_equal(found.swept["sgd"], expected)


def adam(past, g):
  """Kingma and Ba's update after the gradients `past` `[t]`, with the moments written out."""
  t = len(past) + 1
  ages = np.arange(t - 1, 0, -1)
  m = 0.1 * (np.sum(0.9**ages * past) + g)
  v = 0.001 * (np.sum(0.999**ages * past**2) + g**2)
  correction = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
  return -RATES["adam"] * correction * m / (np.sqrt(v) + 1e-8)


def test_adam_is_its_formula_with_the_moments_of_the_gradients_seen(case):
  _, _, found = case
  seen = found.gradients.astype(np.float64)
  for c in range(2):
    for t in range(T):
      expected = adam(seen[:t, c], seen[t, c])
      np.testing.assert_allclose(found.updates["adam"][t, c], expected, rtol=1e-4)
    for k, step in enumerate(STEPS):
      expected = [adam(seen[: step - 1, c], float(g)) for g in VALUES[c]]
      np.testing.assert_allclose(found.swept["adam"][k, c], expected, rtol=1e-4, atol=1e-6)


def test_the_learned_curve_passes_through_the_update_taken_at_the_gradient_seen(case):
  _, record, found = case
  for k, step in enumerate(STEPS):
    values = VALUES.copy()
    values[:, 3] = found.gradients[step - 1]
    again = record(SEED, values)
    for name, updates in found.updates.items():
      taken = updates[step - 1]
      np.testing.assert_allclose(again.swept[name][k, :, 3], taken, rtol=1e-5, atol=1e-6)


def test_a_sweep_changes_one_gradient_and_leaves_all_else(case):
  """Against the optimizer called by hand from the state before the step."""
  optimizer, _, found = case
  gradients, states, _ = trajectory(optimizer)
  for k, step in enumerate(STEPS):
    for c, position in enumerate(POSITIONS):
      for v in (0, 4):
        changed = gradients[step - 1].copy()
        changed[position] = VALUES[c, v]
        updates, _ = optimizer({"x": tf.constant(changed[np.newaxis])}, states[step - 1])
        expected = updates["x"][0, position]
        np.testing.assert_allclose(found.swept["learned"][k, c, v], expected, rtol=1e-3, atol=1e-5)
  spans = found.swept["learned"].max(axis=-1) - found.swept["learned"].min(axis=-1)
  assert np.all(spans > 2e-3)


@pytest.mark.slow
def test_a_later_gradient_changes_no_earlier_panel(monkeypatch):
  """From step 4 on the gradients are others; up to it, all is the same."""
  optimizer = optimizer_of("ntm_bfgs")
  before = recorder(optimizer)(SEED, VALUES)
  value_and_gradients = unroll._value_and_gradients

  def changed(problem, params, task, seeds, step):
    loss, gradients = value_and_gradients(problem, params, task, seeds, step)
    factor = tf.where(step >= 3, -5.0, 1.0)  # the gradient at theta_3 is that of step 4
    return loss, {name: factor * g for name, g in gradients.items()}

  monkeypatch.setattr(unroll, "_value_and_gradients", changed)
  after = recorder(optimizer)(SEED, VALUES)
  np.testing.assert_array_equal(after.gradients[:3], before.gradients[:3])
  np.testing.assert_allclose(after.gradients[3], -5 * before.gradients[3], rtol=1e-6)
  for name in ("learned", "adam", "sgd"):
    np.testing.assert_array_equal(after.swept[name][:3], before.swept[name][:3])
    np.testing.assert_array_equal(after.updates[name][:3], before.updates[name][:3])
  for name in ("learned", "adam"):  # steps 5 and 8 have another history
    assert np.all(np.abs(after.swept[name][3:] - before.swept[name][3:]).max(axis=-1) > 1e-3)


@pytest.mark.slow
def test_batches_of_sweeps_do_not_change_the_numbers(monkeypatch):
  """At most two instances of the seven coordinates at once, in place of all ten sweeps."""
  optimizer = optimizer_of("lstm_gac")
  together = recorder(optimizer)(SEED, VALUES).swept["learned"]
  monkeypatch.setattr(proposals, "COORDINATES_AT_ONCE", 20)
  apart = recorder(optimizer)(SEED, VALUES).swept["learned"]
  np.testing.assert_allclose(apart, together, rtol=1e-5, atol=1e-6)
  monkeypatch.setattr(proposals, "COORDINATES_AT_ONCE", 5)  # one at once, 3 of no use
  single = recorder(optimizer)(SEED, VALUES).swept["learned"]
  np.testing.assert_allclose(single, together, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_coordinatewise_optimizer_sweeps_alone_as_it_does_among_all(monkeypatch):
  optimizer = optimizer_of("lstm")
  alone = recorder(optimizer)(SEED, VALUES).swept["learned"]
  monkeypatch.setattr(optimizers.CoordinatewiseLSTM, "coordinatewise", False)
  among = recorder(optimizer)(SEED, VALUES).swept["learned"]
  np.testing.assert_allclose(alone, among, rtol=1e-5, atol=1e-6)


def test_one_trace_serves_all_calls(case):
  _, record, _ = case
  record(make_seeds(4, count=1)[0], 2 * VALUES)
  assert record._run.experimental_get_tracing_count() == 1


def test_gradients_along_a_trajectory():
  optimizer = optimizer_of("lstm")
  found = proposals.gradients_along(PROBLEM, optimizer, SEED, T)
  gradients, _, _ = trajectory(optimizer)
  for measured, expected in (
    (found.rms, np.sqrt(np.mean(gradients**2, axis=0))),
    (found.largest, np.abs(gradients).max(axis=0)),
  ):
    assert {name: m.shape for name, m in measured.items()} == {"a": (3,), "b": (2, 2)}
    flat = np.concatenate([m.ravel() for m in measured.values()])
    np.testing.assert_allclose(flat, expected, rtol=1e-4)


def test_ranges_hold_the_gradients_seen_and_little_more():
  largest = np.array([0.0, 1.0, 9.0, 0.0132, 2.6e4, 1 / 1.1, 3e-12])
  expected = [1, 1.5, 10, 0.015, 3e4, 1, 5e-12]
  np.testing.assert_allclose(proposals.limits(largest), expected, rtol=1e-9)


def test_sweeps_are_symmetric_hold_0_and_are_denser_there():
  values = proposals.sweeps(np.array([400.0, 0.5]), 41)
  assert values.shape == (2, 41) and values.dtype == np.float32
  np.testing.assert_array_equal(values, -values[:, ::-1])
  np.testing.assert_array_equal(values[:, [0, 20, 40]], [[-400, 0, 400], [-0.5, 0, 0.5]])
  assert np.all(np.diff(values) > 0) and values[0, 21] < 400 / 40 / 100


@pytest.mark.parametrize("steps", [(0, 1), (1, 9), (2, 1), (1, 1)])
def test_other_steps_are_refused(steps):
  with pytest.raises(ValueError, match=r"steps must increase within 1\.\.8, got"):
    recorder(optimizer_of("lstm"), steps)


def test_rivals_must_be_coordinatewise():
  for name, rival in (("gac", optimizer_of("lstm_gac")), ("learned", optimizers.SGD(1.0))):
    with pytest.raises(ValueError, match=f"coordinatewise .* got '{name}'"):
      proposals.Recorder(PROBLEM, optimizer_of("lstm"), {name: rival}, CHOSEN, T, STEPS)
