"""Keras's arguments and types of numbers mean for LearnedOptimizer what they mean for Adam.

Both optimizers run through the same calls and the same asserts.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import keras_models as models

both = pytest.mark.parametrize("make", [models.learned, models.adam], ids=["learned", "adam"])


CLIPPINGS = {
  "clipvalue": lambda gradients: [tf.clip_by_value(g, -0.3, 0.3) for g in gradients],
  "clipnorm": lambda gradients: [tf.clip_by_norm(g, 0.3) for g in gradients],
  "global_clipnorm": lambda gradients: tf.clip_by_global_norm(gradients, 0.3)[0],
}


@both
@pytest.mark.parametrize("name", CLIPPINGS)
def test_clipping(make, name):
  clipped = models.run(make(**{name: 0.3}), models.variables())
  expected = models.run(make(), models.variables(), change=CLIPPINGS[name])
  models.assert_equal(clipped, expected, atol=1e-6)
  with pytest.raises(ValueError, match="Only one of `clipnorm`"):
    make(clipnorm=1.0, clipvalue=1.0)


@both
def test_gradient_accumulation_steps_on_the_mean(make):
  optimizer, theta, other = make(gradient_accumulation_steps=2), models.variables(), make()
  start = models.values(theta)
  optimizer.apply(models.gradients(0), theta)
  models.assert_equal(theta, start)
  models.run(optimizer, theta, range(1, 4))
  mean = models.variables()
  for step in (0, 2):
    pairs = zip(models.gradients(step), models.gradients(step + 1))
    other.apply([(a + b) / 2 for a, b in pairs], mean)
  models.assert_equal(theta, mean, atol=1e-6)
  assert int(optimizer.iterations) == 2


@both
def test_moving_averages(make):
  theta, plain = models.variables(), models.variables()
  optimizer, other = make(use_ema=True, ema_momentum=0.5), make()
  average = None
  for step in range(3):
    optimizer.apply(models.gradients(step), theta)
    other.apply(models.gradients(step), plain)
    now = models.values(plain)
    average = now if average is None else [(a + b) / 2 for a, b in zip(average, now)]
  models.assert_equal(theta, plain)
  optimizer.finalize_variable_values(theta)
  models.assert_equal(theta, average, atol=1e-6)
  overwriting = make(use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3)
  models.assert_equal(models.run(overwriting, models.variables(), range(3)), average, atol=1e-6)


@both
def test_weight_decay_and_what_is_excluded(make):
  """theta <- theta - rate decay theta before the update; the rate is `update_scale` here."""
  theta, plain = models.variables(), models.variables()
  optimizer, other = make(weight_decay=0.1), make()
  optimizer.exclude_from_weight_decay(var_names=["b"])
  rate = float(optimizer.learning_rate)
  models.run(optimizer, theta, range(1))
  models.run(other, plain, range(1))
  for name, decayed, value, start in zip("wbs", theta, plain, models.variables()):
    lost = 0.0 if name == "b" else 0.1 * rate * start.numpy()
    np.testing.assert_allclose(decayed, value - lost, rtol=0, atol=1e-6)


@both
def test_loss_scaling(make):
  expected = models.run(make(), models.variables())
  scaled = models.run(
    make(loss_scale_factor=8.0), models.variables(), change=lambda g: [8 * x for x in g]
  )
  models.assert_equal(scaled, expected, atol=1e-6)
  dynamic, theta = (
    keras.optimizers.LossScaleOptimizer(make(), initial_scale=8.0),
    models.variables(),
  )
  models.assert_equal(
    models.run(dynamic, theta, change=lambda g: [8 * x for x in g]), expected, atol=1e-6
  )
  before = models.states(dynamic.inner_optimizer)
  dynamic.apply([tf.fill(g.shape, np.inf) for g in models.gradients(0)], theta)  # is skipped
  models.assert_equal(theta, expected, atol=1e-6)
  models.assert_equal(models.states(dynamic.inner_optimizer), before)
  assert float(dynamic.dynamic_scale) == 4.0 and float(dynamic.learning_rate) in (
    1.0,
    np.float32(0.01),
  )


@pytest.mark.slow
@both
def test_mixed_precision(make):
  keras.config.set_dtype_policy("mixed_float16")
  try:
    trained = models.compiled(make())
  finally:
    keras.config.set_dtype_policy("float32")
  assert isinstance(trained.optimizer, keras.optimizers.LossScaleOptimizer)
  single = models.compiled(make())
  assert {v.dtype for v in trained.weights} == {"float32"}
  np.testing.assert_allclose(models.fit(trained, 1), models.fit(single, 1), rtol=2e-2)


@both
@pytest.mark.parametrize("dtype, atol", [("float16", 2e-2), ("bfloat16", 1e-1), ("float64", 1e-6)])
def test_variables_of_other_float_types(make, dtype, atol):
  theta = models.variables(dtype)
  moved = models.run(make(), theta, change=lambda g: [tf.cast(x, dtype) for x in g])
  assert {v.dtype for v in theta} == {dtype}
  expected = models.run(make(), models.variables())
  models.assert_equal([m.astype(np.float64) for m in moved], expected, atol=atol)


@both
def test_constraints(make):
  theta = keras.Variable([0.001, -5.0])
  theta.constraint = keras.constraints.NonNeg()
  make().apply([tf.constant([1.0, 1.0])], [theta])
  assert float(theta[1]) == 0.0 and np.all(theta.numpy() >= 0)


@both
def test_variables_that_gradients_overwrite(make):
  """As the scales of float8 training: no update, no state."""
  optimizer, theta, others = make(), models.variables(), models.variables()[::2]
  theta[1].overwrite_with_gradient = True
  models.run(optimizer, theta, range(2))
  models.assert_equal([theta[1]], [models.gradients(1)[1]])
  expected = models.run(make(), others, range(2), change=lambda g: g[::2])
  models.assert_equal(theta[::2], expected, atol=1e-7)


@pytest.mark.slow
def test_missing_and_sparse_gradients_under_xla():
  slices = tf.IndexedSlices(tf.constant([[1.0, 2.0], [0.5, -1.0]]), [3, 3], tf.constant([4, 2]))

  def step(compile_it):
    optimizer, theta = models.learned("ntm_lbfgs"), models.variables()
    optimizer.build(theta)
    gradients = [slices, None, models.gradients(0)[2]]
    tf.function(lambda: optimizer.apply(gradients, theta), jit_compile=compile_it)()
    return models.values(theta) + models.states(optimizer)

  models.assert_equal(step(False), step(True), atol=1e-6)
