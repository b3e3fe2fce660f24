"""Tests of preprocessing: Appendix A against NumPy, and its round trip through a config."""

import math

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.config.optimizers import of_file
from l2l_tf.optimizers import preprocessing


def appendix_a(g: np.ndarray, p: float) -> np.ndarray:
  """The formula as the paper prints it, one number at a time."""

  def one(x):
    if abs(x) >= math.exp(-p):
      return math.log(abs(x)) / p, math.copysign(1.0, x)
    return -1.0, math.exp(p) * x

  return np.moveaxis(np.array([one(x) for x in g.ravel()]).reshape(*g.shape, 2), -1, 0)


@pytest.mark.parametrize("p", [10.0, 5.0])
def test_log_and_sign_equals_the_formula(p):
  g = np.random.default_rng(0).normal(size=(3, 200)) * 10.0 ** np.arange(-8, 12).repeat(10)
  assert (np.abs(g) < math.exp(-p)).any() and (np.abs(g) > math.exp(-p)).any()
  features = preprocessing.log_and_sign(tf.constant(g), p)
  assert features.shape == (2, 3, 200)
  np.testing.assert_allclose(features, appendix_a(g, p), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_log_and_sign_is_continuous_at_the_threshold(sign):
  threshold = math.exp(-10.0)
  g = sign * threshold * np.array([1 - 1e-9, 1.0, 1 + 1e-9])
  features = preprocessing.log_and_sign(tf.constant(g)).numpy()
  np.testing.assert_allclose(features[0], -1.0, atol=1e-8)
  np.testing.assert_allclose(features[1], sign, atol=1e-8)


def test_log_and_sign_of_extreme_gradients():
  g = tf.constant([0.0, -0.0, 1e-10, -1e-10, 1e10, -1e10])  # float32
  with tf.GradientTape() as tape:
    tape.watch(g)
    features = preprocessing.log_and_sign(g)
  small, large = math.exp(10.0) * 1e-10, math.log(1e10) / 10
  expected = [[-1, -1, -1, -1, large, large], [0, 0, small, -small, 1, -1]]
  np.testing.assert_allclose(features, expected, rtol=1e-5)
  slopes = tape.gradient(features, g)
  expected = [math.exp(10.0)] * 4 + [1e-11, -1e-11]
  np.testing.assert_allclose(slopes, expected, rtol=1e-5)


def test_log_and_sign_is_finite_at_the_largest_p():
  """In float32, derivatives included; e^89 is no number there."""
  g = tf.constant([0.0, 1e-37, -1e-30, 1e-10, -1e10, 3e38])
  with tf.GradientTape() as tape:
    tape.watch(g)
    features = preprocessing.LogAndSign(preprocessing.MAX_P)(g)
  assert np.isfinite(features).all() and np.isfinite(tape.gradient(features, g)).all()
  np.testing.assert_allclose(features[0, 0], -1.0, rtol=1e-6)
  np.testing.assert_allclose(features[1], [0, math.exp(80) * 1e-37, -1, 1, -1, 1], rtol=1e-5)


def test_rescale_multiplies():
  g = tf.constant([[1.0, -2.0], [0.0, 1e10]])
  features = preprocessing.Rescale(0.5)(g)
  np.testing.assert_array_equal(features, [[[0.5, -1.0], [0.0, 5e9]]])
  np.testing.assert_array_equal(preprocessing.Rescale()(g)[0], g)


@pytest.mark.parametrize("kind", preprocessing.BY_NAME.values())
def test_num_features_is_the_number_of_features(kind):
  assert kind()(tf.zeros([7])).shape == (kind.num_features, 7)


@pytest.mark.parametrize("name", preprocessing.BY_NAME)
def test_config_round_trip(name):
  original = preprocessing.BY_NAME[name](3.5)
  config = preprocessing.to_config(original)
  assert config["name"] == name and 3.5 in config.values()
  options = of_file({"kind": "lstm", "preprocessing": config})
  assert (options.preprocessing, options.preprocessing_constant) == (name, 3.5)


@pytest.mark.parametrize(
  "config, message",
  [
    (None, "one of log_and_sign, rescale; got None"),
    ({}, "one of log_and_sign, rescale; got None"),
    ({"name": "log"}, "one of log_and_sign, rescale; got 'log'"),
    ({"name": ["rescale"]}, r"one of log_and_sign, rescale; got \['rescale'\]"),
    ({"name": "rescale", "factor": "2"}, "must be of type float, got '2'"),
    ({"name": "rescale", "factor": True}, "must be of type float, got True"),
    ({"name": "rescale", "factor": 0}, "must be at least 1e-30, got 0"),
    ({"name": "rescale", "factor": float("nan")}, "must be finite, got nan"),
    ({"name": "log_and_sign", "p": float("inf")}, "must be finite, got inf"),
    ({"name": "log_and_sign", "p": 80.5}, "at most 80 for log_and_sign, got 80.5"),
    ({"name": "rescale", "factor": 10**40}, r"at most 1e\+30, got 1"),
    ({"name": "log_and_sign", "factor": 2.0}, "must have name and p alone, got .*factor"),
  ],
)
def test_a_bad_config_is_named(config, message):
  with pytest.raises(ValueError, match=f"preprocessing.* {message}"):
    of_file({"kind": "lstm", "preprocessing": config})


@pytest.mark.parametrize("name", preprocessing.BY_NAME)
@pytest.mark.parametrize("constant", ["2", True, 0, -1.0, float("nan"), float("inf"), 10**40])
def test_a_bad_constant_is_named(name, constant):
  with pytest.raises(ValueError, match=f"of {name} must be a positive number of at most"):
    preprocessing.BY_NAME[name](constant)
