"""The formula gives the same numbers whoever brings the operations, keras.ops among them."""

import keras
import numpy as np
import pytest

from l2l_tf import pretrained
from l2l_tf.rule import formula
from l2l_tf.rule import layout as layouts
from l2l_tf.rule import ops as rule_ops
from l2l_tf.rule import parameters
from l2l_tf.rule.parameters import RuleOnParameters
from l2l_tf.rule.phi import Phi
from l2l_tf.storage import phi_files

SHAPES = [(4, 3), (3,), (), (0, 2), (4, 3), (200, 100), (7,), (100, 200), (130, 140)]


def shipped_phi() -> Phi:
  trained = phi_files.read(pretrained.find("general"))
  return phi_files.rule(trained.config, trained.weights, trained.source)


def keras_ops() -> rule_ops.Namespace:
  """keras.ops, and the names that it does not have."""
  own = {
    "compiled": lambda function, in_one_call: function,
    "constant": lambda fixed, like: keras.ops.convert_to_tensor(fixed.array, like.dtype),
    "gram": lambda x: keras.ops.matmul(x, keras.ops.swapaxes(x, -1, -2)),
    "in_one_call": lambda function: function,
    "in_one_loop": lambda function: function,
    "made": lambda x: x,
    "take": lambda x, fixed, axis: keras.ops.take(x, fixed.array, axis),
  }
  return rule_ops.Namespace(**{**vars(keras.ops), **own})


def zeros(framework: str):
  """What makes tensors of a framework."""
  if framework == "torch":
    torch = pytest.importorskip("torch")
    return lambda shape, dtype: torch.zeros(tuple(shape), dtype=getattr(torch, dtype))
  if framework == "jax":
    return pytest.importorskip("jax.numpy").zeros
  return keras.ops.zeros


def follow(ops, make, orthogonal: bool, steps: int = 50) -> list[np.ndarray]:
  """theta after some steps; the second parameter rests in some, and has no gradient in others."""
  phi = shipped_phi()._replace(orthogonal=orthogonal)
  rule, rng = RuleOnParameters(ops, phi, SHAPES), np.random.default_rng(0)
  theta = [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]

  def tensor(x):
    return make([*x.shape], "float32") + ops.constant(rule_ops.Fixed(x), make([], "float32"))

  state = rule.initial_state(make)
  for t in range(steps):
    gradients = [rng.normal(size=s, scale=1 + t % 3).astype(np.float32) for s in SHAPES]
    gradients[1] *= t > 5
    given = [None if k == 1 and t % 7 == 3 else tensor(g) for k, g in enumerate(gradients)]
    updates, state = rule.step(given, [tensor(x) for x in theta], state)
    moved = [k for k, g in enumerate(given) if g is not None]
    for k, update in zip(moved, updates, strict=True):
      theta[k] = theta[k] + np.asarray(update)
  return theta


@pytest.fixture(name="orthogonal", scope="module", params=[False, True])
def _orthogonal(request):
  return request.param


@pytest.fixture(name="expected", scope="module")
def _expected(orthogonal):
  return follow(rule_ops.of("tensorflow"), zeros("tensorflow"), orthogonal)


