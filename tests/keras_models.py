"""Tiny models, data and optimizers for the tests of the Keras optimizer."""

import keras
import numpy as np
import tensorflow as tf

import l2l_tf
from l2l_tf import optimizers

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(32, 3)).astype(np.float32)
Y = (X @ _RNG.normal(size=(3, 2))).astype(np.float32)

KINDS = {
  "lstm": lambda: optimizers.CoordinatewiseLSTM((4, 3), seed=1),
  "lstm_gac": lambda: optimizers.GlobalAveragingLSTM((4, 3), num_gacs=2, seed=1),
  "ntm_bfgs": lambda: optimizers.NTMBFGS((4, 3), num_gacs=2, seed=1),
  "ntm_lbfgs": lambda: optimizers.NTMLBFGS((4, 3), num_gacs=2, history=4, seed=1),
  "partition": lambda: optimizers.Partition(
    {
      "conv": optimizers.CoordinatewiseLSTM((4, 3), seed=1),
      "fc": optimizers.GlobalAveragingLSTM((4, 3), num_gacs=2, seed=2),
    }
  ),
  "general": lambda: optimizers.General((4, 3), seed=1),
  "odd_part": lambda: optimizers.OddPart(optimizers.GlobalAveragingLSTM((4, 3), 2, seed=1)),
}


def learned(kind: str = "lstm_gac", **options) -> l2l_tf.LearnedOptimizer:
  """A LearnedOptimizer with a random phi; the averages of a GAC make every coordinate count."""
  return l2l_tf.LearnedOptimizer(KINDS[kind](), **options)


def adam(**options) -> keras.optimizers.Adam:
  """What users are used to."""
  return keras.optimizers.Adam(0.01, **options)


def model(seed: int = 1) -> keras.Model:
  """Two layers, 4 variables, the same theta_0 for the same seed."""
  keras.utils.set_random_seed(seed)
  layers = [keras.layers.Dense(4, "tanh", name="first"), keras.layers.Dense(2, name="second")]
  return keras.Sequential([keras.Input((3,)), *layers])


def compiled(optimizer, **options) -> keras.Model:
  """`model`, ready for `fit`, eagerly unless told otherwise: a few steps need no graph."""
  result = model()
  result.compile(optimizer, "mse", **(options or {"run_eagerly": True}))
  return result


def fit(trained: keras.Model, epochs: int = 2, **options) -> list[float]:
  """Four steps an epoch on X and Y; returns the losses of the epochs."""
  options = {"batch_size": 8, "epochs": epochs, "shuffle": False, "verbose": 0, **options}
  return trained.fit(X, Y, **options).history["loss"]


def variables(dtype: str = "float32") -> list[keras.Variable]:
  """Variables of three shapes with fixed values."""
  rng = np.random.default_rng(1)
  return [
    keras.Variable(rng.normal(size=shape), dtype=dtype, name=name)
    for name, shape in (("w", (4, 2)), ("b", (2,)), ("scalar", ()))
  ]


def gradients(step: int) -> list[tf.Tensor]:
  """Gradients for `variables`, others at each step."""
  rng = np.random.default_rng([2, step])
  return [tf.constant(rng.normal(size=shape), tf.float32) for shape in ((4, 2), (2,), ())]


def run(optimizer, theta, steps=range(4), change=lambda gradients: gradients) -> list[np.ndarray]:
  """Applies `gradients` of each step, `change`d; returns the variables."""
  for step in steps:
    optimizer.apply(change(gradients(step)), theta)
  return values(theta)


def values(arrays) -> list[np.ndarray]:
  """The values of variables; arrays are copied."""
  return [np.array(v.numpy() if hasattr(v, "numpy") else v) for v in arrays]


def assert_equal(first, second, atol=0.0):
  """Both are lists of arrays or variables; rtol is 0."""
  for a, b in zip(values(first), values(second), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def states(optimizer) -> list[np.ndarray]:
  """The values of all variables of an optimizer, its counter and learning rate included."""
  return values(optimizer.variables)
