"""Tests of the LSTM layer: against NumPy, and its gradient by hand against autodiff."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.optimizers import lstm

UNITS, FEATURES, ROWS = 3, 2, 5


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def numpy_cell(x, h, c, w, b):
  """Gates in the order i, f, g, o; 1 is added to the forget gate; one row a coordinate."""
  i, f, g, o = np.split(np.concatenate([x, h], axis=1) @ w + b, 4, axis=1)
  c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
  return sigmoid(o) * np.tanh(c), c


def readable_cell(x, h, c, w, b):
  """The same formula in TensorFlow, features first, for autodiff."""
  z = tf.matmul(w, tf.concat([x, h], axis=0), transpose_a=True) + b[:, tf.newaxis]
  i, f, g, o = tf.split(z, 4, axis=0)
  c = tf.sigmoid(f + 1) * c + tf.sigmoid(i) * tf.tanh(g)
  return tf.sigmoid(o) * tf.tanh(c), c


def lstm_cell(x, h, c, w, b):
  return lstm.lstm_cell(x, lstm.LSTMState(h, c), w, b)


@pytest.fixture
def arguments():
  """x, h, c, w, b: float64, features first."""
  rng = np.random.default_rng(1)
  shapes = [(FEATURES, ROWS), (UNITS, ROWS), (UNITS, ROWS), (FEATURES + UNITS, 4 * UNITS)]
  return [tf.constant(rng.normal(size=shape)) for shape in [*shapes, (4 * UNITS,)]]


def test_cell_equals_numpy(arguments):
  x, h, c, w, b = (a.numpy() for a in arguments)
  hidden, cell = lstm_cell(*arguments)
  expected_hidden, expected_cell = numpy_cell(x.T, h.T, c.T, w, b)
  np.testing.assert_allclose(hidden, expected_hidden.T, rtol=0, atol=1e-12)
  np.testing.assert_allclose(cell, expected_cell.T, rtol=0, atol=1e-12)


def test_gradient_by_hand_equals_autodiff_of_the_readable_formula(arguments):
  rng = np.random.default_rng(2)
  weights = [tf.constant(rng.normal(size=(UNITS, ROWS))) for _ in range(2)]  # of h' and c'

  def gradients(cell):
    with tf.GradientTape() as tape:
      tape.watch(arguments)
      value = sum(tf.reduce_sum(a * out) for a, out in zip(weights, cell(*arguments)))
    return tape.gradient(value, arguments)

  for by_hand, autodiff in zip(gradients(lstm_cell), gradients(readable_cell), strict=True):
    np.testing.assert_allclose(by_hand, autodiff, rtol=0, atol=1e-12)


def test_gradient_by_hand_equals_finite_differences(arguments):
  rng = np.random.default_rng(3)
  weights = rng.normal(size=(2, UNITS, ROWS))

  def value(arguments):
    return tf.reduce_sum(weights * tf.stack(lstm_cell(*arguments)))

  with tf.GradientTape() as tape:
    tape.watch(arguments)
    gradients = tape.gradient(value(arguments), arguments)
  for k, gradient in enumerate(gradients):
    direction = rng.normal(size=arguments[k].shape)
    shifted = [
      value([a + s * direction if j == k else a for j, a in enumerate(arguments)])
      for s in (1e-6, -1e-6)
    ]
    slope = (shifted[0] - shifted[1]) / 2e-6
    np.testing.assert_allclose(slope, np.sum(gradient * direction), rtol=1e-7)


def test_gradient_through_several_steps_equals_autodiff(arguments):
  def final(cell):
    x, h, c, w, b = arguments
    with tf.GradientTape() as tape:
      tape.watch([w, b])
      for _ in range(5):
        h, c = cell(x, h, c, w, b)
      value = tf.reduce_sum(h**2)
    return tape.gradient(value, [w, b])

  for by_hand, autodiff in zip(final(lstm_cell), final(readable_cell), strict=True):
    np.testing.assert_allclose(by_hand, autodiff, rtol=0, atol=1e-12)


def test_layer_has_two_variables_and_sonnets_initial_scale():
  layer = lstm.LSTM(100, 50, tf.constant([1, 2]), tf.float64, name="layer")
  assert {v.name: tuple(v.shape) for v in layer.trainable_variables} == {
    "layer/w_gates:0": (150, 200),
    "layer/b_gates:0": (200,),
  }
  sigma = 150**-0.5
  w = layer.w_gates.numpy()
  assert np.abs(w).max() <= 2 * sigma
  # A unit normal truncated at two sigma has a standard deviation of 0.8796.
  assert w.std() == pytest.approx(0.8796 * sigma, rel=0.02)
  np.testing.assert_array_equal(layer.b_gates, 0.0)


def test_layer_applies_the_cell(arguments):
  layer = lstm.LSTM(FEATURES, UNITS, tf.constant([1, 2]), tf.float64, name="layer")
  x, h, c, w, b = arguments
  layer.w_gates.assign(w)
  layer.b_gates.assign(b)
  state = layer(x, lstm.LSTMState(h, c))
  np.testing.assert_array_equal(state, lstm_cell(*arguments))
