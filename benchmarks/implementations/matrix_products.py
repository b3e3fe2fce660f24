"""The floor: the matrix products of a meta-step alone, at their exact shapes, in TensorFlow.

For each step of the window and each LSTM layer of u units on f features, over n coordinates:
forward [4u, f + u] x [f + u, n]; backward [f + u, 4u] x [4u, n] towards h and what lies below, and
[f + u, n] x [n, 4u] for the weights; and those of the linear output. Gradients themselves have no
gradient, so the first layer's features get none. Blocks of coordinates run side by side as in ours.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from benchmarks.implementations import worker
from l2l_tf.optimizers import blocks

OUTPUTS = 1  # of the linear map


class MatrixProducts(worker.Contestant):
  """Takes no meta-step: it does what no implementation with these products can go below."""

  def __init__(self, case):
    blocks.use_a_thread_a_block()
    self._num_steps = case.num_steps
    n = sum(value.size for value in case.theta.values())
    self._operands = [p for m in blocks.sizes(n) for p in products(_layers(case), m)]
    self._function = tf.function(self._run, autograph=False)

  def _run(self):
    """Each pass of a loop does the products of one step, forward or backward, of all blocks."""
    total, steps = 0.0, self._num_steps
    for direction in ("forward", "backward"):
      products = [operands for kind, operands in self._operands if kind == direction]

      def body(t, *results, products=products):
        del results
        return t + 1, *(tf.matmul(a, b, *transposed) for a, b, *transposed in products)

      zeros = [tf.zeros(shape(*operands)) for operands in products]
      loop = (tf.constant(0), *zeros)
      _, *results = tf.while_loop(lambda t, *_: t < steps, body, loop, parallel_iterations=1)
      total += tf.add_n([x[0, 0] for x in results])  # or else nothing would be done
    return total

  def meta_step(self):
    return float(self._function())

  def losses_and_gradients(self):
    raise NotImplementedError("The products alone have no losses.")

  def phi(self):
    raise NotImplementedError("The products alone have no phi.")


def flops(case) -> int:
  """Floating-point operations of the products of one meta-step, 2 a multiplication and addition."""
  n = sum(value.size for value in case.theta.values())
  total = 0
  for _, (a, b, *transposed) in products(_layers(case), n):
    rows, columns = shape(a, b, *transposed)
    total += 2 * rows * columns * a.shape[0 if transposed[0] else 1]
  return case.num_steps * total


def _layers(case) -> list[tuple[int, int]]:
  """Features and units of each LSTM layer."""
  shapes = [case.phi[f"lstm_{i + 1}/w_gates"].shape for i in range(case.num_layers)]
  return [(rows - columns // 4, columns // 4) for rows, columns in shapes]


def products(layers: list[tuple[int, int]], n: int) -> list[tuple[str, tuple]]:
  """The products of one step for n coordinates: direction, operands, which are transposed."""
  products = []
  for i, (features, units) in enumerate(layers):
    weights, inputs = _normal(features + units, 4 * units), _normal(features + units, n)
    d_gates = _normal(4 * units, n)
    onward = weights[features:] if i == 0 else weights
    products.append(("forward", (weights, inputs, True, False)))
    products.append(("backward", (onward, d_gates, False, False)))
    products.append(("backward", (inputs, d_gates, False, True)))
  hidden, d_output = _normal(layers[-1][1], n), _normal(OUTPUTS, n)
  weights = _normal(layers[-1][1], OUTPUTS)
  products.append(("forward", (weights, hidden, True, False)))
  products.append(("backward", (weights, d_output, False, False)))
  products.append(("backward", (hidden, d_output, False, True)))
  return products


def shape(a, b, transpose_a, transpose_b) -> list[int]:
  return [a.shape[1 if transpose_a else 0], b.shape[0 if transpose_b else 1]]


def _normal(*shape: int) -> tf.Tensor:
  return tf.constant(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


if __name__ == "__main__":
  worker.serve(MatrixProducts, packages=("tensorflow",))
