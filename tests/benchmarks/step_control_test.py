"""Tests of the controller of the step, and of the search for its numbers."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import step_control
from benchmarks import step_control_search
from l2l_tf import optimizers
from l2l_tf.evaluation import protocol
from l2l_tf.optimizers import base
from l2l_tf.storage import optimizer_files
from tests import programs
from tests.optimizers import conformance_test

SHAPES = {"w": (2, 5, 3), "b": (2, 3)}
UNITS = np.array(step_control.UNITS, np.float32)


class Same(base.Optimizer):
  """Updates that are -0.1, whatever the gradients."""

  def initial_state(self, params):
    return ()

  def __call__(self, gradients, state, params=None):
    return {name: -0.1 * tf.ones_like(g) for name, g in gradients.items()}, state


def controlled(*numbers):
  return step_control.StepControl(Same(), np.array(numbers))


def steps(optimizer, gradients):
  """The updates of each step, and the last state."""
  state, updates = optimizer.initial_state({n: tf.zeros(s) for n, s in SHAPES.items()}), []
  for g in gradients:
    one, state = optimizer(g, state)
    updates.append(one)
  return updates, state


def random_gradients(count, seed=0):
  rng = np.random.default_rng(seed)
  draw = lambda shape: tf.constant(rng.normal(size=shape), tf.float32)  # noqa: E731
  return [{name: draw(shape) for name, shape in SHAPES.items()} for _ in range(count)]


def test_numbers_of_zero_change_nothing():
  for one in steps(controlled(0, 0, 0, 0, 0, 0), random_gradients(4))[0]:
    for update in one.values():
      np.testing.assert_allclose(update, -0.1, rtol=1e-6)


def test_the_first_factor_and_a_drift():
  updates, _ = steps(controlled(np.log(0.5), 0, 0, np.log(2.0), 0, 0), random_gradients(3))
  for k, factor in enumerate([0.5, 1.0, 0.5 * np.e]):  # the last drifted as far as can be
    for update in updates[k].values():
      np.testing.assert_allclose(update, -0.1 * factor, rtol=1e-5)


@pytest.mark.parametrize("place, same", [(1, False), (2, True), (4, False), (5, True)])
def test_what_a_cosine_adds(place, same):
  """For each tensor and instance on its own."""
  numbers = np.zeros(6)
  numbers[place] = 0.7
  gradients = random_gradients(3)
  updates, _ = steps(controlled(*numbers), gradients)
  for name in SHAPES:
    total, mean = np.zeros(2), np.zeros(2)
    for k in (1, 2):
      now = gradients[k][name].numpy().reshape(2, -1)
      before = gradients[k - 1][name] if same else -updates[k - 1][name]
      before = before.numpy().reshape(2, -1)
      cosine = (now * before).sum(1) / np.linalg.norm(now, axis=1) / np.linalg.norm(before, axis=1)
      total, mean = total + 0.7 * cosine, 0.8 * mean + 0.2 * cosine
      expected = np.exp(total if place < 4 else 0.7 * mean)
      found = updates[k][name].numpy().reshape(2, -1) / -0.1
      np.testing.assert_allclose(found, np.tile(expected[:, None], found.shape[1]), rtol=1e-4)


def test_steps_that_go_too_far_get_shorter_and_timid_ones_longer():
  """On a parabola, from steps ten times too long and too short."""
  for curvature, sign in ((40.0, -1), (0.1, 1)):
    optimizer = step_control.StepControl(optimizers.SGD(1.0), np.array([0, 1.0, 0, 0, 0, 0]))
    theta, state = tf.ones([1, 4]), optimizer.initial_state({"x": tf.zeros([1, 4])})
    for _ in range(3):
      update, state = optimizer({"x": curvature * theta}, state)
      theta += update["x"]
    assert sign * state.level["x"][0] > 0.5


def test_numbers_for_each_instance_are_those_of_each_alone():
  rng, gradients = np.random.default_rng(1), random_gradients(5)
  numbers = rng.normal(size=[6, 2]).astype(np.float32)
  both, _ = steps(step_control.StepControl(Same(), tf.constant(numbers)), gradients)
  for b in range(2):
    alone, _ = steps(controlled(*(numbers[:, b] * UNITS)), gradients)
    for one, two in zip(both, alone):
      for name in SHAPES:
        np.testing.assert_allclose(one[name][b], two[name][b], rtol=1e-4)


def test_phi_is_six_numbers_and_it_is_an_optimizer_like_others():
  optimizer = step_control.lstm(3)
  (phi,) = optimizer.trainable_variables
  np.testing.assert_allclose(phi * UNITS, step_control.START, rtol=1e-6)
  own = step_control.StepControl(optimizers.CoordinatewiseLSTM((3,), seed=1))
  updates, _ = conformance_test.run(own)
  assert all(np.isfinite(x).all() for one in updates for x in one.values())


@pytest.mark.slow
def test_the_search_prefers_what_ends_lower(tmp_path, monkeypatch):
  """And saves an optimizer that is found again."""
  pytest.importorskip("cma")
  monkeypatch.setattr(step_control_search, "INSTANCES", 1)
  monkeypatch.setattr(step_control_search, "CANDIDATES", 4)
  monkeypatch.setattr(step_control_search, "STEPS", 12)
  losses = step_control_search._Losses()
  seeds = losses.seeds(5, 0)
  starts = np.zeros([4, 6], np.float32)
  starts[:, 0] = np.log([1.0, 0.3, 1e-3, 0.02]) / UNITS[0]
  scores = losses(starts, seeds)
  assert scores.shape == (4, 2, 2) and np.isfinite(scores).all()
  assert (scores[:2].sum((1, 2)) < scores[2:].sum((1, 2)).min()).all()
  sigmoid = protocol.curves(losses._problems[0], step_control.lstm(0)._inner(), seeds, 12)
  assert scores[0, 0, 0] == pytest.approx(np.log(protocol.final_losses(sigmoid)[0]), rel=1e-3)
  out = tmp_path / "control"
  words = ["--generations=1", f"--out={out}"]
  assert programs.run(step_control_search.main, *words) == 0
  saved, about = optimizer_files.load_optimizer(str(out), "benchmarks.step_control:lstm")
  np.testing.assert_allclose(saved.numbers * UNITS, about["numbers"], atol=6e-4)
