"""The general rule has no units, moves nothing that has no gradient, and never runs away."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.optimizers import General
from l2l_tf.rule import layout

SHAPES = {"w": (1, 6, 5), "b": (1, 5), "table": (1, 7, 3), "scalar": (1,)}


@pytest.fixture(autouse=True, params=[False, True], ids=["plain", "orthogonal"])
def _kind(request, monkeypatch):
  """All of this holds for both kinds of rule."""
  monkeypatch.setattr(optimizers, "General", functools.partial(General, orthogonal=request.param))


def trained(seed=0, scale=0.3) -> optimizers.General:
  """A rule whose phi is random everywhere."""
  rule = optimizers.General(seed=seed)
  rng = np.random.default_rng(seed)
  for variable in rule.trainable_variables:
    variable.assign_add(tf.constant(rng.normal(size=variable.shape, scale=scale), tf.float32))
  return rule


def start(seed=0):
  rng = np.random.default_rng([7, seed])
  return {name: tf.constant(rng.normal(size=s), tf.float32) for name, s in SHAPES.items()}


def follow(rule, gradient, num_steps, theta=None, factors=None):
  """theta after so many steps, as a list; `gradient(t, theta)` is that of the step."""
  theta = dict(theta or start())
  factors = factors or {name: 1.0 for name in theta}
  theta = {name: x * factors[name] for name, x in theta.items()}
  step, state, path = tf.function(rule.__call__, autograph=False), rule.initial_state(theta), []
  for t in range(num_steps):
    real = {name: x / factors[name] for name, x in theta.items()}
    gradients = {name: g / factors[name] for name, g in gradient(t, real).items()}
    updates, state = step(gradients, state, theta)
    theta = {name: x + updates[name] for name, x in theta.items()}
    path.append({name: x / factors[name] for name, x in theta.items()})
  return path


def noisy_bowl(t, theta, factor=1.0):
  rng = np.random.default_rng([3, t])
  noise = {name: rng.normal(size=s) for name, s in SHAPES.items()}
  return {name: factor * (x - 0.3 + noise[name]) for name, x in theta.items()}


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e-20, 1e-3, 1e3, 1e20])
def test_the_scale_of_the_loss_changes_nothing(factor):
  expected = follow(trained(), noisy_bowl, 30)[-1]
  found = follow(trained(), lambda t, x: noisy_bowl(t, x, np.float32(factor)), 30)[-1]
  for name in SHAPES:
    np.testing.assert_allclose(found[name], expected[name], rtol=2e-3, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_the_scale_of_a_matrix_changes_nothing(factor):
  expected = follow(trained(), noisy_bowl, 30)[-1]
  factors = {"w": factor, "b": 1.0, "table": 1 / factor, "scalar": 1.0}
  found = follow(trained(), noisy_bowl, 30, factors=factors)[-1]
  for name in SHAPES:
    np.testing.assert_allclose(found[name], expected[name], rtol=2e-3, atol=2e-4)


@pytest.mark.slow
def test_a_gradient_that_is_always_zero_moves_nothing():
  """Neither a whole parameter nor one coordinate: dead units, unseen rows, black pixels."""

  def gradient(t, theta):
    gradients = noisy_bowl(t, theta)
    rows = np.ones(SHAPES["table"], np.float32)
    rows[:, 2:4] = 0
    return gradients | {"b": tf.zeros(SHAPES["b"]), "table": rows * gradients["table"]}

  first, last = start(), follow(trained(), gradient, 300)[-1]
  np.testing.assert_array_equal(last["b"], first["b"])
  np.testing.assert_array_equal(last["table"][:, 2:4], first["table"][:, 2:4])
  assert np.all(last["w"] != first["w"]) and np.all(last["table"][:, :2] != first["table"][:, :2])


def test_opposite_gradients_give_opposite_updates():
  """u(-g) = -u(g) around the same theta_0."""
  rule, theta = trained(), start()
  states, updates = {}, {}
  for sign in (1.0, -1.0):
    states[sign] = rule.initial_state({name: sign * x for name, x in theta.items()})
    for t in range(5):
      gradients = {name: sign * g for name, g in noisy_bowl(t, theta).items()}
      at = {name: sign * x for name, x in theta.items()}
      updates[sign], states[sign] = rule(gradients, states[sign], at)
  for name in SHAPES:
    np.testing.assert_allclose(updates[1.0][name], -updates[-1.0][name], rtol=1e-5)


HOSTILE = {
  "spikes": lambda t, rng: rng.normal(size=[5]) * (1e12 if t % 10 == 9 else 1),
  "zeros": lambda t, rng: np.zeros([5]),
  "zeros, then one": lambda t, rng: np.full([5], float(t == 20)),
  "noise": lambda t, rng: rng.standard_cauchy(size=[5]),
  "sign flips": lambda t, rng: np.full([5], (-1.0) ** t),
  "growing": lambda t, rng: np.full([5], 10.0 ** min(t, 37)),
  "vanishing": lambda t, rng: np.full([5], 10.0 ** -min(t, 44)),
  "not finite": lambda t, rng: np.array([np.nan, np.inf, -np.inf, 1, 1]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_steps_are_bounded_whatever_the_gradients(kind):
  """No step is longer than half the parameter's own size, and all numbers stay finite."""
  rule = trained(scale=1.0)
  theta = {"b": tf.constant([[0.5, -1.0, 0.2, 0.0, 1.0]])}
  theta["w"] = tf.random.stateless_normal([1, 4, 5], [1, 2])
  state, step = rule.initial_state(theta), tf.function(rule.__call__, autograph=False)
  for t in range(60):
    g = HOSTILE[kind](t, np.random.default_rng(t)).astype(np.float32)[np.newaxis]
    rows = np.cos(np.arange(t, t + 4.0, dtype=np.float32))[:, np.newaxis]
    updates, state = step(
      {"b": tf.constant(g), "w": tf.constant(g[:, np.newaxis] * rows)}, state, theta
    )
    for name, update in updates.items():
      size = float(tf.sqrt(tf.reduce_mean(theta[name] ** 2)))
      moved = float(tf.sqrt(tf.reduce_mean(update**2)))
      assert moved <= 0.5 * max(size, 0.3) * (1 + 1e-4)
    theta = {name: theta[name] + updates[name] for name in theta}
    assert all(np.isfinite(x).all() for x in tf.nest.flatten((theta, state)))


