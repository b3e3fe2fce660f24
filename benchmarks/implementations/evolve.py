"""Trains optimizers by modules of export_evolution: python evolve.py FOLDER OUT SECONDS

With JAX's XLA runtime, on its first device; needs JAX and NumPy alone. Two optimizers, of seeds
SEED and SEED + 1, are trained side by side: a meta-step is an episode of a problem drawn at random,
on which each has half of the antithetic pairs. It is what training/evolution_trainer.py does, but
for this: episodes get longer by phases, and the time decides how many there are. OUT.npz has phi of
both, the averages of late phi, and a line a meta-step; OUT_0.npz to OUT_10.npz what they were after
each tenth of the time. benchmarks/import_evolution.py makes trained optimizers of them.
"""

import argparse
from collections.abc import Callable
import concurrent.futures
import json
import math
import os
import time
from typing import Any, NamedTuple

import jax
import jax.extend.backend
import numpy as np

LIMIT = 2.0  # of normalised differences
DECAY = 0.99  # of the average of phi


class Phase(NamedTuple):
  """Until a share of the time, lengths between these."""

  until: float
  shortest: int
  longest: int


PHASES = (Phase(0.25, 30, 500), Phase(0.6, 50, 2000), Phase(1.0, 150, 10000))


class Module(NamedTuple):
  """A compiled episode of a problem."""

  name: str
  num_instances: int
  captured: list[jax.Array]
  execute: Callable[[list[Any]], list[jax.Array]]


def load_all(folder: str) -> tuple[list[Module], dict[str, Any]]:
  """Compiles all modules, several at once; returns them and what modules.json tells."""
  with open(os.path.join(folder, "modules.json"), encoding="utf-8") as file:
    document = json.load(file)
  device = jax.devices()[0]
  with np.load(os.path.join(folder, "data.npz")) as arrays:
    data = {name: jax.device_put(_decoded(name, arrays[name]), device) for name in arrays}
  if "start" in document:  # phi of a trained optimizer
    document["start"] = np.asarray(data[document["start"]])
  options = jax.extend.backend.get_compile_options(num_replicas=1, num_partitions=1)

  def compiled(name: str) -> Module | None:
    started = time.time()
    about = document["modules"][name]
    with open(os.path.join(folder, f"{name}.mlir"), encoding="utf-8") as file:
      text = file.read()
    try:
      executable = device.client.compile_and_load(text, [device], options)
    except Exception as error:  # the other problems are still worth training on
      print(f"{name} is left out: {error!s:.1000}", flush=True)
      return None
    print(f"{name}: compiled in {time.time() - started:.1f} s", flush=True)
    captured = [data[key] for key in about["captured"]]
    return Module(name, about["instances"], captured, executable.execute)

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    modules = [module for module in pool.map(compiled, document["modules"]) if module]
  return modules, document


def _decoded(name: str, x: np.ndarray) -> np.ndarray:
  kind = name.split("_")[0]
  return np.float32(x) / np.float32(255) if x.dtype == np.uint8 else x.astype(kind)


def begin(seed: int, shapes: list[list[int]]) -> np.ndarray:
  """Phi of an untrained optimizer, flat: matrices and vectors in turn, the last two are 0."""
  rng, parts = np.random.default_rng(seed), []
  for k, shape in enumerate(shapes):
    w = rng.normal(size=shape) / math.sqrt(shape[0]) if len(shape) == 2 else np.zeros(shape)
    parts.append(w if k < len(shapes) - 2 else 0 * w)
  return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def cut(flat: np.ndarray, shapes: list[list[int]]) -> list[np.ndarray]:
  """`[..., n]` into what the modules take."""
  parts = np.split(flat, np.cumsum([math.prod(shape) for shape in shapes])[:-1], -1)
  return [part.reshape(*flat.shape[:-1], *shape) for part, shape in zip(parts, shapes)]


