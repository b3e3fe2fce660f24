"""LearnedOptimizer does with Keras's arguments and calls what keras.optimizers.Adam does.

Most tests run both optimizers through the same calls and the same asserts.
"""

import warnings

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from tests import keras_models as models

both = pytest.mark.parametrize("make", [models.learned, models.adam], ids=["learned", "adam"])


@pytest.mark.parametrize("kind", models.KINDS)
def test_updates_are_those_of_the_optimizer_on_all_gradients_at_once(kind):
  optimizer, theta, module = models.learned(kind), models.variables(), models.KINDS[kind]()
  params = {str(i): tf.constant(v.numpy()[np.newaxis]) for i, v in enumerate(theta)}
  state = module.initial_state(params)
  for step in range(6):
    gradients = {str(i): g[tf.newaxis] for i, g in enumerate(models.gradients(step))}
    updates, state = module(gradients, state)
    params = {name: params[name] + update for name, update in updates.items()}
  moved = models.run(optimizer, theta, range(6))
  models.assert_equal(moved, [p[0] for p in params.values()], atol=1e-6)
  models.assert_equal(models.states(optimizer)[2:], tf.nest.flatten(state), atol=1e-6)


@both
def test_fit_is_the_same_eagerly_and_in_a_graph(make):
  graph, eager = models.compiled(make()), models.compiled(make(), run_eagerly=True)
  np.testing.assert_allclose(models.fit(graph), models.fit(eager), rtol=1e-5)
  models.assert_equal(graph.get_weights(), eager.get_weights(), atol=1e-5)
  assert int(graph.optimizer.iterations) == int(eager.optimizer.iterations) == 8
  assert np.abs(graph.get_weights()[0] - models.model().get_weights()[0]).max() > 1e-3


def test_fit_is_the_same_under_xla():
  graph, xla = models.compiled(models.learned()), models.compiled(models.learned(), jit_compile=True)
  np.testing.assert_allclose(models.fit(graph, 1), models.fit(xla, 1), rtol=1e-5)
  models.assert_equal(graph.get_weights(), xla.get_weights(), atol=1e-5)


@both
def test_train_on_batch_and_tape_loops_are_fit(make):
  fitted, batchwise, looped = (models.compiled(make()) for _ in range(3))
  models.fit(fitted, 1)
  optimizer = make()

  @tf.function
  def step(x, y):  # the optimizer is built in its first trace
    with tf.GradientTape() as tape:
      loss = tf.reduce_mean((looped(x) - y) ** 2)
    gradients = tape.gradient(loss, looped.trainable_variables)
    optimizer.apply_gradients(zip(gradients, looped.trainable_variables))

  for k in range(0, 32, 8):
    batchwise.train_on_batch(models.X[k : k + 8], models.Y[k : k + 8])
    step(models.X[k : k + 8], models.Y[k : k + 8])
  models.assert_equal(fitted.get_weights(), batchwise.get_weights(), atol=1e-6)
  models.assert_equal(fitted.get_weights(), looped.get_weights(), atol=1e-6)


@both
def test_apply_and_apply_gradients_in_any_order(make):
  first, second, third = models.variables(), models.variables(), models.variables()
  expected = models.run(make(), first)
  optimizer, shuffled = make(), make()
  optimizer.build(second)
  shuffled.build(third)
  for step in range(4):
    if step < 2:
      optimizer.apply(models.gradients(step))  # the variables it was built with
    else:
      result = optimizer.apply_gradients(zip(models.gradients(step), second))
      assert int(result) == step + 1
    shuffled.apply(models.gradients(step)[::-1], third[::-1])
  models.assert_equal(second, expected)
  models.assert_equal(third, expected, atol=1e-7)


@both
def test_sonnet_modules(make):
  def train(graph):
    module = snt.Linear(2)
    module(models.X)
    for v in module.trainable_variables:
      v.assign(tf.ones_like(v))
    optimizer = make()

    def step():
      with tf.GradientTape() as tape:
        loss = tf.reduce_mean((module(models.X) - models.Y) ** 2)
      optimizer.apply(tape.gradient(loss, module.trainable_variables), module.trainable_variables)

    call = tf.function(step) if graph else step
    for _ in range(4):
      call()
    return [v.numpy() for v in module.trainable_variables]

  moved = train(graph=True)
  models.assert_equal(moved, train(graph=False), atol=1e-6)
  assert all(np.all(value != 1) for value in moved)


@both
def test_variables_without_a_gradient_rest(make):
  optimizer, theta, other = make(), models.variables(), models.variables()
  with pytest.warns(UserWarning, match="Gradients do not exist for variables .*b"):
    moved = models.run(optimizer, theta, change=lambda g: [g[0], None, g[2]])
  models.assert_equal([theta[1]], [other[1]])
  reference = make()
  for step in range(4):
    reference.apply(models.gradients(step)[::2], other[::2])
  models.assert_equal(moved, other, atol=1e-7)
  with pytest.raises(ValueError, match="No gradients provided for any variable"):
    optimizer.apply([None] * 3, theta)


