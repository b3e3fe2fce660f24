"""Cost of LearnedOptimizer beside Adam: python -m benchmarks.keras_cost [--out=...]

Seconds of one step that is compiled as in `fit` (TensorFlow's without XLA; PyTorch's is eager), and
bytes of the optimizer's variables a parameter, on each backend of Keras that is installed: for one
vector of 10^4, 10^6 and 10^7 parameters, and for four models: a classifier of MNIST whose matrices
are small, one with layers of 1,024 units, one of 200 small tensors, and twelve blocks of a
transformer. Also what the first step takes, in which it is traced and compiled, and by how much the
peak of the process's memory grew: parameters, gradients, states and what a step needs. Each row is
measured in a process of its own. At 10^7 parameters the states of `mnist_lstm` take 3.2 GB. Run it
on an otherwise idle machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable, Sequence
import importlib.util
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths

BACKENDS = ("tensorflow", "jax", "torch")
MODELS = (  # shapes of their parameters
  [(784, 64), (64,), (64, 64), (64,), (64, 10), (10,)],  # 55,050
  [(784, 1024), (1024,), (1024, 1024), (1024,), (1024, 10), (10,)],  # 1,863,690
  [(24, 24), (24,)] * 100,  # 60,000
  [*[(160, 160), (160,)] * 4, (160, 640), (640,), (640, 160), *[(160,)] * 3] * 12,  # 3,707,520
)
OPTIMIZERS = ("mnist_lstm", "general", "adam")


def measure(backend: str, name: str, shapes: Sequence[tuple[int, ...]], repeats: int) -> dict:
  """Times steps.

  Args:
    backend: of Keras.
    name: in `OPTIMIZERS`.
    shapes: of the parameters.
    repeats: timed steps.

  Returns:
    The first two, how many tensors and parameters, seconds a step (median, 10 % and 90 %) and of
    the first one, bytes a parameter of the optimizer's variables, and by how many MiB the peak of
    the process grew.
  """
  import keras

  import l2l_tf

  if keras.config.backend() != backend:
    raise RuntimeError(f"Keras runs on {keras.config.backend()}, not on {backend}.")

  baseline = measuring.resident_bytes()
  rng = np.random.default_rng(0)
  theta = [keras.Variable(np.zeros(shape, np.float32)) for shape in shapes]
  gradients = [
    keras.ops.convert_to_tensor(rng.standard_normal(shape, np.float32) / 100) for shape in shapes
  ]
  optimizer = keras.optimizers.Adam() if name == "adam" else l2l_tf.LearnedOptimizer(name)
  optimizer.build(theta)
  states = [v for v in optimizer.variables if len(v.shape)]  # without counters
  state_bytes = sum(keras.ops.convert_to_numpy(v).nbytes for v in states)
  step = globals()[f"_{backend}"](optimizer, theta, gradients)
  figures = measuring.measured(step, repeats, baseline)
  num_parameters = sum(int(np.prod(shape)) for shape in shapes)
  return {
    "backend": backend,
    "optimizer": name,
    "tensors": len(shapes),
    "parameters": num_parameters,
    **{f"{key}_s": figures["seconds"][key] for key in ("median", "low", "high")},
    "first_s": figures["first_seconds"],
    "bytes_a_parameter": state_bytes / num_parameters,
    "peak_mib": max(figures["first_peak"], figures["peak"]) / measuring.MIB,
    "peak_over_states": measuring.ratio(figures["peak"], state_bytes),
  }


def _in_own_process(backend: str, *arguments: Any) -> dict:
  """`measure` in a process that begins with this backend: what it imports may import Keras."""
  before = os.environ.get("KERAS_BACKEND")
  os.environ["KERAS_BACKEND"] = backend
  try:
    return measuring.in_own_process(measure, backend, *arguments)
  finally:
    os.environ.pop("KERAS_BACKEND")
    if before is not None:
      os.environ["KERAS_BACKEND"] = before


def _tensorflow(optimizer: Any, theta: list, gradients: list) -> Callable[[], Any]:
  import tensorflow as tf

  @tf.function(autograph=False)
  def step():
    optimizer.apply(gradients, theta)
    return tf.reshape(theta[0].value, [-1])[0]

  return lambda: step().numpy()


def _jax(optimizer: Any, theta: list, gradients: list) -> Callable[[], Any]:
  import jax

  apply = jax.jit(optimizer.stateless_apply, donate_argnums=(0, 2))
  now = [[v.value for v in theta], [v.value for v in optimizer.variables]]

  def step():
    now[:] = apply(now[1], gradients, now[0])
    jax.block_until_ready(now)

  return step


def _torch(optimizer: Any, theta: list, gradients: list) -> Callable[[], Any]:
  import torch

  def step():
    with torch.no_grad():
      optimizer.apply(gradients, theta)

  return step


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[int, ...], "parameters", (10**4, 10**6, 10**7), "values of n")
  flags.add(int, "repeats", 10, "timed steps")
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  if min(flags.parameters) < 1 or flags.repeats < 1:
    raise experiment_flags.UsageError("--parameters and --repeats must be at least 1.")
  rows = [
    _in_own_process(backend, name, shapes, flags.repeats)
    for shapes in [*([(n,)] for n in flags.parameters), *MODELS]
    for backend in BACKENDS
    if importlib.util.find_spec(backend)
    for name in OPTIMIZERS
    if backend == "tensorflow" or name != "mnist_lstm"
  ]
  reports.report(__file__, flags, rows)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
