"""Runs exported programs: python -m benchmarks.implementations.run_stablehlo [FLAGS] PATH...

On JAX's first device, with its XLA runtime: each PATH of export_stablehlo.py beside the same
computation in JAX's own words, in turn. Needs JAX and NumPy alone. Losses are held against
TensorFlow's; the exit status is 1 if ours are off. A row says what both take, and how long they
would take if nothing but the least traffic of the states and the matrix products counted, at the
rates that this device reaches on a copy and on a large product.
"""

import argparse
from collections.abc import Callable
import concurrent.futures
import json
import os
import sys
from typing import Any, NamedTuple

import jax
import jax.extend.backend
import jax.numpy as jnp
import numpy as np

from benchmarks import measuring
from benchmarks.implementations import case as case_lib
from benchmarks.implementations import jax_scan

TOLERANCE = {"cpu": 1e-4}  # of the losses
ELSEWHERE = 1e-2  # products of a GPU have fewer digits
SIZE = {"cpu": 1024}  # of the matrices whose product is timed; copies are 16 times as large
SIZE_ELSEWHERE = 8192


class Exported(NamedTuple):
  """What one PATH holds."""

  about: dict[str, Any]
  text: str
  inputs: list[np.ndarray]  # in the order of the module's parameters
  named: dict[str, dict[str, np.ndarray]]  # theta, phi and the minibatches
  losses: np.ndarray  # [T, B], of the first instances


def read(path: str) -> Exported:
  """Reads the three files."""
  with open(f"{path}.json", encoding="utf-8") as file:
    about = json.load(file)
  with open(f"{path}.mlir", encoding="utf-8") as file:
    text = file.read()
  inputs, named = [], {}
  with np.load(f"{path}.npz") as arrays:
    losses = arrays["losses"]
    for key in sorted(set(arrays) - {"losses"}):
      _, group, *name = key.split(":")
      inputs.append(arrays[key])
      named.setdefault(group, {})["".join(name)] = inputs[-1]
  return Exported(about, text, inputs, named, losses)


def ours(what: Exported) -> tuple[Callable[[], Any], int]:
  """Compiles the module; what runs it and gives its outputs, and the bytes it takes meanwhile."""
  device = jax.devices()[0]
  options = jax.extend.backend.get_compile_options(num_replicas=1, num_partitions=1)
  executable = device.client.compile_and_load(what.text, [device], options)
  buffers = [jax.device_put(x, device) for x in what.inputs]
  size = executable.get_compiled_memory_stats().temp_size_in_bytes
  return lambda: executable.execute(buffers), size


def jaxs_own(what: Exported) -> tuple[Callable[[], Any], int]:
  """Does the same for `jax_scan` on all instances at once; the losses come first."""
  case, count = _case(what), what.about["num_tasks"]
  scan = jax_scan.JaxScan(case)
  places = np.arange(count) % what.losses.shape[1]

  def every(tree):
    return jax.tree.map(lambda x: x[places], tree)

  def evolution(phi, theta, batches):
    _, (losses, _) = jax.vmap(scan.window, (0, 0, None))(every(phi), every(theta), batches)
    return (losses.T,)

  def meta_step(phi, theta, batches, adam):
    def objective(phi):
      totals, (losses, _) = jax.vmap(scan.window, (None, 0, None))(phi, every(theta), batches)
      return jnp.mean(totals), losses.T

    (_, losses), gradients = jax.value_and_grad(objective, has_aux=True)(phi)
    return losses, *jax_scan.adam_step(phi, adam, gradients, case.learning_rate)

  arguments = [case.phi, case.theta, (case.images, case.labels)]
  function = {"evolution": evolution, "meta_step": meta_step}[what.about["program"]]
  if function is meta_step:
    arguments.append(jax_scan.adam_start(case.phi))
  arguments = jax.device_put(arguments)
  compiled = jax.jit(function).lower(*arguments).compile()
  return lambda: compiled(*arguments), compiled.memory_analysis().temp_size_in_bytes


def _case(what: Exported) -> case_lib.Case:
  """As `jax_scan` takes it, but that theta, and phi if each has one, have an axis of instances."""
  named, about = what.named, what.about
  constants = [about[name] for name in ("p", "output_scale", "learning_rate")]
  batches = [named[name][""] for name in ("images", "labels")]
  return case_lib.Case(named["phi"], named["theta"], *batches, *constants)


class Rates(NamedTuple):
  """What the device reaches."""

  flops: float  # a second, in a product of large matrices of float32 at XLA's default precision
  bytes: float  # a second, read and written, in a pass over a large array


