"""Writes episodes of training as StableHLO: python -m benchmarks.export_evolution --out=runs/x

For a machine with JAX's XLA runtime but without TensorFlow: for each problem of `--problem=general`
a module OUT/NAME.mlir that takes B instances, each with a phi of its own, through T steps, and
returns the objective of each (training/evolution.py). The optimizer is an untrained `general`, or a
trained one to go on from. OUT/modules.json tells what the modules' inputs are, OUT/data.npz has
those that are data. benchmarks/implementations/evolve.py trains by them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import hashlib
import math
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import export_stablehlo
from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.problems import base
from l2l_tf.problems import general
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import outputs
from l2l_tf.storage import provenance
from l2l_tf.training import evolution

LARGE = 6000  # coordinates of a problem that gets half as many instances


def episode(problem: base.Problem, optimizer: optimizers.Optimizer, num_instances: int):
  """What takes B instances through an episode, compiled, without side effects.

  Args:
    problem: what to optimize.
    optimizer: one that can have a phi for each instance.
    num_instances: B.

  Returns:
    A function of the seeds of G theta_0, int32 `[G, 2]`, which instance b shares with b + G, the
    seeds of the minibatches, int32 `[B, 2]`, phi, `[B, ...]` each, and T, int32; to the objectives
    and the mean losses, `[B]` each.
  """

  @tf.function(autograph=False, jit_compile=True)
  def run(starts, seeds, phi, length):
    params, tasks = base.instances(problem, starts)
    times = num_instances // starts.shape[0]

    def tiled(x):
      return tf.tile(x, [times] + [1] * (x.shape.rank - 1))

    params, tasks = tf.nest.map_structure(tiled, (params, tasks))
    own = optimizer.with_phi(phi)
    carry, _ = unroll.start_at(problem, own, params, tasks, seeds)
    _, values, means = evolution.objective(problem, own, carry, length, length)
    return values, means

  return run


def arguments_of(
  problem: base.Problem, optimizer: optimizers.Optimizer, num_starts: int, num_instances: int
) -> tuple:
  """Arguments for `episode`, of the right shapes: the optimizer's own phi, twenty steps."""
  starts = tf.constant(problem.seeds(0, base.Stream.META_TRAINING, 1, count=num_starts))
  seeds = tf.constant(problem.seeds(0, base.Stream.META_TRAINING, 2, count=num_instances))
  phi = [tf.stack([v.value()] * num_instances) for v in optimizer.trainable_variables]
  return starts, seeds, phi, tf.constant(20)


class Data:
  """Arrays that modules take, each once, small in a file."""

  def __init__(self):
    self.arrays: dict[str, np.ndarray] = {}

  def add(self, x: np.ndarray, exact: bool = False) -> str:
    """Keeps an array, large ones that are not pixels in float16 unless `exact`; its name."""
    name = f"{x.dtype.name}_{hashlib.sha256(x.tobytes()).hexdigest()[:12]}"
    kept = x
    if x.dtype == np.float32 and x.size > 10**5 and not exact:
      pixels = np.rint(255 * x)
      as_pixels = np.array_equal(np.float32(pixels.clip(0, 255)) / np.float32(255), x)
      kept = pixels.astype(np.uint8) if as_pixels else x.astype(np.float16)
    self.arrays[name] = kept
    return name


def export(
  problem: base.Problem,
  optimizer: optimizers.Optimizer,
  num_instances: int,
  num_starts: int,
  path: str,
  data: Data,
) -> dict[str, Any]:
  """Writes a module; returns what is to be known of it."""
  count = sum(map(math.prod, base.shapes(problem).values()))
  num_instances //= 2 if count > LARGE else 1
  arguments = arguments_of(problem, optimizer, num_starts, num_instances)
  function = episode(problem, optimizer, num_instances)
  text, inputs = export_stablehlo.stablehlo(function, arguments)
  with open(path, "w", encoding="utf-8") as file:
    file.write(text)
  given = len(tf.nest.flatten(arguments))
  captured = [data.add(x.numpy()) for x in inputs[given:]]
  return {"coordinates": count, "instances": num_instances, "captured": captured}


