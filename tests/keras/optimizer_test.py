"""LearnedOptimizer does in `fit` and in loops what keras.optimizers.Adam does.

Most tests run both optimizers through the same calls and the same asserts.
"""

import warnings

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from l2l_tf import optimizers
from tests import keras_models as models

both = pytest.mark.parametrize("make", [models.learned, models.adam], ids=["learned", "adam"])


def test_no_kind_is_missing():
  assert models.KINDS.keys() == optimizers.LEARNED.keys()


EVERYTHING = {
  **{"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 3},
  **{"weight_decay": 0.01, "global_clipnorm": 0.1},
}


@pytest.mark.parametrize("kind", models.KINDS)
def test_updates_are_those_of_the_optimizer_on_all_gradients_at_once(kind):
  optimizer, theta, module = models.learned(kind), models.variables(), models.KINDS[kind]()
  params = {str(i): tf.constant(v.numpy()[np.newaxis]) for i, v in enumerate(theta)}
  state = module.initial_state(params)
  for step in range(6):
    gradients = {str(i): g[tf.newaxis] for i, g in enumerate(models.gradients(step))}
    updates, state = module(gradients, state, params)
    params = {name: params[name] + update for name, update in updates.items()}
  moved = models.run(optimizer, theta, range(6))
  models.assert_equal(moved, [p[0] for p in params.values()], atol=1e-6)
  models.assert_equal(models.states(optimizer)[2:], tf.nest.flatten(state), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
  "make, options", [(models.learned, {}), (models.learned, EVERYTHING), (models.adam, {})]
)
def test_fit_is_the_same_eagerly_and_in_a_graph(make, options):
  graph, eager = (
    models.compiled(make(**options), jit_compile=False),
    models.compiled(make(**options)),
  )
  np.testing.assert_allclose(models.fit(graph), models.fit(eager), rtol=1e-5)
  models.assert_equal(graph.get_weights(), eager.get_weights(), atol=1e-5)
  assert int(graph.optimizer.iterations) == int(eager.optimizer.iterations) == (4 if options else 8)
  assert np.abs(graph.get_weights()[0] - models.model().get_weights()[0]).max() > 1e-3


@pytest.mark.slow
def test_fit_is_the_same_under_xla():
  eager, xla = (
    models.compiled(models.learned()),
    models.compiled(models.learned(), jit_compile=True),
  )
  np.testing.assert_allclose(models.fit(eager, 1), models.fit(xla, 1), rtol=1e-5)
  models.assert_equal(eager.get_weights(), xla.get_weights(), atol=1e-5)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@both
def test_frozen_layers_rest_and_may_be_unfrozen(make):
  trained = models.compiled(make())
  models.fit(trained, 1)
  before = trained.get_weights()
  trained.layers[0].trainable = False
  trained.compile(trained.optimizer, "mse", run_eagerly=True)
  models.fit(trained, 1)
  models.assert_equal(trained.get_weights()[:2], before[:2])
  assert np.abs(trained.get_weights()[2] - before[2]).max() > 1e-4
  trained.layers[0].trainable = True
  trained.compile(trained.optimizer, "mse", run_eagerly=True)
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
  trained.compile(make(), "mse", run_eagerly=True)
  trained.fit(np.array([[0, 1], [1, 2]]), np.ones([2, 4]), verbose=0)
  assert np.all(trained.get_weights()[0][:3] != before[0][:3])


@both
def test_optimizers_and_models_do_not_mix(make):
  alone = models.run(make(), models.variables())
  first, second, theta, other = make(), make(), models.variables(), models.variables()
  for step in range(4):
    models.run(first, theta, [step])
    models.run(second, other, [9 - step])
  models.assert_equal(theta, alone)
  with pytest.raises(ValueError, match="Unknown variable"):
    first.apply(models.gradients(0), other)


@pytest.mark.skipif(not hasattr(keras.optimizers, "MultiOptimizer"), reason="Keras is too old")
@both
def test_one_of_several_optimizers_of_a_model(make):
  """MultiOptimizer: a learned optimizer for some variables, SGD for the others."""
  mine, sgd = make(), keras.optimizers.SGD(0.5)
  theta, expected = models.variables(), models.variables()
  by_path = keras.optimizers.OptimizerMap(sgd, {"w": mine, "b": mine})
  mixed = keras.optimizers.MultiOptimizer(by_path)
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
