"""The ports against optax.contrib, step by step, and Schedule-Free against its formula."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.zoo.ports.d_adaptation import DAdaptAdamW
from l2l_tf.zoo.ports.dog import DoG
from l2l_tf.zoo.ports.momo import MoMoAdam
from l2l_tf.zoo.ports.prodigy import Prodigy
from l2l_tf.zoo.ports.schedule_free import ScheduleFreeAdamW

PORTS = {"prodigy": Prodigy, "dadapt_adamw": DAdaptAdamW, "dog": DoG, "momo_adam": MoMoAdam}
PORTS["schedule_free_adamw"] = ScheduleFreeAdamW
STEPS = 60
ROUNDING = 2e-4  # optax is asked for float32, in which sums of squares are added in another order


def loss(w, b):
  """A curved valley in two tensors, far from its minimum at the start."""
  return ((w - 3.0) ** 2).sum() * 0.5 + (b[0] * w[0, 0] - 1.0) ** 2 + 0.1 * (b**4).sum()


def gradients(w, b):
  g_w = w - 3.0
  g_w[0, 0] += 2 * b[0] * (b[0] * w[0, 0] - 1.0)
  g_b = 0.4 * b**3
  g_b[0] += 2 * w[0, 0] * (b[0] * w[0, 0] - 1.0)
  return g_w, g_b


def start() -> list[np.ndarray]:
  rng = np.random.default_rng(0)
  return [rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (2,))]


@pytest.mark.slow
@pytest.mark.parametrize("name", PORTS)
def test_a_port_takes_the_steps_of_optax(name):
  reason = (
    "optax and jax, against which the ports are checked, are not installed: `pip install optax`"
  )
  contrib = pytest.importorskip("optax.contrib", reason=reason)
  optax = pytest.importorskip("optax", reason=reason)
  params = start()
  variables = [keras.Variable(p) for p in params]
  optimizer, theirs = PORTS[name](), getattr(contrib, name)()
  optimizer.build(variables)
  state = theirs.init(params)
  for t in range(STEPS):
    values = [np.asarray(p) for p in params]
    grads = [g.astype(np.float32) for g in gradients(*(v.copy() for v in values))]
    value = np.float32(loss(*values))
    extra = {"value": value} if name == "momo_adam" else {}
    updates, state = theirs.update(list(grads), state, params, **extra)
    params = optax.apply_updates(params, updates)
    # Each step from their point, so that what is compared is a step and not its consequences.
    for variable, v in zip(variables, values):
      variable.assign(v)
    optimizer.scale_loss(tf.constant(value))
    optimizer.apply([tf.constant(g) for g in grads], variables)
    for variable, v, p in zip(variables, values, params):
      step, expected = variable.numpy() - v, np.asarray(p) - v
      np.testing.assert_allclose(
        step, expected, rtol=ROUNDING, atol=1e-7 + ROUNDING * np.abs(v).max(), err_msg=f"{name} {t}"
      )
  moved = max(float(np.abs(np.asarray(p) - s).max()) for p, s in zip(params, start()))
  assert moved > 1e-5


@pytest.mark.parametrize("kind", PORTS.values())
def test_a_port_sees_sparse_gradients_as_dense_ones(kind):
  results = []
  for sparse in (False, True):
    variable = keras.Variable(np.ones([3, 2], np.float32))
    optimizer = kind()
    gradient = tf.IndexedSlices(tf.ones([2, 2]), tf.constant([0, 0]), tf.constant([3, 2]))
    optimizer.scale_loss(tf.constant(1.0))
    optimizer.apply([gradient if sparse else tf.convert_to_tensor(gradient)], [variable])
    results.append(variable.numpy())
  np.testing.assert_array_equal(*results)
  assert np.any(results[0][0] != 1) and np.all(results[0][1:] == 1)


def test_momo_says_that_it_needs_the_loss():
  variable = keras.Variable([1.0])
  with pytest.raises(ValueError, match="MoMoAdam needs the loss: train with `fit`"):
    MoMoAdam().apply([tf.constant([1.0])], [variable])


def test_a_port_needs_all_gradients():
  variables = [keras.Variable([1.0]), keras.Variable([1.0])]
  optimizer = Prodigy()
  optimizer.build(variables)
  with pytest.raises(ValueError, match="a gradient for each of the 2 variables"):
    optimizer.apply([tf.constant([1.0])], variables[:1])


def test_schedule_free_shows_the_average_of_its_points():
  variable = keras.Variable([5.0])
  optimizer = ScheduleFreeAdamW()
  optimizer.build([variable])
  variable.assign([2.0])  # after it was built, as each run begins
  np.testing.assert_allclose(optimizer.averaged()[0], [2.0])
  points = []
  for _ in range(20):
    optimizer.apply([tf.constant(variable.numpy())], [variable])
    points.append(optimizer._vectors["z"].numpy())
    np.testing.assert_allclose(optimizer.averaged()[0], np.mean(points, 0), rtol=1e-5)
  assert points[0][0] == pytest.approx(2.0 - 0.0025, abs=1e-6)
