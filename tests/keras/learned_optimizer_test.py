"""What is LearnedOptimizer's own: update_scale, reset, the horizon, what it refuses."""

import functools
import os
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from l2l_tf import optimizers
from tests import keras_models as models

OF_KERAS = "__array__ implementation"  # how NumPy's warning of Keras 3.12 begins


def steps_taken(optimizer, steps):
  """How far theta goes in each of `steps`."""
  theta, moves = models.variables(), []
  for step in steps:
    before = models.values(theta)
    after = models.run(optimizer, theta, [step])
    moves.append([b - a for a, b in zip(before, after)])
  return moves


def test_update_scale_multiplies_the_updates_and_is_the_learning_rate():
  (full,), (half,) = (steps_taken(models.learned(update_scale=s), [0]) for s in (1.0, 0.5))
  models.assert_equal(half, [0.5 * f for f in full], atol=1e-7)
  optimizer = models.learned(update_scale=np.float32(2))
  assert float(optimizer.update_scale) == float(optimizer.learning_rate) == 2.0
  optimizer.update_scale = 0.25
  assert float(optimizer.learning_rate) == 0.25
  optimizer.learning_rate = 0.5
  assert float(optimizer.update_scale) == 0.5
  models.assert_equal(steps_taken(optimizer, [0])[0], half, atol=1e-7)
  assert float(models.learned().update_scale) == 1.0


def test_the_state_does_not_depend_on_the_scale():
  large, small = models.learned(), models.learned(update_scale=1e-3)
  steps_taken(large, range(3))
  steps_taken(small, range(3))
  models.assert_equal(models.states(large)[2:], models.states(small)[2:])


def test_schedules():
  schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1.0, 0.5])
  moves = steps_taken(models.learned(update_scale=schedule), range(3))
  full = steps_taken(models.learned(), range(3))
  for move, expected, factor in zip(moves, full, (1.0, 1.0, 0.5)):
    models.assert_equal(move, [factor * e for e in expected], atol=1e-6)
  with pytest.raises(TypeError, match="its learning rate is not settable"):
    models.learned(update_scale=schedule).update_scale = 1.0


@pytest.mark.parametrize("make", [models.learned, models.adam], ids=["learned", "adam"])
def test_callbacks_that_set_the_learning_rate(make):
  trained = models.compiled(make())
  start = float(trained.optimizer.learning_rate)
  schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * (0.5 if epoch else 1))
  plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=1e9)
  history = trained.fit(
    *(models.X, models.Y), batch_size=16, epochs=3, verbose=0, callbacks=[schedule, plateau]
  ).history["learning_rate"]
  np.testing.assert_allclose(history, np.array([1.0, 0.5, 0.025]) * start, rtol=1e-5)


def test_reset_starts_anew():
  options = {"gradient_accumulation_steps": 2, "use_ema": True, "update_scale": 0.5}
  optimizer, theta = models.learned("ntm_bfgs", **options), models.variables()
  optimizer.reset()  # not built yet: nothing to do
  optimizer.build(theta)
  start = models.states(optimizer)
  moved = models.run(optimizer, theta, range(5))
  assert any(np.any(a != b) for a, b in zip(models.states(optimizer)[3:], start[3:]))
  optimizer.reset()
  models.assert_equal(models.states(optimizer), start)
  for variable, value in zip(theta, models.variables()):
    variable.assign(value)
  models.assert_equal(models.run(optimizer, theta, range(5)), moved)
  optimizer.update_scale = 0.25
  optimizer.reset()
  assert int(optimizer.iterations) == 0 and float(optimizer.update_scale) == 0.25


def test_a_warning_once_far_beyond_the_horizon():
  theta = models.variables()
  optimizer = models.learned(horizon=1)
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    models.run(optimizer, theta, range(5))
  with pytest.warns(UserWarning, match="trained to make 1 steps and has made 6") as caught:
    models.run(optimizer, theta, range(2))
  assert len(caught) == 1
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    models.run(models.learned(), models.variables(), range(6))  # no horizon is known


@pytest.mark.filterwarnings(f"ignore:{OF_KERAS}:DeprecationWarning")  # `warns` gives it on
def test_a_warning_at_the_end_of_fit_in_a_graph():
  trained = models.compiled(models.learned(horizon=1), jit_compile=False)
  with pytest.warns(UserWarning, match="trained to make 1 steps and has made 12") as caught:
    models.fit(trained, 3)
  assert len([w for w in caught if not str(w.message).startswith(OF_KERAS)]) == 1
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warnings.filterwarnings("ignore", OF_KERAS, DeprecationWarning)
    models.fit(trained, 1)
  assert not caught  # once is enough


