"""Tiny problems from each adapter, of any float type: what the tables of tests run over."""

import keras
import numpy as np
import sonnet as snt
import tensorflow as tf

from l2l_tf import MetaTrainer
from l2l_tf import Training
from l2l_tf import optimizers
from l2l_tf import problems

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(40, 6))
Y = _RNG.integers(0, 3, 40)


def function(dtype) -> problems.Problem:
  """A noisy quadratic with a centre of its own for each instance."""

  def init(seed):
    draws = tf.random.stateless_normal([2, 4], seed, dtype=dtype)
    return {"theta": draws[0]}, {"centre": draws[1]}

  def loss(params, task, seed):
    noise = tf.random.stateless_normal([4], seed, stddev=0.1, dtype=dtype)
    return tf.reduce_mean((params["theta"] - task["centre"] + noise) ** 2)

  return problems.from_function(init, loss)


def sonnet(dtype) -> problems.Problem:
  """A small MLP; biases are random too."""
  normal = snt.initializers.RandomNormal()

  def make():
    return snt.nets.MLP([4, 3], w_init=normal, b_init=normal, activation=tf.tanh)

  def loss(module, batch, seed):
    del seed
    return problems.classification.cross_entropy(module(batch[0]), batch[1])

  return problems.from_sonnet(make, loss, (X.astype(dtype.as_numpy_dtype), Y), 8)


def network(dtype: str = "float32") -> keras.Model:
  """Dense layers and dropout; biases are random too.

  No batch normalization: `tf.nn.moments` stops the gradient at the mean, which is right for first
  derivatives and wrong for second ones.
  """
  normal = keras.initializers.RandomNormal(stddev=0.5)
  options = {"dtype": dtype, "bias_initializer": normal}
  layers = [
    keras.layers.Dense(4, "tanh", **options),
    keras.layers.Dropout(0.3, dtype=dtype),
    keras.layers.Dense(3, **options),
  ]
  return keras.Sequential([keras.Input((6,), dtype=dtype), *layers])


def keras_model(dtype) -> problems.Problem:
  """Keras computes losses in its `floatx`."""
  floatx = keras.config.floatx()
  keras.config.set_floatx(dtype.name)
  try:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return problems.from_keras(network(dtype.name), loss, (X, Y), 8)
  finally:
    keras.config.set_floatx(floatx)


def assert_meta_trains(problem: problems.Problem, second_derivatives: bool):
  """Two meta-steps change phi by finite meta-gradients, and phi can be validated."""
  config = Training(
    num_steps=4, unroll_length=2, num_tasks=2, episodes_per_epoch=1, num_epochs=1,
    validation_runs=2, meta_gradient="second_derivatives" if second_derivatives else "full",
  )  # fmt: skip
  trainer = MetaTrainer(problem, optimizers.CoordinatewiseLSTM((3,)), config)
  reports = [trainer.step() for _ in range(2)]
  assert all(r.finite and r.gradient_norm > 0 for r in reports)
  assert np.isfinite(trainer.validate()[1])


def assert_drawn_from_the_seed(function, seeds):
  """The same seed gives the same value twice, others give others, in a graph and without."""
  compiled = tf.function(function, autograph=False)
  first, second = ([float(compiled(seed)) for seed in seeds] for _ in range(2))
  assert first == second and len(set(first)) == len(first)
  np.testing.assert_allclose([float(function(seed)) for seed in seeds], first, rtol=1e-6)


PROBLEMS = {"from_function": function, "from_sonnet": sonnet, "from_keras": keras_model}
