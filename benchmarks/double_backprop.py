"""The linearised meta-loss against the plain one: python -m benchmarks.double_backprop [--out=...]

One window on the convolutional network of section 3.3 (`problems.convnet`), with first derivatives
only. Linearised is what `unroll` does: backpropagation never visits the network. Plain
is what a tape makes of the sum of losses: it keeps the network's activations over the window and
goes through the network again. Losses and meta-gradients must agree. Images are random: their
pixels do not change the cost. Each row has a process of its own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from typing import Sequence

import numpy as np
import tensorflow as tf

from benchmarks import measuring
from l2l_tf import blocks
from l2l_tf import command_line
from l2l_tf import unroll
from l2l_tf.optimizers import CoordinatewiseLSTM
import problems
from problems import base

EXAMPLES, SIZE, CLASSES = 1000, 32, 10
TOLERANCE = 1e-4  # of losses and gradients, by norms


def convnet(batch_size: int) -> base.Problem:
  """The network of section 3.3 on random images."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (EXAMPLES, SIZE, SIZE, 3), dtype=np.uint8)
  data = problems.Dataset(images, rng.integers(0, CLASSES, EXAMPLES), CLASSES, "random")
  return problems.convnet(data, batch_size=batch_size, init_scale=0.1)


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


def window(kind: str, batch_size: int, num_steps: int):
  """Returns a compiled function of nothing: the losses and the meta-gradient of one window."""
  problem, optimizer = convnet(batch_size), CoordinatewiseLSTM()
  runner, seeds = blocks.split(optimizer), tf.constant([[1, 2]])

  @tf.function
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


def measure(kind: str, batch_size: int, num_steps: int, repeats: int) -> tuple[dict, list]:
  """Returns the row of one kind, and what it computes."""
  blocks.use_a_thread_a_block()
  function, results = window(kind, batch_size, num_steps), []

  def step():
    results[:] = [x.numpy() for x in tf.nest.flatten(function())]

  figures = measuring.measured(step, repeats)
  return {"meta_loss": kind} | measuring.row(figures), results


def difference(results: list[np.ndarray], expected: list[np.ndarray]) -> float:
  """The largest difference of a tensor, by norms."""
  return max(
    float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(results, expected, strict=True)
  )


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = command_line.Flags(__doc__)
  flags.add(int, "num_steps", 20, "of the window")
  flags.add(int, "batch_size", 128, "images a minibatch")
  flags.add(int, "repeats", 20, "timed windows")
  flags.add(str, "out", None, "JSON file to write")
  flags.parse(argv)
  if min(flags.num_steps, flags.batch_size, flags.repeats) < 1:
    raise command_line.UsageError("All numbers must be at least 1.")
  rows, results = [], []
  for kind in ("plain", "linearised"):
    arguments = (kind, flags.batch_size, flags.num_steps, flags.repeats)
    row, values = measuring.in_own_process(measure, *arguments)
    rows.append(row)
    results.append(values)
  differ = difference(*results[::-1])
  if not differ <= TOLERANCE:
    raise RuntimeError(f"Linearised and plain differ by {differ:.2g}, more than {TOLERANCE:g}.")
  for row in rows:
    row["time_over_plain"] = row["median_s"] / rows[0]["median_s"]
    row["peak_over_plain"] = measuring.ratio(row["peak_mib"], rows[0]["peak_mib"])
  measuring.report(rows, flags.out, difference=differ)
  return 0


if __name__ == "__main__":
  command_line.run(main, (RuntimeError, OSError))