@pytest.mark.parametrize(
  "options, message",
  [
    ({"learning_rate": 0.001}, "`update_scale`, 1 by default"),
    ({"lr": 0.001}, "not recognized"),
    ({"momentum": 0.9}, "not recognized"),
    ({"decay": 0.1}, "`decay` does not exist"),
    ({"update_scale": "big"}, "update_scale must be a finite number or a schedule, got 'big'"),
    ({"update_scale": float("nan")}, "update_scale must be a finite number"),
    ({"update_scale": True}, "update_scale must be a finite number"),
    ({"horizon": 0}, "horizon must be None or an integer of at least 1, got 0"),
    ({"gradient_accumulation_steps": 1}, "must be an integer >= 2"),
    ({"use_ema": True, "ema_momentum": 2.0}, "`ema_momentum` must be in the range"),
  ],
)
def test_arguments_it_cannot_honour(options, message):
  with pytest.raises(ValueError, match=message):
    models.learned(**options)


@pytest.mark.parametrize("wrong", [None, 3, keras.optimizers.Adam(), optimizers.SGD(0.1)])
def test_what_is_no_trained_optimizer(wrong):
  with pytest.raises(TypeError, match="takes a directory, a name of l2l_tf.pretrained.list"):
    l2l_tf.LearnedOptimizer(wrong)


def test_another_backend_of_keras(monkeypatch):
  """Those that it knows: tests/keras/backends_test.py."""
  monkeypatch.setattr(keras.config, "backend", lambda: "openvino")
  with pytest.raises(RuntimeError, match="one of tensorflow, jax, torch; KERAS_BACKEND is openv"):
    models.learned()


def test_names_and_directories(tmp_path, monkeypatch):
  monkeypatch.setattr(l2l_tf.pretrained, "list", lambda: ["a_lstm", "b_lstm"])
  for unknown in ("mnist_gru", "../a_lstm", os.fspath(tmp_path / "none")):
    with pytest.raises(ValueError, match="no pretrained optimizer .*; pretrained: a_lstm, b_lstm"):
      l2l_tf.LearnedOptimizer(unknown)
  with pytest.raises(l2l_tf.CheckpointError, match="Cannot read .*config.json"):
    l2l_tf.LearnedOptimizer(tmp_path)
  about = {"experiment": {"training": {"num_steps": 100}}}
  l2l_tf.save_optimizer(str(tmp_path), models.KINDS["lstm"](), about)
  optimizer = l2l_tf.LearnedOptimizer(tmp_path)
  assert optimizer.horizon == 100
  assert l2l_tf.LearnedOptimizer(str(tmp_path), horizon=7).horizon == 7
  models.assert_equal(
    models.run(optimizer, models.variables()),
    models.run(models.learned("lstm"), models.variables()),
  )


@pytest.mark.parametrize(
  "about", [{}, {"experiment": []}, {"experiment": {"training": {"num_steps": "9"}}}]
)
def test_files_that_do_not_tell_the_horizon(tmp_path, about):
  l2l_tf.save_optimizer(str(tmp_path), models.KINDS["lstm"](), about)
  assert l2l_tf.LearnedOptimizer(tmp_path).horizon is None


def test_variables_must_be_of_float_types():
  with pytest.raises(ValueError, match="float types only; .*counts.* is of type int32"):
    models.learned().build([keras.Variable([1, 2], dtype="int32", name="counts")])


@pytest.mark.parametrize("name", ["mnist_lstm", "cifar10_conv_fc", "quadratic_ntm_bfgs"])
def test_an_empty_variable_is_left_alone_and_changes_nothing(name):
  """Alone, or beside others; as with Adam."""
  empty, gradient = tf.zeros([0, 3]), tf.ones([2, 3])
  alone = tf.Variable(empty)
  l2l_tf.LearnedOptimizer(name).apply([empty], [alone])
  assert alone.shape == [0, 3]
  with_empty, plain = tf.Variable(gradient), tf.Variable(gradient)
  beside, optimizer = l2l_tf.LearnedOptimizer(name), l2l_tf.LearnedOptimizer(name)
  for _ in range(2):
    beside.apply([empty, gradient], [alone, with_empty])
    optimizer.apply([gradient], [plain])
  np.testing.assert_array_equal(with_empty, plain)
  assert not np.array_equal(plain, gradient)


def test_gradients_and_variables_must_match():
  optimizer, theta = models.learned(), models.variables()
  for gradients, variables in (
    (models.gradients(0)[:2], theta),
    (models.gradients(0), theta[:2]),
    (models.gradients(0)[:1] * 2, [theta[0], theta[0]]),
  ):
    with pytest.raises(ValueError, match="one gradient for each variable, and each variable once"):
      optimizer.apply(gradients, variables)
  models.assert_equal(theta, models.variables())


