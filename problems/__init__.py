"""Functions to optimize: closures that return loss graphs."""

from l2l_tf import keras_backend  # noqa: F401  first
from l2l_tf import surroundings

with surroundings.extra("tensorflow"):
  import sonnet  # noqa: F401
  import tensorflow  # noqa: F401

from l2l_tf.problems import short_name
from l2l_tf.problems.adapters import from_function
from l2l_tf.problems.adapters import from_sonnet
from l2l_tf.problems.base import Problem
from l2l_tf.problems.classification import mlp
from l2l_tf.problems.convolutional import convnet
from l2l_tf.problems.datasets import DataError
from l2l_tf.problems.datasets import Dataset
from l2l_tf.problems.datasets import load
from l2l_tf.problems.keras_adapter import from_keras
from l2l_tf.problems.neural_art import style_transfer
from l2l_tf.problems.quadratics import bowl
from l2l_tf.problems.quadratics import quadratic

__all__ = [
  "DataError",
  "Dataset",
  "Problem",
  "bowl",
  "convnet",
  "from_function",
  "from_keras",
  "from_sonnet",
  "load",
  "mlp",
  "quadratic",
  "style_transfer",
]

if __name__ == short_name.SHORT:  # in a checkout also the folder of that name
  short_name.install()
