"""Cost of LearnedOptimizer beside Adam: python -m benchmarks.keras_cost [--out=...]

Seconds of one `apply` in a `tf.function` without XLA, and bytes of the optimizer's variables a
parameter, for models of 10^4, 10^6 and 10^7 parameters; and by how much the peak of the process's
memory grew: parameters, gradients, states and what a step needs. Each row is measured in a process
of its own. At 10^7 parameters the states of `mnist_lstm` take 3.2 GB. Run it on an otherwise idle
machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import measuring
from benchmarks import reports
import l2l_tf
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths

OPTIMIZERS = {
  "mnist_lstm": lambda: l2l_tf.LearnedOptimizer("mnist_lstm"),
  "general": l2l_tf.LearnedOptimizer,
  "adam": keras.optimizers.Adam,
}


def measure(name: str, num_parameters: int, repeats: int) -> dict[str, Any]:
  """Times steps on one vector of parameters.

  Args:
    name: in `OPTIMIZERS`.
    num_parameters: n.
    repeats: timed steps.

  Returns:
    The name, n, seconds a step (median, 10 % and 90 %), bytes a parameter of the optimizer's
    variables, and by how many MiB the peak of the process grew: theta, gradient, states and what a
    step needs.
  """
  baseline = measuring.resident_bytes()
  theta = keras.Variable(np.zeros(num_parameters, np.float32))
  gradient = tf.random.stateless_normal([num_parameters], [1, 2], stddev=0.01)
  optimizer = OPTIMIZERS[name]()
  optimizer.build([theta])

  @tf.function(autograph=False)
  def step():
    optimizer.apply([gradient], [theta])
    return theta.value[0]

  figures = measuring.measured(lambda: step().numpy(), repeats, baseline)
  states = [v for v in optimizer.variables if len(v.shape)]  # without counters
  state_bytes = sum(int(np.prod(v.shape)) * tf.as_dtype(v.dtype).size for v in states)
  return {
    "optimizer": name,
    "parameters": num_parameters,
    **{f"{key}_s": figures["seconds"][key] for key in ("median", "low", "high")},
    "bytes_a_parameter": state_bytes / num_parameters,
    "peak_mib": max(figures["first_peak"], figures["peak"]) / measuring.MIB,
    "peak_over_states": measuring.ratio(figures["peak"], state_bytes),
  }


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[int, ...], "parameters", (10**4, 10**6, 10**7), "values of n")
  flags.add(int, "repeats", 10, "timed steps")
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  if min(flags.parameters) < 1 or flags.repeats < 1:
    raise experiment_flags.UsageError("--parameters and --repeats must be at least 1.")
  own = measuring.in_own_process
  rows = [own(measure, name, n, flags.repeats) for n in flags.parameters for name in OPTIMIZERS]
  reports.report(__file__, flags, rows)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
