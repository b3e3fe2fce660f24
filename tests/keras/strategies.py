"""Trains under a strategy: python -m tests.keras.strategies STRATEGY OUT WAYS NAMES ...

WAYS and NAMES are separated by commas; others may follow. multi_worker needs TF_CONFIG. Writes the
weights of each name and way to OUT (.npz).
"""

import contextlib
import functools
import itertools
import sys

import keras
import numpy as np
import tensorflow as tf

import l2l_tf
from tests import keras_models as models

BATCH = 8


def make(name: str) -> keras.optimizers.Optimizer:
  """Keras's Adam, one of `keras_models.KINDS`, or a shipped optimizer, or its odd part."""
  if name == "adam":
    return models.adam()
  if name in models.KINDS:
    return models.learned(name, horizon=1)
  return l2l_tf.LearnedOptimizer(name.removesuffix("@odd"), odd=name.endswith("@odd"))


def strategy(kind: str):
  """A strategy over two logical devices, or the one that TF_CONFIG is for; None without."""
  if kind == "multi_worker":
    return tf.distribute.MultiWorkerMirroredStrategy()
  (cpu,) = tf.config.list_physical_devices("CPU")
  two = [tf.config.LogicalDeviceConfiguration()] * 2
  tf.config.set_logical_device_configuration(cpu, two)
  kinds = {
    "none": lambda: None,
    "one_device": lambda: tf.distribute.OneDeviceStrategy("CPU:0"),
    "mirrored_one": lambda: tf.distribute.MirroredStrategy(["CPU:0"]),
    "mirrored": lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    "central": lambda: tf.distribute.experimental.CentralStorageStrategy(["CPU:0", "CPU:1"]),
  }
  return kinds[kind]()


def fit(scope, name, path):
  """`fit`, with a whole model saved and loaded in between, and what callbacks and users do."""
  with scope():
    model = models.compiled(make(name), jit_compile=False)
  save = keras.callbacks.ModelCheckpoint(path + ".keras")
  models.fit(model, 1, callbacks=[save])
  with scope():
    loaded = keras.models.load_model(path + ".keras")
  models.fit(loaded, 1)
  assert int(loaded.optimizer.iterations.numpy()) == 8
  if name != "adam":
    loaded.optimizer.reset()
    assert int(loaded.optimizer.iterations.numpy()) == 0
  model.load_weights(path + ".keras")
  return loaded.get_weights()


def loop(scope, name, how, graph, distribution):
  """A loop of one's own, `strategy.run` where there is one."""
  with scope():
    model, optimizer = models.model(), make(name)
    optimizer.build(model.trainable_variables)

  def step(x, y):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum((model(x) - y) ** 2) / (2 * BATCH)
    gradients = tape.gradient(loss, model.trainable_variables)
    if how == "apply":
      optimizer.apply(gradients, model.trainable_variables)
    else:
      optimizer.apply_gradients(zip(gradients, model.trainable_variables))

  data = tf.data.Dataset.from_tensor_slices((models.X, models.Y)).batch(BATCH, True)
  options = tf.data.Options()
  options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
  data, run = data.with_options(options), step
  if distribution is not None:
    data = distribution.experimental_distribute_dataset(data)
    run = lambda x, y: distribution.run(step, args=(x, y))  # noqa: E731
  run = tf.function(run, autograph=False) if graph else run
  for _ in range(2):
    for x, y in data:
      run(x, y)
  assert int(optimizer.iterations.numpy()) == 8
  return model.get_weights()


def main(kind: str, out: str, *cases: str):
  """Runs the program."""
  distribution = strategy(kind)
  scope = distribution.scope if distribution else contextlib.nullcontext
  how = {
    "fit": functools.partial(fit, path=out),
    "apply": functools.partial(loop, how="apply", graph=True, distribution=distribution),
    "apply_gradients": functools.partial(loop, how="", graph=True, distribution=distribution),
    "eager": functools.partial(loop, how="apply", graph=False, distribution=distribution),
  }
  weights = {}
  for ways, names in zip(cases[::2], cases[1::2]):
    for name, way in itertools.product(names.split(","), ways.split(",")):
      for k, value in enumerate(how[way](scope, name)):
        weights[f"{name}/{way}/{k}"] = value
  np.savez(out, **weights)


if __name__ == "__main__":
  main(*sys.argv[1:])