def test_a_step_is_compiled_once_for_the_same_phi_and_shapes():
  """Not anew for each optimizer, nor when one starts again: it takes seconds."""
  compiled, framework = [], rule_ops.of("tensorflow")

  def compile_and_count(function, in_one_call):
    compiled.append(in_one_call)
    return function

  ops = rule_ops.Namespace(**{**vars(framework), "compiled": compile_and_count})
  phi, shapes = shipped_phi(), [(4, 3), (3,)]
  other = Phi([2 * w for w in phi.layers], phi.orthogonal)

  def step(phi, shapes):
    rule, theta = RuleOnParameters(ops, phi, shapes), [keras.ops.ones(s) for s in shapes]
    state = rule.initial_state(zeros("tensorflow"))
    for _ in range(2):
      updates, state = rule.step([0.1 * x for x in theta], theta, state)
    return [np.asarray(u) for u in updates]

  first = step(phi, shapes)
  for a, b in zip(step(phi._replace(layers=[w.copy() for w in phi.layers]), shapes), first):
    np.testing.assert_array_equal(a, b)
  assert len(compiled) == 1
  assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(step(other, shapes), first))
  step(phi._replace(orthogonal=not phi.orthogonal), shapes)
  step(phi, shapes[:1])
  assert len(compiled) == 4


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["jax", "torch", "keras"])
def test_the_trajectory_is_that_of_tensorflow(expected, framework, orthogonal):
  make = zeros(framework)
  ops = keras_ops() if framework == "keras" else rule_ops.of(framework)
  found = follow(ops, make, orthogonal)
  for ours, theirs in zip(found, expected, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tensorflow", "jax", "torch"])
def test_large_parameters_of_one_size_in_rows(expected, framework, orthogonal, monkeypatch):
  monkeypatch.setattr(layouts, "MOST_APART", 0)
  monkeypatch.setattr(layouts, "of", layouts.Layout)  # not those made before
  monkeypatch.setattr(parameters, "_step", parameters._step.__wrapped__)
  assert [part.count for part in layouts.Layout(SHAPES).parts] == [1, 1, 2]
  found = follow(rule_ops.of(framework), zeros(framework), orthogonal)
  for ours, theirs in zip(found, expected, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def _steps(framework: str, params: list, gradients: list) -> list[list[np.ndarray]]:
  """The updates of steps from the same place, by the gradients of each."""
  ops, make = rule_ops.of(framework), zeros(framework)
  tensor = lambda x: ops.constant(rule_ops.Fixed(np.float32(x)), make([], "float32"))  # noqa: E731
  rule = RuleOnParameters(ops, shipped_phi(), [np.shape(x) for x in params])
  state, found = rule.initial_state(make), []
  for one in gradients:
    updates, state = rule.step([*map(tensor, one)], [*map(tensor, params)], state)
    found.append([np.asarray(u) for u in updates])
  return found


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tensorflow", "jax", "torch"])
def test_numbers_that_are_no_weights_do_not_count(framework):
  """As -inf in a mask that is a parameter: its square is no number, and others see means."""
  given = [[np.ones((3, 2)), np.zeros(2)], [np.ones((3, 2)), np.ones(2)]]
  expected = _steps(framework, [np.ones((3, 2)), [0.5, 0.0]], given)
  assert all(np.abs(u[0]).min() > 0 for u in expected) and np.abs(expected[1][1]).min() > 0
  for number in (-np.inf, np.nan, np.finfo(np.float32).min, 2e19):
    found = _steps(framework, [np.ones((3, 2)), [0.5, number]], given)
    for ours, theirs in zip(found, expected, strict=True):
      for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tensorflow", "jax", "torch"])
@pytest.mark.parametrize("tiny", [1e-45, 1e-40, 3e-39, 1.2e-38])
def test_a_gradient_too_small_to_divide_by_is_0(framework, tiny):
  """Whether a processor has such numbers or takes them for 0: a later one begins."""
  params = [np.ones((3, 2)), np.ones(4)]
  first = [[np.ones((3, 2)), [x, 0, 0, 0]] for x in (0.0, tiny)]
  expected, found = (_steps(framework, params, [x, [np.ones((3, 2)), np.ones(4)]]) for x in first)
  assert np.all(expected[0][1] == 0) and np.abs(expected[1][1]).min() > 0
  for ours, theirs in zip(found, expected, strict=True):
    for a, b in zip(ours, theirs, strict=True):
      np.testing.assert_array_equal(a, b)


def test_a_state_is_its_leaves():
  rule = RuleOnParameters(rule_ops.of("tensorflow"), shipped_phi(), SHAPES)
  state = rule.initial_state(keras.ops.zeros)
  again = formula.GeneralState.of(state.leaves())
  assert again._fields == state._fields and all(a is b for a, b in zip(again[0], state[0]))
  assert all(a is b for a, b in zip(again[1:], state[1:]))


@pytest.mark.slow
def test_the_scale_is_a_constant_on_the_update():
  ops = rule_ops.of("tensorflow")
  gradients = [keras.ops.ones(shape) for shape in SHAPES]
  params = [keras.ops.ones(shape) for shape in SHAPES]
  rule = RuleOnParameters(ops, shipped_phi(), SHAPES)
  state = rule.initial_state(keras.ops.zeros)
  (whole, _), (half, _) = (rule.step(gradients, params, state, s) for s in (1.0, 0.5))
  for a, b in zip(whole, half, strict=True):
    np.testing.assert_allclose(0.5 * a, b, rtol=1e-6)
