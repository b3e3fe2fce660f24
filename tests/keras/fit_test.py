"""`fit` with LearnedOptimizer is our own unroll; on several devices it is `fit` on one."""

import contextlib
import functools
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import keras_experiments
import l2l_tf
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.problems import base
from l2l_tf.rule import layout
from tests import keras_models as models
from tests import sources

pytestmark = pytest.mark.slow

STEPS = 100


def minibatches(data, seed, dtype):
  """The minibatches of `problems.mlp` at steps 0, 1, ..."""
  images = data.images.reshape(len(data.images), -1).astype(dtype) / 255
  for step in range(STEPS):
    at = base.at_step(tf.constant(seed), tf.constant(step))
    indices = tf.random.stateless_uniform([128], at, 0, len(images), dtype=tf.int32).numpy()
    yield images[indices], data.labels[indices]


def shipped(dtype):
  """`mnist_lstm` with the numbers of its phi as `dtype`."""
  original, _ = l2l_tf.load_optimizer(l2l_tf.pretrained.find("mnist_lstm"))
  options = (original.layer_sizes, original.preprocessing, original.output_scale)
  optimizer = l2l_tf.optimizers.CoordinatewiseLSTM(*options, dtype=dtype)
  for variable, value in zip(optimizer.trainable_variables, original.trainable_variables):
    variable.assign(tf.cast(value, dtype))
  return optimizer


@pytest.mark.parametrize("dtype, same_steps", [("float64", STEPS), ("float32", 10)])
def test_100_steps_of_fit_are_100_steps_of_unroll_on_mnist(dtype, same_steps):
  """In float32 the last digits differ, and by step 100 have grown to the third."""
  data = problems.load("mnist", "train", "bundled")
  problem, seeds = problems.mlp(data, dtype=tf.as_dtype(dtype)), base.make_seeds(5, count=1)
  optimizer = shipped(dtype)
  rollout = tf.function(
    lambda: unroll.rollout(problem, optimizer, seeds, STEPS - 1), autograph=False
  )
  expected = rollout()[:, 0].numpy()
  assert expected[-1] < expected[0] - 1.5

  options = {"dtype": dtype}
  layers = [keras.layers.Dense(20, "sigmoid", **options), keras.layers.Dense(10, **options)]
  model = keras.Sequential([keras.Input((784,), **options), *layers])
  params, _ = problem.init(tf.constant(seeds[0]))
  model.set_weights([p.numpy() for p in params.values()])
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, **options)
  model.compile(l2l_tf.LearnedOptimizer(optimizer), loss, jit_compile=False)
  losses = keras_experiments.StepLosses()
  batches = minibatches(data, seeds[0], dtype)
  model.fit(batches, steps_per_epoch=STEPS, verbose=0, shuffle=False, callbacks=[losses])
  received = np.array(losses.losses)
  np.testing.assert_allclose(received[:same_steps], expected[:same_steps], rtol=0, atol=1e-5)
  np.testing.assert_allclose(received, expected, rtol=0, atol=0.05)


HOW = {
  "eager": (contextlib.nullcontext, {"run_eagerly": True}),
  "XLA": (contextlib.nullcontext, {"jit_compile": True}),
  "a strategy": (
    lambda: tf.distribute.MirroredStrategy(["CPU:0"]).scope(),
    {"jit_compile": False},
  ),
}


@pytest.mark.parametrize("scope, options", HOW.values(), ids=HOW)
def test_a_general_rule_on_a_large_layer(scope, options):
  """Whose loops XLA compiles: however `fit` runs, it is the same."""
  rng = np.random.default_rng(0)
  x, y = (rng.normal(size=(32, n)).astype(np.float32) for n in (200, 3))

  def trained(scope, options):
    keras.utils.set_random_seed(1)
    with scope():
      layers = [keras.Input((200,)), keras.layers.Dense(120, "tanh"), keras.layers.Dense(3)]
      model = keras.Sequential(layers)
      model.compile(l2l_tf.LearnedOptimizer(l2l_tf.optimizers.General(seed=1)), "mse", **options)
    model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    return model.get_weights()

  plain = trained(contextlib.nullcontext, {"jit_compile": False})
  assert plain[0].size > layout.SAMPLE
  for received, expected in zip(trained(scope, options), plain, strict=True):
    np.testing.assert_allclose(received, expected, atol=1e-5)


def two_devices() -> dict:
  """Trains on one device and mirrored on two; the rest of the tests need one device."""
  (cpu,) = tf.config.list_physical_devices("CPU")
  tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
  strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
  report = {}
  makers = {"learned": functools.partial(models.learned, horizon=100), "adam": models.adam}
  for name, make in makers.items():
    single = models.compiled(make(weight_decay=0.1))
    with strategy.scope():  # a graph: an eager MirroredStrategy is very slow
      mirrored = models.compiled(make(weight_decay=0.1), jit_compile=False)
    losses = [models.fit(single, 1), models.fit(mirrored, 1)]
    weights = [single.get_weights(), mirrored.get_weights()]
    errors = [float(np.abs(a - b).max()) for a, b in zip(*weights)]
    moved = np.abs(single.get_weights()[0] - models.model().get_weights()[0]).max()
    replicas = [[r.numpy() for r in v.value.values] for v in mirrored.optimizer.variables]
    if name == "learned":  # what it has seen of the gradients is no variable of Keras's
      replicas.append([r.numpy() for r in mirrored.optimizer._watch.seen.values])
    same = all(len(r) == 2 and np.array_equal(*r) for r in replicas)
    try:
      with strategy.scope():
        models.fit(models.compiled(make(gradient_accumulation_steps=2), jit_compile=False), 1)
      error = ""
    except RuntimeError as caught:
      error = str(caught)
    report[name] = {
      **{"losses": losses, "error": max(errors), "moved": float(moved)},
      **{"replicas_agree": same, "accumulation": "merge_call" in error},
    }
  return report


def test_two_devices_are_one():
  """In a process of its own. What Adam cannot do there, accumulate gradients, is no different."""
  environment = {**os.environ, "PYTHONPATH": str(sources.ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
  program = [sys.executable, "-m", "tests.keras.fit_test"]
  run = subprocess.run(program, cwd=sources.ROOT, env=environment, capture_output=True, text=True)
  assert run.returncode == 0, run.stderr
  report = json.loads(run.stdout.splitlines()[-1])
  for name in ("learned", "adam"):
    first, second = report[name]["losses"]
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert report[name]["error"] < 1e-6 < 1e-3 < report[name]["moved"]
    assert report[name]["replicas_agree"] and report[name]["accumulation"]


if __name__ == "__main__":
  print(json.dumps(two_devices()))