class Evolution:
  """Optimizers side by side, each with its own Adam."""

  def __init__(self, modules: list[Module], document: dict[str, Any], seed: int, sigma: float):
    self.modules, self.sigma = modules, sigma
    self.num_starts, self.shapes = document["num_starts"], document["phi"]
    self.rng = np.random.default_rng(seed)
    start = document.get("start")
    starts = [begin(s, self.shapes) if start is None else start for s in (seed, seed + 1)]
    self.phi = np.stack(starts)
    self.average = self.phi.copy()
    self.m, self.v, self.t = np.zeros_like(self.phi), np.zeros_like(self.phi), 0
    self.log: list[tuple[float, ...]] = []

  def episode(self, module: Module, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences and noise of each optimizer's pairs, and the mean of the objectives."""
    count, num_pairs = len(self.phi), module.num_instances // (2 * len(self.phi))
    shape = [count, num_pairs, self.phi.shape[1]]
    noise = self.rng.standard_normal(shape, dtype=np.float32)
    both = np.stack([self.phi[:, None] + s * self.sigma * noise for s in (1, -1)], 1)
    phi = cut(both.reshape(-1, shape[-1]).astype(np.float32), self.shapes)
    starts = self.rng.integers(-(2**31), 2**31, [self.num_starts, 2]).astype(np.int32)
    seeds = self.rng.integers(-(2**31), 2**31, [num_pairs, 2]).astype(np.int32)
    seeds = np.tile(seeds, [2 * count, 1])
    inputs = [jax.device_put(x) for x in (starts, seeds, *phi, np.int32(length))]
    values, _ = module.execute([*inputs, *module.captured])
    values = np.asarray(values).reshape(count, 2, num_pairs)
    return (values[:, 0] - values[:, 1]) / 2, noise, values.mean((1, 2))

  def step(self, module: Module, length: int, learning_rate: float):
    """A meta-step."""
    differences, noise, values = self.episode(module, length)
    scale = np.sqrt(np.mean(differences**2, 1, keepdims=True)) + 1e-30
    units = np.clip(differences / scale, -LIMIT, LIMIT)
    gradient = np.einsum("kp,kpn->kn", units, noise) / (self.sigma * units.shape[1])
    self.log.append((self.modules.index(module), length, *values))
    if not np.all(np.isfinite(gradient)):
      return
    self.t += 1
    self.m += 0.1 * (gradient - self.m)
    self.v += 0.01 * (gradient**2 - self.v)
    m, v = self.m / (1 - 0.9**self.t), self.v / (1 - 0.99**self.t)
    self.phi = self.phi - np.float32(learning_rate) * m / (np.sqrt(v) + 1e-8)
    weight = min(DECAY, self.t / (self.t + 9))
    self.average = weight * self.average + (1 - weight) * self.phi

  def save(self, path: str, about: dict[str, Any]):
    """Writes what there is, and what is to be told of it."""
    log, names = np.array(self.log), np.array([m.name for m in self.modules])
    with open(f"{path}.aside", "wb") as file:
      arrays = {"phi": self.phi, "average": self.average, "log": log, "names": names}
      np.savez(file, about=json.dumps(about), **arrays)
    os.replace(f"{path}.aside", path)


def train(
  evolution: Evolution,
  seconds: float,
  rates: tuple[float, float],
  phases: list[Phase],
  save: Callable[[float], None],
):
  """Takes meta-steps for so long, the learning rate on a cosine."""
  started = told = time.time()
  while (share := (time.time() - started) / seconds) < 1:
    phase = next(p for p in phases if share < p.until)
    low, high = math.log(phase.shortest), math.log(phase.longest)
    length = round(math.exp(evolution.rng.uniform(low, high)))
    module = evolution.modules[evolution.rng.integers(len(evolution.modules))]
    weight = 0.5 * (1 + math.cos(math.pi * share))
    evolution.step(module, length, rates[1] + weight * (rates[0] - rates[1]))
    if time.time() - told > 20:
      told = time.time()
      recent = np.array(evolution.log[-100:])
      print(f"{share:.2f}: {len(evolution.log)} meta-steps, {recent.mean(0)}", flush=True)
      save(share)
  save(1.0)


def measure(evolution: Evolution, length: int):
  """Prints the time of a step of each module."""
  for module in evolution.modules:
    evolution.episode(module, 3)
    started = time.time()
    evolution.episode(module, 3)
    start = time.time() - started
    evolution.episode(module, length)
    seconds = time.time() - started - 2 * start
    micro = 1e6 * seconds / length
    print(f"{module.name}: {micro:.0f} us a step of {module.num_instances}, start {start:.3f} s")


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("folder")
  parser.add_argument("out")
  parser.add_argument("seconds", type=float)
  parser.add_argument("--seed", type=int, default=1)
  parser.add_argument("--sigma", type=float, default=0.03)
  parser.add_argument("--rates", type=float, nargs=2, default=(3e-3, 1e-4))
  parser.add_argument("--longest", type=int, default=10000, help="steps of an episode, at most")
  parser.add_argument("--measure", type=int, default=0, help="steps to be timed, in place of all")
  arguments = parser.parse_args()
  if os.path.exists(f"{arguments.out}.npz"):
    parser.error(f"{arguments.out}.npz is there already: name another OUT, or move it away.")
  modules, document = load_all(arguments.folder)
  evolution = Evolution(modules, document, arguments.seed, arguments.sigma)
  if arguments.measure:
    return measure(evolution, arguments.measure)

  phases = [
    Phase(phase.until, *(min(steps, arguments.longest) for steps in phase[1:])) for phase in PHASES
  ]
  arrays = ("modules", "phi", "start")
  about = {name: value for name, value in document.items() if name not in arrays}
  about |= {name: value for name, value in vars(arguments).items() if name not in ("folder", "out")}
  about |= {"phases": phases, "device": jax.devices()[0].device_kind}
  about["num_pairs"] = max(m.num_instances for m in modules) // (2 * len(evolution.phi))

  def save(share: float):
    for path in (f"{arguments.out}.npz", f"{arguments.out}_{int(10 * share)}.npz"):
      evolution.save(path, about)

  train(evolution, arguments.seconds, tuple(arguments.rates), phases, save)


if __name__ == "__main__":
  main()
