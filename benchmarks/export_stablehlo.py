"""Writes the meta-step's StableHLO: python -m benchmarks.export_stablehlo --out=runs/meta_step

For a machine with another XLA runtime: a meta-step of the MNIST base problem (15,910 coordinates,
minibatch 128, 20 steps) on B instances as one module without host call-backs. OUT.mlir holds the
text, OUT.npz its inputs "input_000", ... in the order of the module's parameters, and "losses", the
first of its outputs, `[T, B]`. The minibatches are constants of the module. With JAX's runtime,
benchmarks/implementations/run_stablehlo.py runs it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import re
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.implementations import case as case_lib
from benchmarks.implementations import ours
from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.storage import outputs
from l2l_tf.training import trainer

THETA_SCALE = 0.01  # by which the theta_0 of the instances differ


def meta_step(case: case_lib.Case, num_tasks: int) -> tuple[Any, tuple]:
  """The meta-step as a compiled function without side effects, and arguments for it.

  Args:
    case: the MLP with its minibatches, and the optimizer.
    num_tasks: B.

  Returns:
    A function `(theta_0, adam) -> (losses, phi, adam)` with theta_0 `[B, ...]`, and its arguments.
    It reads phi from variables, which are further inputs of the compiled module; the minibatches
    are constants in it.
  """
  optimizer = ours.optimizer_of(case)
  phi = optimizer.trainable_variables
  adam = optimizers.Adam(case.learning_rate)

  @tf.function(autograph=False, jit_compile=True)
  def step(theta, adam_state):
    problem = ours.problem(theta, tf.constant(case.images), tf.constant(case.labels))
    carry, _ = unroll.start(problem, optimizer, _seeds(theta))
    with tf.GradientTape() as tape:
      _, found = unroll.unroll(problem, optimizer, carry, case.num_steps)
      meta_loss = tf.reduce_sum(tf.reduce_mean(found, axis=1))
    gradients = trainer.with_tasks_axis(tape.gradient(meta_loss, phi))
    updates, adam_state = adam(gradients, adam_state)
    return found, [v + update[0] for v, update in zip(phi, updates.values())], adam_state

  random = np.random.default_rng(1)
  noise = {n: random.standard_normal([num_tasks, *v.shape]) for n, v in case.theta.items()}
  theta = {name: case.theta[name] + THETA_SCALE * x for name, x in noise.items()}
  theta = {name: tf.constant(value, tf.float32) for name, value in theta.items()}
  adam_state = adam.initial_state(trainer.with_tasks_axis(phi))
  return step, (theta, adam_state)


def losses(case: case_lib.Case, theta: dict[str, tf.Tensor]) -> np.ndarray:
  """The losses of that meta-step, `[T, B]`: without a gradient it needs little memory."""
  optimizer = ours.optimizer_of(case)

  @tf.function(autograph=False, jit_compile=True)
  def forward(theta):
    problem = ours.problem(theta, tf.constant(case.images), tf.constant(case.labels))
    carry, _ = unroll.start(problem, optimizer, _seeds(theta))
    return unroll.unroll(problem, optimizer, carry, case.num_steps)[1]

  return forward(theta).numpy()


def _seeds(theta: dict[str, tf.Tensor]) -> np.ndarray:
  """An instance each, by its number."""
  num_tasks = next(iter(theta.values())).shape[0]
  return np.stack([np.arange(num_tasks), np.zeros(num_tasks)], axis=1).astype(np.int32)


def stablehlo(function: Any, arguments: tuple) -> tuple[str, list[np.ndarray]]:
  """Returns the module's text, without source locations, and its inputs in their order."""
  text = function.experimental_get_compiler_ir(*arguments)(stage="stablehlo")
  text = "\n".join(line for line in text.splitlines() if not line.startswith("#loc"))
  text = re.sub(r' loc\((?:"[^"]*"(?:\([^)]*\))?|#loc\d*|unknown)\)', "", text)
  concrete = function.get_concrete_function(*arguments)
  variables = {id(v.handle): v for v in concrete.graph.variables}
  captured = [variables.get(id(x), x).numpy() for x in concrete.captured_inputs]
  return text, [x.numpy() for x in tf.nest.flatten(arguments)] + captured


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(int, "num_tasks", 1, "B, the instances side by side")
  flags.add(int, "num_steps", 20, "optimization steps a meta-step")
  flags.add(int, "batch_size", 128, "examples a minibatch")
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  default = os.path.join(outputs.RUNS, "meta_step")
  flags.add(paths.Written, "out", default, "files to write, without their endings")
  flags.parse(argv)
  for name in ("num_tasks", "num_steps", "batch_size"):
    if getattr(flags, name) < 1:
      raise experiment_flags.UsageError(f"--{name} must be at least 1, got {getattr(flags, name)}.")
  data = problems.load("mnist", "train", flags.data)
  case = ours.make_case(data.images, data.labels, flags.num_steps, flags.batch_size)
  function, arguments = meta_step(case, flags.num_tasks)
  text, inputs = stablehlo(function, arguments)
  expected = losses(case, arguments[0])
  os.makedirs(os.path.dirname(flags.out) or ".", exist_ok=True)
  with open(f"{flags.out}.mlir", "w", encoding="utf-8") as file:
    file.write(text)
  np.savez(
    f"{flags.out}.npz", losses=expected, **{f"input_{i:03}": x for i, x in enumerate(inputs)}
  )
  print(f"{flags.out}.mlir: {len(text.splitlines())} lines, {len(inputs)} inputs, {data.source}")
  print(f"mean loss by TensorFlow: {expected.mean():.6f}")
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
