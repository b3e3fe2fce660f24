"""A step on some of the parameters: the others rest, and those in it never notice."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.optimizers import stored_state
from tests import keras_models as models

SHAPES = {"w": (2, 3), "b": (3,), "scalar": ()}


OPTIMIZERS = [(kind, dtype) for kind in models.KINDS for dtype in ("float32", "bfloat16")]


def make(kind, dtype="float32"):
  """A learned optimizer; a partition has one group for `w` and one for the others."""
  optimizer = models.KINDS[kind]()
  if kind == "partition":
    label = lambda name, shape: "conv" if name == "w" else "fc"  # noqa: E731
    optimizer = optimizers.Partition(optimizer.groups, label)
  return stored_state.stored(optimizer, tf.as_dtype(dtype))


def gradients(step, names=SHAPES):
  """For B = 2 instances."""
  rng = np.random.default_rng([3, step])
  every = {name: rng.normal(size=(2, *shape)) for name, shape in SHAPES.items()}
  return {name: tf.constant(every[name], tf.float32) for name in names}


def theta(names=SHAPES):
  """The parameters, which stay as they are here."""
  return gradients(99, names)


def run(optimizer, schedule):
  """Updates of each step; `schedule` names the parameters that take part."""
  state, results = optimizer.initial_state(gradients(0)), []
  for step, names in enumerate(schedule):
    updates, state = optimizer.partial_step(gradients(step, names), state, SHAPES, theta(names))
    results.append(updates)
  return results, state


def assert_close(first, second, atol=1e-6):
  for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("kind, dtype", OPTIMIZERS)
def test_all_of_them_is_a_plain_step(kind, dtype):
  optimizer = make(kind, dtype)
  state = optimizer.initial_state(gradients(0))
  updates, state = optimizer(gradients(0), state, theta())
  assert_close(run(optimizer, [SHAPES]), ([updates], state), atol=0)


@pytest.mark.parametrize("kind, dtype", OPTIMIZERS)
@pytest.mark.parametrize("names", [("w", "scalar"), ("b",)])
def test_those_at_rest_might_as_well_not_be_there(kind, dtype, names):
  optimizer = make(kind, dtype)
  results, state = run(optimizer, [names] * 6)
  alone = optimizer.initial_state(gradients(0, names))
  for step in range(6):
    expected, alone = optimizer(gradients(step, names), alone, theta(names))
    assert list(results[step]) == list(names)
    assert_close(results[step], expected)
  tf.nest.assert_same_structure(state, optimizer.initial_state(gradients(0)))
  full = zip(tf.nest.flatten(state), tf.nest.flatten(optimizer.initial_state(gradients(0))))
  assert all(a.shape == b.shape for a, b in full)


def test_the_state_at_rest_stays_and_is_taken_up_again():
  optimizer = models.KINDS["lstm"]()
  _, before = run(optimizer, [SHAPES, SHAPES])
  updates, state = run(optimizer, [SHAPES, SHAPES, ("b",), SHAPES])
  single, rows = optimizer.initial_state(gradients(0, ["w"])), None
  for step in (0, 1, 3):
    rows, single = optimizer(gradients(step, ["w"]), single)
  assert_close(updates[3]["w"], rows["w"])
  _, paused = run(optimizer, [SHAPES, SHAPES, ("b",)])
  for now, then in zip(tf.nest.flatten(paused), tf.nest.flatten(before)):
    np.testing.assert_array_equal(now[..., :6], then[..., :6])
    assert np.any(now[..., 6:9] != then[..., 6:9])
  assert len(tf.nest.flatten(state)) == 4


def test_memories_agree_whoever_rests():
  """A limited memory that forgets nothing is the full one; writes must keep their places."""
  options = {"layer_sizes": (4, 3), "num_gacs": 2, "seed": 1}
  full = optimizers.NTMBFGS(**options)
  limited = optimizers.NTMLBFGS(**options, history=8)
  for variable in (*full.trainable_variables, *limited.trainable_variables):
    variable.assign(5 * variable)
  schedule = [SHAPES, ("w",), ("b", "scalar"), SHAPES, ("w", "b"), SHAPES, ("scalar",), SHAPES]
  results, _ = run(full, schedule)
  assert_close(run(limited, schedule)[0], results, atol=1e-5)
  forgetful, _ = run(optimizers.NTMLBFGS(**options, history=1), schedule)
  assert any(np.abs(a["w"] - b["w"]).max() > 1e-4 for a, b in zip(forgetful[-1:], results[-1:]))
