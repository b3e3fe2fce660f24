"""Meta-training on a bare function: python examples/own_function.py

Each instance is a decaying oscillation, a exp(-b t) cos(c t), measured with noise; f is the squared
error of a fit. An LSTM learns to find a, b and c in 30 steps, and meets Adam at the best of 30
learning rates on curves that neither has seen.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

import l2l_tf
from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream

TIMES = tf.linspace(0.0, 4.0, 40)


def curve(a, b, c):
  return a * tf.exp(-b * TIMES) * tf.cos(c * TIMES)


def init(seed):
  """A first guess of a, b and c, and the measured curve."""
  seeds = tf.unstack(tf.random.split(seed, 2))
  uniform = tf.random.stateless_uniform([3], seeds[0])
  noise = 0.05 * tf.random.stateless_normal([40], seeds[1])
  measured = curve(1 + uniform[0], 0.2 + 0.5 * uniform[1], 1 + uniform[2]) + noise
  return {"a": 1.0, "b": 0.2, "c": 1.0}, {"measured": measured}


def loss(params, task, seed):
  del seed  # nothing random in a step
  return tf.reduce_mean((curve(**params) - task["measured"]) ** 2)


def oscillations() -> problems.Problem:
  return problems.from_function(init, loss)


def main(num_epochs: int = 8) -> dict[str, float]:
  """Returns the final losses by optimizer, means of 100 fresh instances."""
  problem, learned = oscillations(), optimizers.CoordinatewiseLSTM((10,))
  training = l2l_tf.Training(
    num_steps=30, unroll_length=15, num_tasks=32, num_epochs=num_epochs, episodes_per_epoch=20,
    learning_rate=1e-2, validation_runs=100,
  )  # fmt: skip
  trainer = l2l_tf.MetaTrainer(problem, learned, training)
  while not trainer.done:
    row = trainer.run_epoch()
    print(f"epoch {row['epoch']}: validation loss {row['validation_final_loss']:.4f}", flush=True)
  trainer.use_best()
  rate = baselines.tune(problem, ("adam",), 0, training.num_steps, num_runs=10)["adam"]
  test = problem.seeds(0, Stream.TEST, count=100)
  losses = {}
  for name, optimizer in {
    "learned": learned,
    f"tuned Adam, {rate:.2g}": optimizers.Adam(rate),
  }.items():
    curves = protocol.curves(problem, optimizer, test, training.num_steps)
    losses[name] = float(np.mean(protocol.final_losses(curves)))
    print(f"{name:17} final loss {losses[name]:.4f}")
  return losses


if __name__ == "__main__":
  main()