WRONG = {
  "as broadcast": (tf.ones([2]), "w must be of its shape [4, 2], got one of shape [2]"),
  "scalar": (tf.ones([]), "w must be of its shape [4, 2], got one of shape []"),
  "transposed": (tf.ones([2, 4]), "w must be of its shape [4, 2], got one of shape [2, 4]"),
  "an array": (np.ones([4, 3]), "w must be of its shape [4, 2], got one of shape [4, 3]"),
  "rows": (
    tf.IndexedSlices(tf.ones([1, 2]), [0], tf.constant([5, 2])),
    "w must be of its shape [4, 2], got one of shape [5, 2]",
  ),
  "complex": (
    tf.ones([4, 2], tf.complex64),
    "w must be of real numbers, got one of type complex64",
  ),
  "text": (tf.fill([4, 2], "x"), "w must be of real numbers, got one of type string"),
  "truth": (tf.ones([4, 2], tf.bool), "w must be of real numbers, got one of type bool"),
}


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("wrong, message", WRONG.values(), ids=WRONG)
def test_a_gradient_that_cannot_be_is_named(wrong, message, graph):
  """Before anything has changed; Adam broadcasts the first two and drops imaginary parts."""
  optimizer, theta = models.learned(), models.variables()
  optimizer.build(theta)
  before = models.states(optimizer)
  step = lambda: optimizer.apply([wrong, *models.gradients(0)[1:]], theta)  # noqa: E731
  with pytest.raises(ValueError, match=re.escape(f"The gradient of {message}.")) as info:
    tf.function(step, autograph=False)() if graph else step()
  assert graph or str(info.value).count("\n") == 0
  models.assert_equal(theta, models.variables())
  models.assert_equal(models.states(optimizer), before)


@pytest.mark.parametrize(
  "like", [np.asarray, lambda g: tf.cast(g, tf.float64), lambda g: np.asarray(g).tolist()]
)
def test_gradients_of_other_float_types_and_arrays(like):
  same = models.run(
    models.learned(), models.variables(), change=lambda g: [like(x.numpy()) for x in g]
  )
  models.assert_equal(same, models.run(models.learned(), models.variables()), atol=1e-7)


@pytest.mark.filterwarnings("ignore:.*the gradient is not finite")
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("make", [*models.KINDS, "adam"])
def test_a_nan_stays_where_it_is(make, graph):
  """One number of `w` at step 1: it is lost under Adam too, and all others go on."""
  optimizer = models.adam() if make == "adam" else models.learned(make)
  theta, at = models.variables(), (2, 1)
  hole = np.zeros([4, 2])
  hole[at] = np.nan

  def step(k):
    first, *others = models.gradients(k)
    optimizer.apply([first + hole if k == 1 else first, *others], theta)

  optimizer.build(theta)
  for k in range(4):
    tf.function(functools.partial(step, k), autograph=False)() if graph else step(k)
  lost = [np.isnan(v.numpy()) for v in theta]
  expected = np.isnan(hole) & (make != "general")  # which takes it for 0
  assert np.array_equal(lost[0], expected) and not lost[1].any() and not lost[2].any()


EMPTY = {
  "alone": [(0, 3)],
  "two": [(0,), (3, 0, 2)],
  "first": [(0,), (4, 2), ()],
  "last": [(4, 2), (), (2, 0)],
}


@pytest.mark.parametrize("shapes", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("make", [*models.KINDS, "adam"])
def test_variables_without_numbers_are_updated_by_doing_nothing(make, shapes):
  """The others as without them, and saved and loaded they go on."""
  rng = np.random.default_rng(0)
  if make == "partition":
    shapes = [*shapes, (3, 2)]  # it wants a matrix
  gradients = [[rng.normal(size=s).astype("f4") for s in shapes] for _ in range(3)]

  def run(some):
    optimizer = models.adam() if make == "adam" else models.learned(make)
    theta = [tf.Variable(tf.ones(s)) for s in some]
    for step in gradients if some else []:
      chosen = [g for g in step if g.shape in some]
      optimizer.apply([tf.constant(g) for g in chosen], theta)
    optimizer.build(theta)
    return theta

  some = [s for s in shapes if np.prod(s)]
  whole = run(shapes)
  assert [tuple(v.shape) for v in whole] == shapes
  models.assert_equal([v for v, s in zip(whole, shapes) if np.prod(s)], run(some), atol=1e-6)


def test_a_layer_without_numbers():
  class Nothing(keras.layers.Layer):
    def build(self, shape):
      self.none = self.add_weight(shape=(0,), name="none")

    def call(self, x):
      return x + keras.ops.sum(self.none)

  model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), Nothing()])
  model.compile(models.learned("ntm_lbfgs"), "mse", jit_compile=False)
  before = model.get_weights()[0]
  assert len(model.trainable_variables) == 3 and all(np.isfinite(models.fit(model, 1)))
  assert np.all(model.get_weights()[0] != before)
