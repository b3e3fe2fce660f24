"""What bin/compile.py does once its flags are right."""

import os
import pathlib
import time

import tensorflow as tf

from l2l_tf.optimizers import lstm
from l2l_tf.optimizers import lstm_kernel

FEATURES, UNITS, COORDINATES = 20, 20, 16384  # of the paper's second layer, in four blocks
TURNS = 30
TOLERANCE = 1e-5  # relative, of float32


def run() -> int:
  """Compiles the cell, holds it against TensorFlow's, and prints how long both take."""
  path = lstm_kernel.path()
  if path and not os.path.exists(path):
    print("Compiling, some fifteen seconds ...", flush=True)
  path = lstm_kernel.build()
  lstm_kernel.load()
  with tf.device("CPU:0"):  # a GPU may be the default
    best = _compare(path)
  print(f"The LSTM's cell is compiled: {path} (remove it to go back)")
  print(f"{COORDINATES:,} coordinates, a step and its gradient, best of {TURNS}:")
  for name, seconds in best.items():
    print(f"  {name:13} {1e3 * seconds:6.2f} ms")
  if tf.config.get_visible_devices("GPU"):
    print("Programs will not use it beside the GPU of this machine.")
  return 0


def _compare(path: pathlib.Path) -> dict[str, float]:
  """Seconds of each way.

  Raises:
    lstm_kernel.KernelError: if they differ; then the file is gone.
  """
  arguments = _arguments()
  ways = {"TensorFlow's": _traced(lstm.plain_cell), "compiled": _traced(lstm.compiled_cell)}
  plain, compiled = (way(*arguments) for way in ways.values())
  for one, other in zip(compiled, plain, strict=True):
    difference = float(tf.reduce_max(tf.abs(one - other)) / tf.reduce_max(tf.abs(other)))
    if not difference < TOLERANCE:
      path.unlink(missing_ok=True)
      raise lstm_kernel.KernelError(
        f"What the compiler made computes something else than TensorFlow's cell, {difference:.2g}"
        f" relative, and was removed: {path}. Tell us which compiler it is, or try another (CXX)."
      )
  best = dict.fromkeys(ways, float("inf"))
  for _ in range(TURNS):
    for name, way in ways.items():
      began = time.perf_counter()
      way(*arguments)[0].numpy()
      best[name] = min(best[name], time.perf_counter() - began)
  return best


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