@pytest.mark.slow
def test_a_phi_for_each_instance_does_what_each_phi_does():
  rules = [trained(seed) for seed in (1, 2, 3)]
  stacked = [tf.stack(values) for values in zip(*(r.trainable_variables for r in rules))]
  together = rules[0].with_phi(stacked)
  theta = {name: tf.repeat(x, 3, axis=0) for name, x in start().items()}
  states = [rule.initial_state(start()) for rule in rules]
  state = together.initial_state(theta)
  for t in range(4):
    g = noisy_bowl(t, start())
    updates, state = together({n: tf.repeat(x, 3, axis=0) for n, x in g.items()}, state, theta)
    for k, rule in enumerate(rules):
      own, states[k] = rule(g, states[k], start())
      for name in SHAPES:
        np.testing.assert_allclose(updates[name][k], own[name][0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(300, 300), (40_000, 4)])
def test_large_parameters_are_judged_by_a_sample_of_them(monkeypatch, shape):
  """Which no row or column of is passed over; the updates are those of all to a percent or two."""
  rng, updates = np.random.default_rng(0), {}
  theta = {"w": tf.constant(rng.normal(size=[1, *shape]), tf.float32), "b": tf.ones([1, 3])}
  gradients = [{n: tf.constant(rng.normal(size=x.shape), tf.float32) for n, x in theta.items()}] * 3
  monkeypatch.setattr(layout, "of", layout.Layout)  # not made once: it changes
  for most in (2**14, 2**30):
    monkeypatch.setattr(layout, "SAMPLE", most)
    rule = trained()
    state = rule.initial_state(theta)
    for g in gradients:
      updates[most], state = rule(g, state, theta)
  for name in theta:
    few, every = (np.ravel(updates[most][name]) for most in (2**14, 2**30))
    np.testing.assert_allclose(np.dot(few, every) / np.dot(every, every), 1, atol=0.03)
    np.testing.assert_allclose(few, every, rtol=0.05, atol=1e-3 * np.abs(every).max())
  monkeypatch.setattr(layout, "SAMPLE", 2**14)
  (part,) = layout.Layout([shape]).parts
  taken = np.arange(np.prod(shape))[:: part.step]
  assert 2**13 < len(taken) <= 2**14
  for k, size in enumerate(shape):
    seen = len(set(np.unravel_index(taken, shape)[k].tolist()))
    assert seen >= min(size, len(taken)) * 0.9


def test_a_step_costs_at_most_24_bytes_of_state_a_parameter():
  n = 10_000
  state = optimizers.General().initial_state({"w": tf.zeros([1, 100, 100])})
  assert sum(x.shape.num_elements() * x.dtype.size for x in tf.nest.flatten(state)) <= 24 * n


def test_bad_options_are_refused():
  for hidden in ((), (0,), (300,), (8,) * 5, ("8",)):
    with pytest.raises(ValueError, match="hidden must be 1 to 4 layers"):
      optimizers.General(hidden)
  with pytest.raises(ValueError, match="needs the parameters"):
    rule = optimizers.General()
    rule({"w": tf.zeros([1, 2])}, rule.initial_state({"w": tf.zeros([1, 2])}))
