"""Cost of NTM-L-BFGS: python -m benchmarks.limited_memory [--out=benchmarks/limited_memory.json]

Times inference steps of the 2 x 20 NTM-L-BFGS, and counts the bytes of its state, against the
number of coordinates n and the length of the history. Both grow linearly with n and with the
history; the full memory of NTM-BFGS takes 4 n^2 bytes. Run it on an otherwise idle machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import time
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import reports
from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths

STEPS = 5  # in one timed loop


def measure(num_coordinates: int, history: int, repeats: int) -> dict[str, Any]:
  """Runs loops of `STEPS` optimizer steps on one instance.

  Args:
    num_coordinates: n.
    history: steps whose writes are kept.
    repeats: timed loops, after one that fills the history.

  Returns:
    n, the history, seconds a step (median, 10 % and 90 %), and the bytes of the state, which keep
    to their peak from the first step on.
  """
  optimizer = optimizers.NTMLBFGS(history=history)
  gradients = {"theta": tf.random.stateless_normal([1, num_coordinates], [1, 2])}

  @tf.function(autograph=False)
  def steps(state):
    return tf.while_loop(
      lambda t, _: t < STEPS,
      lambda t, state: (t + 1, optimizer(gradients, state)[1]),
      (tf.constant(0), state),
    )[1]

  state = steps(optimizer.initial_state(gradients))
  seconds = []
  for _ in range(repeats):
    began = time.perf_counter()
    state = steps(state)
    np.sum(state.read_results)  # waits for the result
    seconds.append((time.perf_counter() - began) / STEPS)
  low, median, high = np.percentile(seconds, [10, 50, 90])
  leaves = tf.nest.flatten(state)
  return {
    "num_coordinates": num_coordinates,
    "history": history,
    "seconds": {"median": median, "low": low, "high": high},
    "state_bytes": sum(leaf.shape.num_elements() * leaf.dtype.size for leaf in leaves),
  }


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[int, ...], "coordinates", (1000, 5000, 10000, 25000, 50000), "values of n")
  flags.add(tuple[int, ...], "histories", (5, 10, 20), "steps whose writes are kept")
  flags.add(int, "repeats", 20, f"timed loops of {STEPS} steps")
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  for name in ("coordinates", "histories"):
    if min(getattr(flags, name)) < 1:
      raise experiment_flags.UsageError(f"--{name} must be at least 1, got {getattr(flags, name)}.")
  if flags.repeats < 1:
    raise experiment_flags.UsageError(f"--repeats must be at least 1, got {flags.repeats}.")
  rows = []
  print("       n  history   ms a step     10 %     90 %   state MB   full memory MB")
  for history in flags.histories:
    for n in flags.coordinates:
      row = measure(n, history, flags.repeats)
      rows.append(row)
      times = "".join(f"{1e3 * t:{w}.2f}" for t, w in zip(row["seconds"].values(), (12, 9, 9)))
      megabytes = f"{row['state_bytes'] / 1e6:11.2f}{4e-6 * n * n:17.0f}"
      print(f"{n:8}{history:9}{times}{megabytes}", flush=True)
  reports.write(__file__, flags, {"rows": rows})
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