@both
def test_frozen_layers_rest_and_may_be_unfrozen(make):
  trained = models.compiled(make())
  models.fit(trained, 1)
  before = trained.get_weights()
  trained.layers[0].trainable = False
  trained.compile(trained.optimizer, "mse", jit_compile=False)
  models.fit(trained, 1)
  models.assert_equal(trained.get_weights()[:2], before[:2])
  assert np.abs(trained.get_weights()[2] - before[2]).max() > 1e-4
  trained.layers[0].trainable = True
  trained.compile(trained.optimizer, "mse", jit_compile=False)
  models.fit(trained, 1)
  assert np.abs(trained.get_weights()[0] - before[0]).max() > 1e-4
  assert int(trained.optimizer.iterations) == 12


@both
def test_variables_it_was_not_built_with_are_unknown(make):
  optimizer, theta = make(), models.variables()
  optimizer.apply(models.gradients(0)[:2], theta[:2])
  before = models.states(optimizer)
  with pytest.raises(ValueError, match="Unknown variable"):
    optimizer.apply(models.gradients(0), theta)
  with pytest.raises(ValueError, match="must already be built"):
    make().apply(models.gradients(0))
  models.assert_equal(models.states(optimizer), before)


SPARSE = [
  *((make, [3, 1], {}) for make in (models.learned, models.adam)),
  *((make, [3, 1], {"clipnorm": 0.3}) for make in (models.learned, models.adam)),
  (models.learned, [3, 3], {}),  # Keras's Adam and `clipnorm` do not sum repeated rows
  (models.learned, [3, 3], {"gradient_accumulation_steps": 2}),
]


@pytest.mark.parametrize("make, rows, options", SPARSE)
def test_sparse_gradients_are_the_dense_ones(make, rows, options):
  sparse, dense = models.variables(), models.variables()
  slices = tf.IndexedSlices(tf.constant([[1.0, 2.0], [0.5, -1.0]]), rows, tf.constant([4, 2]))
  moved = models.run(make(**options), sparse, change=lambda g: [slices, *g[1:]])
  same = models.run(make(**options), dense, change=lambda g: [tf.convert_to_tensor(slices), *g[1:]])
  models.assert_equal(moved, same, atol=1e-6)


@both
def test_embeddings(make):
  keras.utils.set_random_seed(1)
  embedding = keras.layers.Embedding(6, 2)
  trained = keras.Sequential([keras.Input((2,)), embedding, keras.layers.Flatten()])
  before = models.values(trained.weights)
  trained.compile(make(), "mse", jit_compile=False)
  trained.fit(np.array([[0, 1], [1, 2]]), np.ones([2, 4]), verbose=0)
  assert np.all(trained.get_weights()[0][:3] != before[0][:3])


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
  dynamic, theta = keras.optimizers.LossScaleOptimizer(make(), initial_scale=8.0), models.variables()
  models.assert_equal(
    models.run(dynamic, theta, change=lambda g: [8 * x for x in g]), expected, atol=1e-6
  )
  before = models.states(dynamic.inner_optimizer)
  dynamic.apply([tf.fill(g.shape, np.inf) for g in models.gradients(0)], theta)  # is skipped
  models.assert_equal(theta, expected, atol=1e-6)
  models.assert_equal(models.states(dynamic.inner_optimizer), before)
  assert float(dynamic.dynamic_scale) == 4.0 and float(dynamic.learning_rate) in (1.0, np.float32(0.01))


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
def test_optimizers_and_models_do_not_mix(make):
  alone = models.run(make(), models.variables())
  first, second, theta, other = make(), make(), models.variables(), models.variables()
  for step in range(4):
    models.run(first, theta, [step])
    models.run(second, other, [9 - step])
  models.assert_equal(theta, alone)
  assert first.name != second.name
  with pytest.raises(ValueError, match="Unknown variable"):
    first.apply(models.gradients(0), other)


@both
def test_one_of_several_optimizers_of_a_model(make):
  """MultiOptimizer: a learned optimizer for some variables, SGD for the others."""
  mine, sgd = make(), keras.optimizers.SGD(0.5)
  theta, expected = models.variables(), models.variables()
  optimizers = {"w": mine, "b": mine}
  mixed = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(sgd, optimizers))
  mixed.apply(models.gradients(0), theta)
  make().apply(models.gradients(0)[:2], expected[:2])
  expected[2].assign_sub(0.5 * models.gradients(0)[2])
  models.assert_equal(theta, expected, atol=1e-7)


@both
def test_bookkeeping_of_variables(make):
  optimizer, theta = make(), models.variables()
  assert [v.name for v in optimizer.variables] == ["iteration", "learning_rate"]
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    models.run(optimizer, theta, range(2))
  values = models.states(optimizer)
  assert all(isinstance(v, keras.Variable) and not v.trainable for v in optimizer.variables)
  assert all(v.path.startswith(optimizer.name + "/") for v in optimizer.variables)
  copy, other = make(), models.variables()
  with pytest.raises(ValueError, match="has not yet been built"):
    copy.set_weights(values)
  copy.build(other)
  copy.build(other)  # the second does nothing
  copy.set_weights(values)
  for v, w in zip(other, theta):
    v.assign(w)
  assert len(copy.variables) == len(values)
  models.assert_equal(
    models.run(optimizer, theta, range(2, 5)), models.run(copy, other, range(2, 5))
  )


@both
def test_no_variables_at_all(make):
  optimizer = make()
  optimizer.build([])
  optimizer.apply([], [])
  assert int(optimizer.iterations) == 0
