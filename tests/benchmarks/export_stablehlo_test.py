"""Tests of the exported meta-step: one module for XLA, without host call-backs."""

import re
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import export_stablehlo
from benchmarks.implementations import ours
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.optimizers import CoordinatewiseLSTM
from l2l_tf.problems.base import make_seeds
from tests import sources
from tests.benchmarks import against_rivals_test


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
  """What the program writes for two instances, three steps and real digits, without the ending."""
  path = str(tmp_path_factory.mktemp("exported") / "meta_step")
  argv = ["--num_tasks=2", "--num_steps=3", "--batch_size=4", "--data=bundled", f"--out={path}"]
  assert export_stablehlo.main(["export_stablehlo", *argv]) == 0
  return path


def test_the_text_is_one_module_with_the_inputs_that_go_with_it(exported):
  with open(f"{exported}.mlir", encoding="utf-8") as file:
    text = file.read()
  (signature,) = re.findall(r"func.func @main\((.*?)\) -> \((.*?)\) \{", text)
  parameters, results = (re.findall(r"tensor<([^>]*)>", part) for part in signature)
  with np.load(f"{exported}.npz") as arrays:
    inputs = [arrays[name] for name in sorted(arrays) if name != "losses"]
    losses = arrays["losses"]
  kinds = {"float32": "f32", "int32": "i32"}
  assert parameters == ["x".join([*map(str, x.shape), kinds[str(x.dtype)]]) for x in inputs]
  assert results[0] == "3x2xf32" and losses.shape == (3, 2)
  assert "stablehlo.while" in text and "loc(" not in text and "/" not in text
  assert not re.search(r"callback|infeed|outfeed|send|recv", text)


def test_the_losses_are_those_of_the_unroll(exported):
  """Instance 0 by hand: theta_0 of the file, without XLA."""
  with np.load(f"{exported}.npz") as arrays:
    inputs = [arrays[name] for name in sorted(arrays) if name != "losses"]
    losses = arrays["losses"]
  data = problems.load("mnist", "train", "bundled")
  case = ours.make_case(data.images, data.labels, num_steps=3, batch_size=4)
  names = sorted(case.theta)  # as `tf.nest` orders them
  theta = dict(zip(names, inputs))
  case = case._replace(theta={name: theta[name][0] for name in case.theta})
  expected, _ = ours.Ours(case).losses_and_gradients()
  np.testing.assert_allclose(losses[:, 0], expected, rtol=1e-5)
  assert not np.allclose(losses[:, 0], losses[:, 1], rtol=1e-5)


@pytest.mark.skipif(against_rivals_test.ABSENT, reason="needs the extra `rivals`, or RIVALS_PYTHON")
def test_jax_runs_it_to_the_same_losses(exported):
  command = [
    against_rivals_test.PYTHON,
    "-m",
    "benchmarks.implementations.run_stablehlo",
    exported,
    "1",
  ]
  done = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert "losses differ by at most" in done.stdout and "median" in done.stdout


def test_the_unroll_compiles_whole():
  """XLA takes an unroll with its gradient as one program, which computes what the graph does."""
  problem, optimizer = problems.quadratic(4), CoordinatewiseLSTM((3, 2))
  # From one start, as XLA's random numbers are not those of the graph.
  carry, _ = unroll.start(problem, optimizer, make_seeds(3, count=2))

  def meta_gradient():
    with tf.GradientTape() as tape:
      _, losses = unroll.unroll(problem, optimizer, carry, 5)
      total = tf.reduce_sum(losses)
    return losses, tape.gradient(total, optimizer.trainable_variables)

  graph = tf.function(meta_gradient)()
  compiled = tf.function(meta_gradient, jit_compile=True)()
  for a, b in zip(tf.nest.flatten(compiled), tf.nest.flatten(graph), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())
