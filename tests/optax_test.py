"""The general rule as a gradient transformation takes the steps that Keras's optimizer takes."""

import keras
import numpy as np
import pytest

import l2l_tf

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
from l2l_tf import optax as l2l_optax  # noqa: E402

RNG = np.random.default_rng(0)
PARAMS = {
  "dense": {"w": RNG.normal(size=(4, 3)).astype(np.float32), "b": np.zeros(3, np.float32)},
  "scale": np.float32(2),
}


def gradient(t: int):
  rng = np.random.default_rng([1, t])
  return jax.tree.map(lambda x: rng.normal(size=np.shape(x)).astype(np.float32), PARAMS)


def follow(transformation, steps: int = 50, compiled: bool = True):
  update = jax.jit(transformation.update) if compiled else transformation.update
  params, state = jax.tree.map(jax.numpy.asarray, PARAMS), transformation.init(PARAMS)
  for t in range(steps):
    updates, state = update(gradient(t), state, params)
    params = optax.apply_updates(params, updates)
  return params


@pytest.mark.slow
def test_it_takes_the_steps_of_keras():
  variables = [keras.Variable(x) for x in jax.tree.leaves(PARAMS)]
  optimizer = l2l_tf.LearnedOptimizer()
  for t in range(50):
    optimizer.apply(
      [keras.ops.convert_to_tensor(g) for g in jax.tree.leaves(gradient(t))], variables
    )
  found = jax.tree.leaves(follow(l2l_optax.general()))
  for ours, theirs in zip(found, variables, strict=True):
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)


def test_it_needs_no_jit():
  by_jit = follow(l2l_optax.general(), 5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    follow(l2l_optax.general(), 5, compiled=False),
    by_jit,
  )


@pytest.mark.slow
def test_optax_composes_the_rest():
  half = follow(optax.chain(l2l_optax.general(), optax.scale(0.5)), 1)
  whole = follow(l2l_optax.general(), 1)
  for start, a, b in zip(*map(jax.tree.leaves, (PARAMS, half, whole)), strict=True):
    np.testing.assert_allclose(2 * (a - start), b - start, rtol=1e-4, atol=1e-6)
  mask = {"dense": {"w": True, "b": False}, "scale": True}
  frozen = optax.masked(optax.set_to_zero(), jax.tree.map(lambda on: not on, mask))
  masked = follow(optax.chain(optax.masked(l2l_optax.general(), mask), frozen), 3)
  np.testing.assert_array_equal(masked["dense"]["b"], PARAMS["dense"]["b"])
  assert np.abs(masked["dense"]["w"] - PARAMS["dense"]["w"]).min() > 0


def test_updates_are_of_the_types_of_the_gradients():
  params = {"w": jax.numpy.ones([3, 2], jax.numpy.bfloat16)}
  transformation = l2l_optax.general()
  updates, _ = transformation.update(params, transformation.init(params), params)
  assert updates["w"].dtype == jax.numpy.bfloat16


@pytest.mark.parametrize(
  "change, message",
  [
    (lambda g: {**g, "dense": {**g["dense"], "w": g["dense"]["w"].T}}, "of its shape"),
    (lambda g: {**g, "dense": {**g["dense"], "w": None}}, "a gradient for each parameter"),
  ],
)
def test_gradients_that_are_not_of_the_parameters(change, message):
  """The first has as many numbers, and would be taken in another order."""
  transformation = l2l_optax.general()
  with pytest.raises(ValueError, match=message):
    transformation.update(change(PARAMS), transformation.init(PARAMS), PARAMS)


@pytest.mark.parametrize("make", [l2l_optax.general, lambda: optax.adam(0.1)])
def test_a_state_of_other_parameters(make):
  state = make().init({"w": PARAMS["dense"]["w"]})
  with pytest.raises(ValueError, match="state is not of these parameters"):
    l2l_optax.general().update(PARAMS, state, PARAMS)


def test_what_it_cannot_do_is_said():
  transformation = l2l_optax.general()
  with pytest.raises(ValueError, match="needs the parameters: update"):
    transformation.update(PARAMS, transformation.init(PARAMS))
  with pytest.raises(ValueError, match="of float types, got one of int32"):
    transformation.init({"n": jax.numpy.arange(3)})
  with pytest.raises(ValueError, match="no pretrained optimizer"):
    l2l_optax.general("nobody")
  with pytest.raises(
    l2l_tf.CheckpointError, match="holds no general rule: a general rule has kind"
  ):
    l2l_optax.general("mnist_lstm")