def rates() -> Rates:
  """Times both."""
  size = SIZE.get(jax.default_backend(), SIZE_ELSEWHERE)
  a, b = jax.random.normal(jax.random.key(0), [2, size, size])
  long = jax.random.normal(jax.random.key(1), [16 * size, size])
  product, twice = jax.jit(jnp.matmul), jax.jit(lambda x: 2 * x)
  seconds = [_median(lambda: product(a, b)), _median(lambda: twice(long))]
  return Rates(2 * size**3 / seconds[0], 2 * long.nbytes / seconds[1])


def _median(function: Callable[[], Any], repeats: int = 10) -> float:
  jax.block_until_ready(function())
  return float(np.median(measuring.timed(lambda: jax.block_until_ready(function()), repeats)))


def least(what: Exported) -> tuple[float, float]:
  """Operations of the matrix products, and bytes of the states that must move, of a whole run.

  A step forward reads and writes the states, 8 bytes a number; one backward reads them and reads
  and writes their gradient, 12 bytes more. f takes the products of its layers, thrice.
  """
  about, shapes = what.about, {k: x.shape[-2:] for k, x in what.named["phi"].items()}
  backward = about["program"] == "meta_step"
  flops, numbers = 6.0 * about["batch_size"], 0
  for name in sorted(name for name in shapes if name.endswith("w_gates")):
    rows, gates = shapes[name]
    inner = gates // 4 if name.startswith("lstm_1/") else rows  # the first inputs get no gradient
    flops += 2 * gates * (rows + backward * (rows + inner))
    numbers += 2 * gates // 4
  flops += 2 * shapes["linear/w"][0] * (1 + 2 * backward)
  steps = about["num_tasks"] * about["coordinates"] * about["num_steps"]
  return steps * flops, steps * numbers * (20 if backward else 8)


def compare(
  what: Exported, compiled: dict[str, concurrent.futures.Future], rate: Rates, repeats: int
) -> dict[str, Any]:
  """Runs both in turn; returns the row. What the device has no memory for says so in it."""
  flops, size = least(what)
  row = {name: what.about[name] for name in ("program", "coordinates", "num_tasks")}
  row |= {"products_s": flops / rate.flops, "states_s": size / rate.bytes}
  programs: dict[str, Callable[[], Any]] = {}
  for name, future in compiled.items():
    try:
      run, temporary = future.result()
      found = np.asarray(run()[0])[:, : what.losses.shape[1]]
    except jax.errors.JaxRuntimeError as error:
      row[f"{name}_failed"] = str(error).partition("\n")[0][:200]
      continue
    programs[name] = run
    row[f"{name}_difference"] = float(np.max(np.abs(found - what.losses)))
    row[f"{name}_temporary_mib"] = temporary / measuring.MIB
  seconds: dict[str, list[float]] = {name: [] for name in programs}
  for _ in range(repeats):
    for name, run in programs.items():
      seconds[name] += measuring.timed(lambda run=run: jax.block_until_ready(run()), 1)
  for name, times in seconds.items():
    row |= {f"{name}_{key}_s": x for key, x in measuring.quantiles(times).items() if key != "count"}
  return row


def _is_right(row: dict[str, Any], limit: float) -> bool:
  """Whether our losses are near TensorFlow's; what the device has no memory for is no fault."""
  failed = row.get("ours_failed", "")
  return "RESOURCE_EXHAUSTED" in failed or row.get("ours_difference", np.inf) <= limit


def main(argv: list[str]) -> int:
  """Runs the program; returns its exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("paths", nargs="+", metavar="PATH")
  parser.add_argument("--repeats", type=int, default=10)
  parser.add_argument("--out", help="JSON file to write the rows to")
  arguments = parser.parse_args(argv)
  if arguments.out and os.path.exists(arguments.out):
    parser.error(f"{arguments.out} is there already: name another --out, or move it away.")
  exported, rate, rows = [read(path) for path in arguments.paths], rates(), []
  pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
  makers = {"ours": ours, "jax": jaxs_own}
  compiled = [{name: pool.submit(m, what) for name, m in makers.items()} for what in exported]
  concurrent.futures.wait([future for each in compiled for future in each.values()])
  names = " ".join(os.path.basename(path) for path in arguments.paths)
  head = {
    "command": f"python -m {__spec__.name} {names} --repeats={arguments.repeats}",
    "machine": {"device": jax.devices()[0].device_kind, **measuring.machine()},
    "versions": exported[0].about["versions"] | measuring.versions(["jax"]),
    "data": exported[0].about["data"],
    "rates": rate._asdict(),
  }
  for what, programs in zip(exported, compiled, strict=True):
    rows.append(compare(what, programs, rate, arguments.repeats))
    print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
      with open(arguments.out, "w", encoding="utf-8") as file:
        json.dump(head | {"rows": rows}, file, indent=2)
  limit = TOLERANCE.get(jax.default_backend(), ELSEWHERE)
  return int(not all(_is_right(row, limit) for row in rows))


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
