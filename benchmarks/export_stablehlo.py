"""Writes programs of ours as StableHLO: python -m benchmarks.export_stablehlo --out=runs/meta_step

For a machine with another XLA runtime. --program=meta_step is a meta-step of the MNIST base problem
(15,910 coordinates, minibatch 128, 20 steps) on B instances; --program=evolution are the losses of
B instances that have a phi each, which evolution strategies ask for. Each is one module without
host call-backs. OUT.mlir holds the text. OUT.npz holds its inputs, "000:theta:hidden_1/b" and so on
in the order of the module's parameters, and "losses", the first of its outputs, `[T, B]`, for the
first 16 instances: all others start as those do. OUT.json tells what it is.
benchmarks/implementations/run_stablehlo.py runs it, where JAX is, beside JAX's own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import re
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks.implementations import case as case_lib
from benchmarks.implementations import ours
from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.problems import base
from l2l_tf.problems import datasets
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.storage import files
from l2l_tf.storage import outputs
from l2l_tf.storage import provenance
from l2l_tf.training import trainer

THETA_SCALE = 0.01  # by which the theta_0 of the instances differ
PHI_SCALE = 0.003  # by which their phi do
DISTINCT = 16  # instances that differ
PROGRAMS = ("meta_step", "evolution")


class Program(NamedTuple):
  """What is written."""

  run: Any  # a compiled function of nothing, without side effects
  inputs: dict[str, tf.Variable]  # what it reads, by name


def meta_step(case: case_lib.Case, num_tasks: int) -> Program:
  """The meta-step: its losses `[T, B]`, and phi and Adam's state after it.

  Args:
    case: the MLP with its minibatches, and the optimizer.
    num_tasks: B.
  """
  optimizer = ours.optimizer_of(case)
  phi = optimizer.trainable_variables
  adam = optimizers.Adam(case.learning_rate)
  state = tf.nest.map_structure(tf.Variable, adam.initial_state(trainer.with_tasks_axis(phi)))
  given = {**_starts(case, num_tasks), **_minibatches(case)}

  @tf.function(autograph=False, jit_compile=True)
  def run():
    problem = _problem(given)
    carry, _ = unroll.start(problem, optimizer, _seeds(num_tasks))
    with tf.GradientTape() as tape:
      _, found = unroll.unroll(problem, optimizer, carry, case.num_steps)
      meta_loss = tf.reduce_sum(tf.reduce_mean(found, axis=1))
    gradients = trainer.with_tasks_axis(tape.gradient(meta_loss, phi))
    updates, after = adam(gradients, tf.nest.map_structure(tf.convert_to_tensor, state))
    return found, [v + update[0] for v, update in zip(phi, updates.values())], after

  inputs = {f"phi:{name}": v for name, v in optimizer.named_phi().items()}
  inputs |= {f"adam:{k}": v for k, v in enumerate(tf.nest.flatten(state))}
  return Program(run, given | inputs)


def evolution(case: case_lib.Case, num_tasks: int) -> Program:
  """The losses `[T, B]` of B instances with a phi each; arguments as of `meta_step`."""
  optimizer = ours.optimizer_of(case)
  names = {v.ref(): f"phi:{name}" for name, v in optimizer.named_phi().items()}
  phi = _varied("phi", case.phi, PHI_SCALE, num_tasks)
  given = {**_starts(case, num_tasks), **phi, **_minibatches(case)}

  @tf.function(autograph=False, jit_compile=True)
  def run():
    own = optimizer.with_phi(
      [_all(given[names[v.ref()]], num_tasks) for v in optimizer.trainable_variables]
    )
    problem = _problem(given)
    carry, _ = unroll.start(problem, own, _seeds(num_tasks))
    return unroll.unroll(problem, own, carry, case.num_steps)[1]

  return Program(run, given)


def _starts(case: case_lib.Case, num_tasks: int) -> dict[str, tf.Variable]:
  return _varied("theta", case.theta, THETA_SCALE, num_tasks)


def _varied(
  group: str, values: dict[str, np.ndarray], scale: float, num_tasks: int
) -> dict[str, tf.Variable]:
  """Values `[...]` and noise, other for each of the first instances: `[min(B, DISTINCT), ...]`."""
  random, count = np.random.default_rng(1), min(num_tasks, DISTINCT)
  noise = {name: random.standard_normal([count, *x.shape]) for name, x in values.items()}
  varied = {f"{group}:{name}": x + scale * noise[name] for name, x in values.items()}
  return {name: tf.Variable(x.astype(np.float32)) for name, x in varied.items()}


def _all(values: tf.Tensor, num_tasks: int) -> tf.Tensor:
  """What the first instances have, for all: `[min(B, DISTINCT), ...]` to `[B, ...]`."""
  return tf.gather(values, tf.range(num_tasks) % min(num_tasks, DISTINCT))


def _minibatches(case: case_lib.Case) -> dict[str, tf.Variable]:
  return {"images": tf.Variable(case.images), "labels": tf.Variable(case.labels)}


def _problem(given: dict[str, tf.Variable]) -> base.Problem:
  theta = {name[len("theta:") :]: x for name, x in given.items() if name.startswith("theta:")}
  tensors = tf.nest.map_structure(tf.convert_to_tensor, (theta, given["images"], given["labels"]))
  return ours.problem(*tensors)


def losses(case: case_lib.Case, inputs: dict[str, tf.Variable]) -> np.ndarray:
  """The losses of those of the instances that differ, `[T, B]`, one after the other."""
  optimizer = ours.optimizer_of(case)

  @tf.function(autograph=False, jit_compile=True)
  def forward(theta):
    problem = ours.problem(theta, tf.constant(case.images), tf.constant(case.labels))
    carry, _ = unroll.start(problem, optimizer, _seeds(1))
    return unroll.unroll(problem, optimizer, carry, case.num_steps)[1][:, 0]

  found = []
  for b in range(inputs["theta:output/b"].shape[0]):
    for name, variable in optimizer.named_phi().items():
      values = inputs[f"phi:{name}"]
      variable.assign(values[b] if values.shape.rank > variable.shape.rank else values)
    theta = {name: inputs[f"theta:{name}"][b : b + 1] for name in case.theta}
    found.append(forward(theta).numpy())
  return np.stack(found, axis=1)


def _seeds(num_tasks: int) -> np.ndarray:
  """An instance each, by its number."""
  return np.stack([np.arange(num_tasks), np.zeros(num_tasks)], axis=1).astype(np.int32)


def stablehlo(function: Any, arguments: tuple) -> tuple[str, list[tf.Tensor]]:
  """Returns the module's text, without source locations, and its inputs in their order.

  Those are the arguments' tensors, and then those that the function captures: of a variable its
  handle.
  """
  text = function.experimental_get_compiler_ir(*arguments)(stage="stablehlo")
  text = "\n".join(line for line in text.splitlines() if not line.startswith("#loc"))
  text = re.sub(r' loc\((?:"[^"]*"(?:\([^)]*\))?|#loc\d*|unknown)\)', "", text)
  # A GPU's compiler takes operations of StableHLO alone.
  text = re.sub(r"mhlo\.copy (%\S+) : (\S+)", r"stablehlo.reshape \1 : (\2) -> \2", text)
  concrete = function.get_concrete_function(*arguments)
  return text, [*tf.nest.flatten(arguments), *concrete.captured_inputs]


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(str, "program", "meta_step", "what to write", PROGRAMS)
  flags.add(int, "num_tasks", 1, "B, the instances side by side")
  flags.add(int, "num_steps", 20, "optimization steps")
  flags.add(int, "batch_size", 128, "examples a minibatch")
  flags.add(int, "pooling", 1, "pixels a side whose mean is one input", (1, 2, 4, 7, 14))
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  default = os.path.join(outputs.RUNS, "meta_step")
  flags.add(paths.Written, "out", default, "files to write, without their endings")
  flags.parse(argv)
  for name in ("num_tasks", "num_steps", "batch_size"):
    if getattr(flags, name) < 1:
      raise experiment_flags.UsageError(f"--{name} must be at least 1, got {getattr(flags, name)}.")
  data = datasets.pool(problems.load("mnist", "train", flags.data), flags.pooling)
  case = ours.make_case(data.images, data.labels, flags.num_steps, flags.batch_size)
  make = {"meta_step": meta_step, "evolution": evolution}[flags.program]
  program = make(case, flags.num_tasks)
  text, handles = stablehlo(program.run, ())
  names = {id(variable.handle): name for name, variable in program.inputs.items()}
  names = [names[id(handle)] for handle in handles]
  expected = losses(case, program.inputs)
  os.makedirs(os.path.dirname(flags.out) or ".", exist_ok=True)
  with open(f"{flags.out}.mlir", "w", encoding="utf-8") as file:
    file.write(text)
  arrays = {f"{i:03}:{name}": program.inputs[name].numpy() for i, name in enumerate(names)}
  np.savez_compressed(f"{flags.out}.npz", losses=expected, **arrays)
  about = {
    "program": flags.program,
    "num_tasks": flags.num_tasks,
    "num_steps": flags.num_steps,
    "batch_size": flags.batch_size,
    "coordinates": sum(x.size for x in case.theta.values()),
    "p": case.p,
    "output_scale": case.output_scale,
    "learning_rate": case.learning_rate,
    "data": data.source,
    "versions": provenance.versions(),
  }
  files.write_json(f"{flags.out}.json", about)
  print(f"{flags.out}.mlir: {len(text.splitlines())} lines, {len(names)} inputs, {data.source}")
  print(f"mean loss by TensorFlow: {expected.mean():.6f}")
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
