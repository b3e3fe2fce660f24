"""What bin/compile.py does once its flags are right."""

import os
import time

import tensorflow as tf

from l2l_tf.optimizers import lstm
from l2l_tf.optimizers import lstm_kernel

FEATURES, UNITS, COORDINATES = 20, 20, 16384  # of the paper's second layer, in four blocks
TURNS = 30
TOLERANCE = 1e-5  # relative, of float32


def run() -> int:
  """Compiles the cell, holds it against TensorFlow's, and prints how long both take."""
  if not os.path.exists(lstm_kernel.path()):
    print("Compiling, some fifteen seconds ...", flush=True)
  path = lstm_kernel.compile()
  lstm_kernel.load()
  arguments = _arguments()
  ways = {"TensorFlow's": _traced(lstm.plain_cell), "compiled": _traced(lstm.compiled_cell)}
  plain, compiled = (way(*arguments) for way in ways.values())
  for one, other in zip(compiled, plain, strict=True):
    difference = float(tf.reduce_max(tf.abs(one - other)) / tf.reduce_max(tf.abs(other)))
    if not difference < TOLERANCE:
      raise lstm_kernel.KernelError(
        f"The compiled cell computes something else than TensorFlow's, {difference:.2g} relative:"
        f" remove {path}, and tell us the compiler."
      )
  best = dict.fromkeys(ways, float("inf"))
  for _ in range(TURNS):
    for name, way in ways.items():
      began = time.perf_counter()
      way(*arguments)[0].numpy()
      best[name] = min(best[name], time.perf_counter() - began)
  print(f"The LSTM's cell is compiled: {path} (remove it to go back)")
  print(f"{COORDINATES:,} coordinates, a step and its gradient, best of {TURNS}:")
  for name, seconds in best.items():
    print(f"  {name:13} {1e3 * seconds:6.2f} ms")
  return 0


def _arguments() -> list[tf.Tensor]:
  """x, h, c, W, b."""
  shapes: list[tuple[int, ...]] = [(FEATURES, COORDINATES), *[(UNITS, COORDINATES)] * 2]
  shapes += [(FEATURES + UNITS, 4 * UNITS), (4 * UNITS,)]
  return [tf.random.stateless_normal(shape, [0, k]) for k, shape in enumerate(shapes)]


def _traced(cell):
  """One way, traced: h' and c', and the gradient of their sum."""

  @tf.function(autograph=False)
  def both(*arguments):
    with tf.GradientTape() as tape:
      tape.watch(arguments)
      following = cell(*arguments)
    return *following, *tape.gradient(following, arguments)

  return both
