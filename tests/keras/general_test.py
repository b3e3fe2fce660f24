"""`LearnedOptimizer()`, without a name: what it promises of any model, with the shipped phi."""

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

import l2l_tf

DIGITS = sklearn.datasets.load_digits()
X, Y = np.float32(DIGITS.data / 16), DIGITS.target
BATCH, STEPS = 64, 100


class Scaled(keras.layers.Layer):
  """A dense layer whose kernel is kept divided by a constant: the same function."""

  def __init__(self, units: int, factor: float, activation=None):
    super().__init__()
    self.units, self.factor, self.activation = units, factor, keras.activations.get(activation)

  def build(self, shape):
    start = keras.initializers.GlorotUniform(seed=self.units)((shape[-1], self.units))
    self.kernel = self.add_weight(
      shape=(shape[-1], self.units), initializer=lambda *_, **__: start / self.factor
    )
    self.bias = self.add_weight(shape=(self.units,), initializer="zeros")

  def call(self, x):
    return self.activation(x @ (self.kernel * self.factor) + self.bias)


def curve(optimizer, loss_scale: float = 1.0, factors=(1.0, 1.0), seed: int = 0) -> np.ndarray:
  """The losses of the minibatches of a small network on digits, `[STEPS]`, in units of the loss."""
  model = keras.Sequential([Scaled(24, factors[0], "relu"), Scaled(10, factors[1])])
  model.build((None, 64))
  rng = np.random.default_rng(seed)
  cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  variables = model.trainable_variables
  optimizer.build(variables)

  @tf.function
  def step(x, y):
    with tf.GradientTape() as tape:
      loss = loss_scale * cross_entropy(y, model(x))
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss / loss_scale

  batches = [rng.integers(0, len(X), BATCH) for _ in range(STEPS)]
  return np.array([step(X[batch], Y[batch]) for batch in batches])


@pytest.fixture(scope="module")
def plain():
  return curve(l2l_tf.LearnedOptimizer())


def test_without_a_name_it_is_the_one_for_any_model():
  optimizer = l2l_tf.LearnedOptimizer()
  assert isinstance(optimizer.learned, l2l_tf.optimizers.General)
  assert optimizer.horizon == 10000
  named = l2l_tf.LearnedOptimizer("general").learned
  for ours, theirs in zip(optimizer.learned.trainable_variables, named.trainable_variables):
    np.testing.assert_array_equal(ours, theirs)
  model = keras.Sequential([keras.Input([64]), keras.layers.Dense(10)])
  model.compile(optimizer=optimizer, loss="mse")
  copy = keras.models.model_from_json(model.to_json())
  copy.compile_from_config(model.get_compile_config())
  assert isinstance(copy.optimizer.learned, l2l_tf.optimizers.General)


@pytest.mark.slow
@pytest.mark.parametrize("loss_scale", [1e-3, 1e3])
def test_the_scale_of_the_loss_changes_the_curve_by_less_than_a_hundredth(plain, loss_scale):
  changed = curve(l2l_tf.LearnedOptimizer(), loss_scale)
  np.testing.assert_allclose(changed, plain, rtol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("factors", [(10.0, 0.1), (0.1, 10.0), (10.0, 10.0), (0.1, 0.1)])
def test_the_scales_of_the_matrices_change_the_end_by_less_than_a_tenth(plain, factors):
  changed = curve(l2l_tf.LearnedOptimizer(), factors=factors)
  assert changed[-10:].mean() == pytest.approx(plain[-10:].mean(), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_it_is_far_ahead_of_adam_at_its_default(seed):
  ours = curve(l2l_tf.LearnedOptimizer(), seed=seed)[-10:].mean()
  theirs = curve(keras.optimizers.Adam(), seed=seed)[-10:].mean()
  assert ours < 0.4 * theirs
