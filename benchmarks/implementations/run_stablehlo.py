"""Runs a meta-step: python -m benchmarks.implementations.run_stablehlo meta_step [REPEATS]

With JAX's XLA runtime, on its first device. Prints the largest difference of the losses from
TensorFlow's, and times; the exit status is 1 if the losses differ by more than 1e-4.
"""

from collections.abc import Callable
import sys

import jax
import jax.extend.backend
import numpy as np

from benchmarks import measuring

TOLERANCE = 1e-4


def load(path: str) -> tuple[Callable[[], list[jax.Array]], np.ndarray]:
  """Compiles PATH.mlir; returns what runs it and gives its outputs, and the losses expected."""
  with open(f"{path}.mlir", encoding="utf-8") as file:
    text = file.read()
  with np.load(f"{path}.npz") as arrays:
    inputs = [arrays[name] for name in sorted(arrays) if name != "losses"]
    losses = arrays["losses"]
  device = jax.devices()[0]
  options = jax.extend.backend.get_compile_options(num_replicas=1, num_partitions=1)
  executable = device.client.compile_and_load(text, [device], options)
  buffers = [jax.device_put(x, device) for x in inputs]
  return lambda: executable.execute(buffers), losses


def main(path: str, repeats: str = "0") -> int:
  """Runs the program; returns its exit status."""
  run, expected = load(path)
  losses = np.asarray(run()[0])
  difference = np.max(np.abs(losses - expected))
  print(f"{jax.devices()[0].device_kind}: losses differ by at most {difference:.2g}")
  if int(repeats):
    seconds = measuring.timed(lambda: jax.block_until_ready(run()), int(repeats))
    print(measuring.quantiles(seconds))
  return int(not difference <= TOLERANCE)


if __name__ == "__main__":
  sys.exit(main(*sys.argv[1:]))
