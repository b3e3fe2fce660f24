"""The linearised meta-loss against the plain one: python -m benchmarks.double_backprop [--out=...]

One window, with first derivatives only, on two problems:

  convnet  the network of section 3.3 for 32 x 32 colour images: three convolutional layers with max
           pooling, a fully-connected layer of 32 units, ReLU, batch normalization
  vgg      12,288 coordinates behind a VGG-16 (section 3.4): a 64 x 64 picture whose features shall
           be those of another one, and its Gram matrices those of a third

Linearised is what `unroll` does: backpropagation never visits the network. Plain is what a tape
makes of the sum of losses: it keeps the network's activations over the window and goes through the
network again. Losses and meta-gradients must agree. Pictures and VGG's weights are random: they do
not change the cost. Each row has a process of its own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from benchmarks import measuring
from benchmarks import reports
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.optimizers import CoordinatewiseLSTM
from l2l_tf.optimizers import blocks
from l2l_tf.problems import base

EXAMPLES, SIZE, CLASSES = 1000, 32, 10
TOLERANCE = 1e-4  # of losses and gradients, by norms


def convnet(batch_size: int) -> base.Problem:
  """The network of section 3.3 on random images."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (EXAMPLES, SIZE, SIZE, 3), dtype=np.uint8)
  data = problems.Dataset(images, rng.integers(0, CLASSES, EXAMPLES), CLASSES, "random")
  return problems.convnet(data, batch_size=batch_size, init_scale=0.1)


def vgg(batch_size: int) -> base.Problem:
  """Distance of a picture's features and Gram matrices to those of random pictures."""
  del batch_size  # it is one picture
  keras.utils.set_random_seed(0)
  whole = keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3))
  layers = [layer.output for layer in whole.layers if layer.name.endswith("_conv1")]
  features = keras.Model(whole.inputs, layers)
  pictures = tf.random.stateless_uniform([2, 64, 64, 3], [1, 2])
  content, style = features(pictures[:1]), [_gram(x) for x in features(pictures[1:])]

  def init(seed):
    return {"picture": tf.random.stateless_normal([64, 64, 3], seed)}, {}

  def loss(params, task, seed):
    del task, seed
    seen = features(params["picture"][tf.newaxis])
    difference = tf.reduce_mean((seen[3] - content[3]) ** 2) / tf.reduce_mean(content[3] ** 2)
    grams = [
      tf.reduce_mean((_gram(x) - g) ** 2) / tf.reduce_mean(g**2) for x, g in zip(seen, style)
    ]
    return difference + tf.add_n(grams)

  return base.Problem(init, loss)


def _gram(x: tf.Tensor) -> tf.Tensor:
  rows = tf.reshape(x, [-1, x.shape[-1]])
  return tf.matmul(rows, rows, transpose_a=True)


PROBLEMS = {"convnet": convnet, "vgg": vgg}


def plain_losses(problem, optimizer, carry: unroll.Carry, num_steps: int) -> tf.Tensor:
  """The losses of `unroll`, `[T, B]`; their tape records f at each point."""

  def body(t, params, gradients, state, losses):
    updates, state = optimizer(gradients, state)
    params = {name: theta + updates[name] for name, theta in params.items()}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(params)
      seeds = base.at_step(carry.seeds, carry.step + t + 1)
      loss = base.losses(problem, params, carry.task, seeds)
    gradients = tf.nest.map_structure(tf.stop_gradient, tape.gradient(loss, params))
    return t + 1, params, gradients, state, losses.write(t, loss)

  losses = tf.TensorArray(tf.float32, size=num_steps, element_shape=[carry.seeds.shape[0]])
  loop = (tf.constant(0), carry.params, carry.gradients, carry.state, losses)
  *_, losses = tf.while_loop(lambda t, *_: t < num_steps, body, loop, maximum_iterations=num_steps)
  return losses.stack()


def window(problem: base.Problem, kind: str, num_steps: int):
  """Returns a compiled function of nothing: the losses and the meta-gradient of one window."""
  optimizer = CoordinatewiseLSTM()
  runner, seeds = blocks.split(optimizer), tf.constant([[1, 2]])

  @tf.function(autograph=False)
  def losses_and_gradients():
    carry, _ = unroll.start(problem, runner, seeds)
    with tf.GradientTape() as tape:
      if kind == "plain":
        losses = plain_losses(problem, runner, carry, num_steps)
      else:
        _, losses = unroll.unroll(problem, runner, carry, num_steps)
      total = tf.reduce_sum(losses)
    return losses, tape.gradient(total, optimizer.trainable_variables)

  return losses_and_gradients


def measure(
  name: str, kind: str, batch_size: int, num_steps: int, repeats: int
) -> tuple[dict, list]:
  """Returns the row of one problem and kind, and what it computes."""
  blocks.use_a_thread_a_block()
  function, results = window(PROBLEMS[name](batch_size), kind, num_steps), []

  def step():
    results[:] = [x.numpy() for x in tf.nest.flatten(function())]

  figures = measuring.measured(step, repeats)
  return {"problem": name, "meta_loss": kind} | measuring.row(figures), results


def difference(results: list[np.ndarray], expected: list[np.ndarray]) -> float:
  """The largest difference of a tensor, by norms."""
  return max(
    float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(results, expected, strict=True)
  )


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(int, "num_steps", 20, "of the window")
  flags.add(int, "batch_size", 128, "images a minibatch")
  flags.add(int, "repeats", 20, "timed windows")
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  if min(flags.num_steps, flags.batch_size, flags.repeats) < 1:
    raise experiment_flags.UsageError("All numbers must be at least 1.")
  rows, differences = [], {}
  for name in PROBLEMS:
    arguments = (flags.batch_size, flags.num_steps, flags.repeats)
    own = measuring.in_own_process
    (plain, expected), (linearised, received) = (
      own(measure, name, kind, *arguments) for kind in ("plain", "linearised")
    )
    differences[name] = difference(received, expected)
    if not differences[name] <= TOLERANCE:
      raise RuntimeError(
        f"{name}: linearised and plain differ by {differences[name]:.2g}, more than {TOLERANCE:g}."
      )
    for row in (plain, linearised):
      row["time_over_plain"] = row["median_s"] / plain["median_s"]
      row["peak_over_plain"] = measuring.ratio(row["peak_mib"], plain["peak_mib"])
      rows.append(row)
  reports.report(__file__, flags, rows, differences=differences)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main, (RuntimeError,))