def _start(init_from: str | None, data: Data) -> tuple[optimizers.Optimizer, dict[str, Any]]:
  """The optimizer to train, and what modules.json tells of it."""
  if not init_from:
    optimizer, about = optimizers.General(), {}
  else:
    optimizer, before = optimizer_files.load_optimizer(pretrained.find(init_from))
    before = {name: value for name, value in before.items() if name != "history"}
    phi = np.concatenate([np.ravel(v) for v in optimizer.trainable_variables])
    about = {"init_from": before, "start": data.add(phi, exact=True)}
  if optimizer.with_phi(optimizer.trainable_variables) is None:
    kind = optimizer.config()["kind"]
    raise experiment_flags.UsageError(
      f"--init_from must be an optimizer that can have a phi for each instance, got a {kind}."
    )
  about["optimizer"] = optimizer.config()
  about["phi"] = [v.shape.as_list() for v in optimizer.trainable_variables]
  return optimizer, about


def _first(data: problems.Dataset, count: int) -> problems.Dataset:
  return data._replace(images=data.images[:count], labels=data.labels[:count])


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(int, "num_instances", 1024, "B, side by side; half as many of large problems")
  flags.add(int, "num_starts", 32, "theta_0 that they share")
  flags.add(int, "num_images", 8192, "of each dataset, the first ones")
  flags.add(str, "data", "auto", "source of the images, as in bin/train.py", SOURCES)
  flags.add(bool, "pictures", True, "CIFAR-10's, too")
  flags.add(str, "problems", "", "names with commas between; empty for all")
  text = "trained optimizer to go on from, directory or name; none for an untrained general"
  flags.add(paths.Read, "init_from", None, text)
  default = os.path.join(outputs.RUNS, "evolution")
  flags.add(paths.Written, "out", default, "folder to write to")
  flags.parse(argv)
  for name in ("num_starts", "num_images"):
    if getattr(flags, name) < 1:
      raise experiment_flags.UsageError(f"--{name} must be at least 1, got {getattr(flags, name)}.")
  unit = 8 * flags.num_starts  # two optimizers, both signs, half as many of large problems
  if flags.num_instances < 1 or flags.num_instances % unit:
    raise experiment_flags.UsageError(
      f"--num_instances must be a multiple of 8 * num_starts = {unit}, got {flags.num_instances}:"
      " the two of a pair share a theta_0."
    )
  images = ["mnist", "cifar10"] if flags.pictures else ["mnist"]
  datasets = [problems.load(name, "train", flags.data) for name in images]
  mixture = general.mixture(*(_first(data, flags.num_images) for data in datasets))
  names = [name for name in flags.problems.split(",") if name] or list(mixture.problems)
  if unknown := set(names) - set(mixture.problems):
    raise experiment_flags.UsageError(
      f"--problems must be among {', '.join(mixture.problems)}, got {', '.join(sorted(unknown))}."
    )
  arrays, modules = Data(), {}
  optimizer, about = _start(flags.init_from, arrays)
  os.makedirs(flags.out, exist_ok=True)
  for name in names:
    path = os.path.join(flags.out, f"{name}.mlir")
    problem, count = mixture.problems[name], flags.num_instances
    modules[name] = export(problem, optimizer, count, flags.num_starts, path, arrays)
    print(f"{name}: {modules[name]['coordinates']} coordinates, {os.path.getsize(path)} bytes")
  np.savez_compressed(os.path.join(flags.out, "data.npz"), **arrays.arrays)
  document = {
    "modules": modules,
    "num_starts": flags.num_starts,
    **about,
    "data": "; ".join(data.source for data in datasets),
    "data_sha256": mixture.digest,
    "num_images": flags.num_images,
    "versions": provenance.versions(),
  }
  files.write_json(os.path.join(flags.out, "modules.json"), document)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
