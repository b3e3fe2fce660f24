"""Meta-training on your own Keras model: python examples/own_keras_model.py

`mnist_lstm` fails on ReLU. Here a ReLU network on 7 x 7 digits gets an optimizer of its own, in
half a minute. It is compared with Adam at Keras's default rate and at the best of 30 rates. The
same from the command line, with checkpoints and TensorBoard, and for longer:

  python bin/train.py --problem=examples.own_keras_model:digits --output_scale=0.02
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import l2l_tf
from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream


def make_model() -> keras.Model:
  """Your model here: dropout, batch normalization and convolutions are welcome."""
  layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
  layers += [keras.layers.Dense(10, "relu"), keras.layers.Dense(10)]
  return keras.Sequential([keras.Input((7, 7, 1)), *layers])


def digits() -> problems.Problem:
  """Training that model, from a fresh theta_0 in each instance."""
  data = problems.datasets.pool(problems.load("mnist", source="bundled"), 4)
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  return problems.from_keras(make_model, loss, (data.images, data.labels), batch_size=64)


def main(num_epochs: int = 14) -> dict[str, float]:
  """Returns the final losses by optimizer, means of ten fresh instances."""
  # Small updates at first: large random ones kill ReLUs, and no gradient comes back.
  problem, learned = digits(), optimizers.CoordinatewiseLSTM((10,), output_scale=0.02)
  training = l2l_tf.Training(
    num_steps=40, num_epochs=num_epochs, episodes_per_epoch=20, learning_rate=1e-2,
    meta_gradient="sampled:100",
  )  # fmt: skip
  trainer = l2l_tf.MetaTrainer(problem, learned, training)
  while not trainer.done:
    row = trainer.run_epoch()
    print(f"epoch {row['epoch']}: validation loss {row['validation_final_loss']:.3f}", flush=True)
  trainer.use_best()
  rate = baselines.tune(problem, ("adam",), 0, training.num_steps, num_runs=2)["adam"]
  test = problem.seeds(0, Stream.TEST, count=10)
  losses, rows = {}, {"learned": learned, "Adam": optimizers.Adam(1e-3)}
  for name, optimizer in {**rows, f"tuned Adam, {rate:.2g}": optimizers.Adam(rate)}.items():
    curves = protocol.curves(problem, optimizer, test, training.num_steps)
    losses[name] = float(np.mean(protocol.final_losses(curves)))
    print(f"{name:17} final loss {losses[name]:.3f}")
  return losses


if __name__ == "__main__":
  main()
