"""A tiny training by evolution strategies: its options, its optimizers, its problems."""

import numpy as np
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.config.training import Training
from l2l_tf.optimizers import preprocessing
from l2l_tf.problems.base import Mixture

CONFIG = Training(
  estimator="es",
  num_steps=20,
  num_tasks=4,
  num_epochs=2,
  episodes_per_epoch=3,
  validation_runs=3,
  learning_rate=0.01,
  learning_rate_decay=1.0,
  seed=1,
)


def general() -> optimizers.General:
  """A rule whose last layer is not 0, so that each of its weights counts."""
  rule = optimizers.General((6,), seed=2)
  rng = np.random.default_rng(0)
  for variable in rule.trainable_variables:
    variable.assign_add(tf.constant(rng.normal(size=variable.shape, scale=0.2), tf.float32))
  return rule


def lstm() -> optimizers.CoordinatewiseLSTM:
  return optimizers.CoordinatewiseLSTM((3,), preprocessing.Rescale(), seed=1)


def mixture(**weights) -> Mixture:
  weights = weights or {"bowl": 1.0, "quadratic": 1.0}
  own = {"bowl": problems.bowl(3), "quadratic": problems.quadratic(3)}
  held_out = {"bowl_2": problems.bowl(2), "quadratic_2": problems.quadratic(2)}
  return Mixture(own, weights, held_out)
