"""Tests of problems from Keras models: f is what `fit` minimizes, theta_0 is drawn from a seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.problems import base
from l2l_tf.problems import minibatches
from tests import adapted

SEEDS = tf.constant(base.make_seeds(5, count=3))
X, Y = adapted.X.astype(np.float32), adapted.Y
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(**options) -> keras.Model:
  layers = [keras.layers.Dense(4, "relu", **options), keras.layers.Dense(3)]
  return keras.Sequential([keras.Input((6,)), *layers])


def frozen() -> keras.Model:
  model = dense()
  for layer in model.layers:
    layer.trainable = False
  return model


def from_keras(*layers, loss=LOSS, data=(X, Y), **options) -> problems.Problem:
  model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(3)])
  return problems.from_keras(model, loss, data, **{"batch_size": 8, **options})


def loss_of_fit(model, loss, params, x, y) -> float:
  """What `fit` reports for one step on (x, y) from `params`, with training=True."""
  for variable, value in zip(model.trainable_variables, params.values(), strict=True):
    variable.assign(value)
  model.compile(keras.optimizers.SGD(0.0), loss)
  return model.train_on_batch(x, y)


@pytest.mark.parametrize("loss", [LOSS, "mse", lambda y, p: (tf.cast(y, p.dtype) - p) ** 2])
def test_the_loss_is_that_of_fit(loss):
  """On one example many times; regularization counts."""
  model = dense(kernel_regularizer=keras.regularizers.L2(0.3))
  y = np.eye(3, dtype=np.float32)[Y] if loss != LOSS else Y
  problem = problems.from_keras(model, loss, (X[:1], y[:1]), 4)
  params, task = problem.init(SEEDS[0])
  value = float(problem.loss(params, task, SEEDS[1]))
  assert value == pytest.approx(loss_of_fit(model, loss, params, X[:1], y[:1]), rel=1e-5)


def test_labels_and_predictions_are_not_broadcast():
  """As in `fit`, where [batch] and [batch, 1] are compared element by element."""
  model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
  y = Y.astype(np.float32)
  problem = problems.from_keras(model, lambda y, p: (y - p) ** 2, (X, y), 16)
  params, task = problem.init(SEEDS[0])
  indices = minibatches.Minibatches((X, y), 16).draw(SEEDS[1]).numpy()
  expected = loss_of_fit(model, lambda y, p: (y - p) ** 2, params, X[indices], y[indices])
  assert float(problem.loss(params, task, SEEDS[1])) == pytest.approx(expected, rel=1e-5)


def test_batch_normalization_normalizes_by_the_minibatch():
  model = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])
  model.add(keras.layers.Dense(3))
  moving = [v.numpy() for v in model.non_trainable_variables]
  problem = problems.from_keras(model, LOSS, (X, Y), 16)
  params, task = problem.init(SEEDS[0])
  loss = float(problem.loss(params, task, SEEDS[1]))
  for before, variable in zip(moving, model.non_trainable_variables, strict=True):
    np.testing.assert_array_equal(before, variable)
  indices = minibatches.Minibatches((X, Y), 16).draw(SEEDS[1]).numpy()
  expected = loss_of_fit(model, LOSS, params, X[indices], Y[indices])  # moves the averages
  assert loss == pytest.approx(expected, rel=1e-5)
  again = problems.from_keras(model, LOSS, (X, Y), 16)
  assert float(again.loss(params, task, SEEDS[1])) == loss  # and does not depend on them


@pytest.mark.slow
def test_dropout_draws_from_the_seed_of_the_step():
  problem = from_keras(keras.layers.Dropout(0.5), keras.layers.Dropout(0.5))
  first, second = (unroll.rollout(problem, optimizers.SGD(0.0), SEEDS, 3) for _ in range(2))
  np.testing.assert_array_equal(first, second)
  alone = unroll.rollout(problem, optimizers.SGD(0.0), SEEDS[1:2], 3)
  np.testing.assert_allclose(alone[:, 0], first[:, 1], rtol=1e-5)
  plain = unroll.rollout(from_keras(), optimizers.SGD(0.0), SEEDS, 3)
  assert np.all(plain != first)
  one = from_keras(keras.layers.Dropout(0.5), data=(X[:1], Y[:1]))  # only masks can differ
  params, task = one.init(SEEDS[0])
  step_loss = tf.function(lambda t: one.loss(params, task, base.at_step(SEEDS[0], t)))
  assert len({float(step_loss(tf.constant(t))) for t in range(5)}) == 5


def test_theta_0_is_drawn_by_each_variables_own_initializer():
  model = keras.Sequential([keras.Input((5, 6)), keras.layers.LSTM(7), keras.layers.Dense(200)])
  problem = problems.from_keras(model, "mse", (np.zeros([3, 5, 6]), np.zeros([3, 200])), 2)
  params, _ = base.instances(problem, SEEDS)
  names = ["kernel", "recurrent_kernel", "bias", "kernel", "bias"]
  assert [name.split("/")[-1] for name in params] == names
  kernel, recurrent, bias, weights, _ = (p.numpy() for p in params.values())
  assert np.all(weights[0] != weights[1]) and np.all(kernel[1] != kernel[2])
  assert np.abs(weights).max() == pytest.approx((6 / 207) ** 0.5, rel=0.01)  # Glorot's limit
  np.testing.assert_allclose(recurrent[0] @ recurrent[0].T, np.eye(7), atol=1e-5)  # orthogonal
  np.testing.assert_array_equal(bias[0], np.repeat([0, 1, 0, 0], 7))  # the forget gate's ones


def test_one_initializer_for_all():
  problem = from_keras(initializer=keras.initializers.RandomNormal(stddev=0.01))
  params, _ = base.instances(problem, tf.constant(base.make_seeds(0, count=100)))
  for value in params.values():
    assert np.std(value) == pytest.approx(0.01, rel=0.2)
  assert len(params) == 2


@pytest.mark.slow
def test_the_model_stays_as_it_is_and_frozen_layers_keep_their_weights():
  model = dense()
  model.layers[0].trainable = False
  before = model.get_weights()
  problem = problems.from_keras(model, LOSS, (X, Y), 8)
  params, _ = problem.init(SEEDS[0])
  assert [tuple(p.shape) for p in params.values()] == [(4, 3), (3,)]
  losses = unroll.rollout(problem, optimizers.SGD(0.3), SEEDS, 30)
  assert np.mean(losses[-10:]) < np.mean(losses[0])
  for a, b in zip(before, model.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)


class Subclassed(keras.Model):
  """As users write them: no **kwargs, no get_config, not built."""

  def __init__(self, units=4):
    super().__init__()
    self.hidden = keras.layers.Dense(units, "tanh")
    self.dropout = keras.layers.Dropout(0.2)
    self.out = keras.layers.Dense(3)

  def call(self, x, training=False):
    return self.out(self.dropout(self.hidden(x), training=training))


def test_subclassed_models_and_functions_that_make_one():
  """Keras copies a model that gets numbers, by their defaults; a function makes any."""
  for model in (Subclassed(), lambda: Subclassed(5)):
    problem = problems.from_keras(model, LOSS, (X, Y), 8)
    params, _ = base.instances(problem, SEEDS)
    kernel = params[list(params)[0]]
    assert len(params) == 4 and len(np.unique(kernel)) == np.size(kernel) >= 3 * 24
  with pytest.raises(ValueError, match="A second Subclassed has .*Give a function that makes"):
    problems.from_keras(Subclassed(5), LOSS, (X, Y), 8)


def test_a_model_that_cannot_be_copied():
  class Closed(keras.Sequential):
    def get_config(self):
      raise NotImplementedError("Please implement\nget_config.")

  model = Closed([keras.Input((6,)), keras.layers.Dense(3)])
  message = (
    "Closed cannot be copied .*Please implement get_config.*Give a function .* `initializer`"
  )
  with pytest.raises(ValueError, match=message):
    problems.from_keras(model, LOSS, (X, Y), 8)
  problems.from_keras(model, LOSS, (X, Y), 8, keras.initializers.RandomNormal())


@pytest.mark.slow
def test_images_in_a_dataset_and_a_convnet_are_learned():
  """Convolutions are lifted by a loop; the result is that of separate runs."""
  images = np.zeros([30, 8, 8, 1], np.uint8)
  images[:15, :4], images[15:, 4:] = 200, 200
  data = tf.data.Dataset.from_tensor_slices((images, np.arange(30) // 15))
  model = keras.Sequential(
    [
      keras.Input((8, 8, 1)),
      keras.layers.Rescaling(1 / 255),
      keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
      keras.layers.Flatten(),
      keras.layers.Dense(2),
    ]
  )
  problem = problems.from_keras(model, LOSS, data, 16)
  losses = unroll.rollout(problem, optimizers.Adam(0.02), SEEDS, 40)
  assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[0])
  alone = unroll.rollout(problem, optimizers.Adam(0.02), SEEDS[2:], 5)
  np.testing.assert_allclose(alone[:, 0], losses[:6, 2], rtol=1e-3)


def test_several_inputs():
  a, b = keras.Input((6,), name="a"), keras.Input((2,), name="b")
  outputs = keras.layers.Dense(3)(keras.layers.Concatenate()([a, b]))
  model = keras.Model({"a": a, "b": b}, outputs)
  problem = problems.from_keras(model, LOSS, ({"a": X, "b": X[:, :2]}, Y), 8)
  assert unroll.rollout(problem, optimizers.SGD(0.1), SEEDS, 2).shape == (3, 3)


@pytest.mark.slow
@pytest.mark.parametrize("second_derivatives", [False, True])
def test_meta_training(second_derivatives):
  problem = from_keras(keras.layers.BatchNormalization(), keras.layers.Dropout(0.2))
  adapted.assert_meta_trains(problem, second_derivatives)


BATCHES = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10)
BAD = {
  "model": (lambda: problems.from_keras(dict, LOSS, (X, Y)), TypeError, "takes .*, got dict"),
  "no targets": (lambda: from_keras(data=X), ValueError, "no targets y for the loss: give .x, y."),
  "four": (lambda: from_keras(data=(X, Y, Y, Y)), ValueError, "x, y, sample_weight., got 4 parts"),
  "lengths": (lambda: from_keras(data=(X, Y[:3])), ValueError, "as many examples"),
  "nan": (lambda: from_keras(data=(X * np.nan, Y)), ValueError, "240 of 240 numbers"),
  "shape": (lambda: from_keras(data=(X[:, :4], Y)), ValueError, r"shape \(6,\), .* shape \(4,\)"),
  "batches": (lambda: from_keras(data=BATCHES), ValueError, r"shape \(10, 6\).*`.unbatch\(\)`"),
  "loss": (lambda: from_keras(loss="cross"), ValueError, "cross"),
  "no loss": (lambda: from_keras(loss=None), ValueError, "No loss to compute"),
  "unreduced": (
    lambda: from_keras(loss=keras.losses.SparseCategoricalCrossentropy(reduction=None)),
    *(ValueError, r"loss must be a scalar tensor, got shape \(8,\)"),
  ),
  "frozen": (
    lambda: problems.from_keras(frozen(), LOSS, (X, Y), 8),
    *(ValueError, "nothing to optimize: .*no trainable variables"),
  ),
}


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_bad_arguments_are_named(call, kind, message):
  with pytest.raises(kind, match=message):
    call()


def test_another_backend_of_keras(monkeypatch):
  monkeypatch.setattr(keras.config, "backend", lambda: "jax")
  with pytest.raises(RuntimeError, match="needs Keras on TensorFlow; KERAS_BACKEND is jax"):
    from_keras()
