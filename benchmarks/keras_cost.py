"""Cost of LearnedOptimizer beside Adam: python benchmarks/keras_cost.py

Seconds of one `apply` in a `tf.function`, and bytes of the optimizer's variables for each
parameter, for models of 10^4, 10^6 and 10^7 parameters; and by how much the peak of the process's
memory grew: parameters, gradients, states and what a step needs. Each row is measured in a process
of its own. At 10^7 parameters the states of `mnist_lstm` take 3.2 GB and a step several times as
much. Run it on an otherwise idle machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import json
import resource
import subprocess
import sys
import time
from typing import Any, Sequence

import keras
import numpy as np
import tensorflow as tf

import l2l_tf
from l2l_tf import checkpoint
from l2l_tf import command_line
from l2l_tf import provenance

OPTIMIZERS = {
  "mnist_lstm": lambda: l2l_tf.LearnedOptimizer("mnist_lstm"),
  "adam": keras.optimizers.Adam,
}


def measure(name: str, num_parameters: int, repeats: int) -> dict[str, Any]:
  """Times steps on one vector of parameters.

  Args:
    name: in `OPTIMIZERS`.
    num_parameters: n.
    repeats: timed steps, after two that are not.

  Returns:
    The name, n, seconds a step (median, 10 % and 90 %), bytes a parameter of the optimizer's
    variables, and by how many bytes the peak of the process grew.
  """
  before = _peak_bytes()
  theta = keras.Variable(np.zeros(num_parameters, np.float32))
  gradient = tf.random.stateless_normal([num_parameters], [1, 2], stddev=0.01)
  optimizer = OPTIMIZERS[name]()
  optimizer.build([theta])

  @tf.function
  def step():
    optimizer.apply([gradient], [theta])
    return theta.value[0]

  seconds = []
  for _ in range(repeats + 2):
    began = time.perf_counter()
    step().numpy()  # waits for the result
    seconds.append(time.perf_counter() - began)
  low, median, high = np.percentile(seconds[2:], [10, 50, 90])
  states = [v for v in optimizer.variables if len(v.shape)]  # without counters
  state_bytes = sum(int(np.prod(v.shape)) * tf.as_dtype(v.dtype).size for v in states)
  return {
    "optimizer": name,
    "num_parameters": num_parameters,
    "seconds": {"median": median, "low": low, "high": high},
    "bytes_per_parameter": state_bytes / num_parameters,
    "peak_bytes": _peak_bytes() - before,
  }


def _peak_bytes() -> int:
  """The most memory that this process has held; `getrusage` alone may count its parent's."""
  try:
    with open("/proc/self/status", encoding="utf-8") as file:
      (line,) = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 2**10
  except (OSError, ValueError):
    scale = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = command_line.Flags(__doc__)
  flags.add(tuple[int, ...], "parameters", (10**4, 10**6, 10**7), "values of n")
  flags.add(int, "repeats", 10, "timed steps")
  flags.add(str, "only", None, "measure this optimizer, here, and print its row", OPTIMIZERS)
  flags.add(str, "out", "benchmarks/keras_cost.json", "JSON file to write")
  flags.parse(argv)
  if min(flags.parameters) < 1 or flags.repeats < 1:
    raise command_line.UsageError("--parameters and --repeats must be at least 1.")
  if flags.only:
    for n in flags.parameters:
      print(json.dumps(measure(flags.only, n, flags.repeats)), flush=True)
    return 0
  rows = []
  print("| parameters | optimizer | ms a step (10 %, 90 %) | bytes a parameter | peak, MB |")
  print("|---|---|---|---|---|")
  for n in flags.parameters:
    for name in OPTIMIZERS:
      command = [sys.executable, __file__, f"--only={name}", f"--parameters={n}"]
      command.append(f"--repeats={flags.repeats}")
      done = subprocess.run(command, capture_output=True, text=True, check=False)
      if done.returncode:
        print(f"| {n:,} | {name} | failed, exit status {done.returncode} | | |", flush=True)
        continue
      row = json.loads(done.stdout.splitlines()[-1])
      rows.append(row)
      median, low, high = (1e3 * row["seconds"][key] for key in ("median", "low", "high"))
      cells = f"{median:.3g} ({low:.3g}, {high:.3g}) | {row['bytes_per_parameter']:.3g}"
      print(f"| {n:,} | {name} | {cells} | {row['peak_bytes'] / 1e6:.0f} |", flush=True)
  versions = {**provenance.versions(), "keras": keras.__version__}
  checkpoint.write_json(flags.out, {"cores": os.cpu_count(), "versions": versions, "rows": rows})
  print(f"Written to {flags.out}")
  return 0


if __name__ == "__main__":
  command_line.run(main, (OSError,))
