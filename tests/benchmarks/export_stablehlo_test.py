"""Tests of exported programs: each one module for XLA, without host call-backs."""

import json
import os
import re
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import export_stablehlo
from benchmarks.implementations import matrix_products
from benchmarks.implementations import ours
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.optimizers import CoordinatewiseLSTM
from l2l_tf.problems import datasets
from l2l_tf.problems.base import make_seeds
from tests import sources
from tests.benchmarks import against_rivals_test

pytestmark = pytest.mark.slow

FLAGS = ["--num_tasks=2", "--num_steps=3", "--batch_size=4", "--pooling=7", "--data=bundled"]


@pytest.fixture(scope="module", params=export_stablehlo.PROGRAMS)
def exported(request, tmp_path_factory):
  """What the program writes for two instances, three steps and real digits, without the ending."""
  path = str(tmp_path_factory.mktemp("exported") / request.param)
  argv = [f"--program={request.param}", *FLAGS, f"--out={path}"]
  assert export_stablehlo.main(["export_stablehlo", *argv]) == 0
  return path


def test_the_text_is_one_module_with_the_inputs_that_go_with_it(exported):
  with open(f"{exported}.mlir", encoding="utf-8") as file:
    text = file.read()
  (signature,) = re.findall(r"func.func @main\((.*?)\) -> (.*?) \{", text)
  parameters, results = (re.findall(r"tensor<([^>]*)>", part) for part in signature)
  with np.load(f"{exported}.npz") as arrays:
    inputs = [arrays[name] for name in sorted(arrays) if name != "losses"]
    losses = arrays["losses"]
  kinds = {"float32": "f32", "int32": "i32"}
  assert parameters == ["x".join([*map(str, x.shape), kinds[str(x.dtype)]]) for x in inputs]
  assert results[0] == "3x2xf32" and losses.shape == (3, 2)
  assert "stablehlo.while" in text and "loc(" not in text and "/" not in text
  assert not re.search(r"callback|infeed|outfeed|send|recv", text)
  assert not re.search(r"= mhlo\.|= chlo\.", text)  # which not every compiler takes


def test_inputs_are_not_in_the_text_a_second_time(exported):
  """As constants they would make it long, and what else is put in would change nothing."""
  with open(f"{exported}.mlir", encoding="utf-8") as file:
    assert max(map(len, file)) < 5000


def test_the_losses_are_those_of_the_unroll(exported):
  """Each instance by hand: theta_0 and phi of the file, without XLA."""
  with np.load(f"{exported}.npz") as arrays:
    inputs = {name.partition(":")[2]: arrays[name] for name in arrays if name != "losses"}
    losses = arrays["losses"]
  data = datasets.pool(problems.load("mnist", "train", "bundled"), 7)
  case = ours.make_case(data.images, data.labels, num_steps=3, batch_size=4)
  for b in range(2):
    theta = {name: inputs[f"theta:{name}"][b] for name in case.theta}
    phi = {name: inputs[f"phi:{name}"] for name in case.phi}
    phi = {name: x[b] if x.ndim > case.phi[name].ndim else x for name, x in phi.items()}
    expected, _ = ours.Ours(case._replace(theta=theta, phi=phi)).losses_and_gradients()
    np.testing.assert_allclose(losses[:, b], expected, rtol=1e-5)
  assert not np.allclose(losses[:, 0], losses[:, 1], rtol=1e-5)


@pytest.mark.skipif(against_rivals_test.ABSENT, reason="needs the extra `rivals`, or RIVALS_PYTHON")
def test_jax_runs_it_beside_its_own(exported, tmp_path):
  out = str(tmp_path / "rows.json")
  module = "benchmarks.implementations.run_stablehlo"
  command = [against_rivals_test.PYTHON, "-m", module, exported, "--repeats=2", f"--out={out}"]
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  done = subprocess.run(
    command, cwd=sources.ROOT, env=environment, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  again = subprocess.run(
    command, cwd=sources.ROOT, env=environment, capture_output=True, text=True, check=False
  )
  assert again.returncode == 2 and "rows.json is there already" in again.stderr
  with open(out, encoding="utf-8") as file:
    (row,) = json.load(file)["rows"]
  assert max(row["ours_difference"], row["jax_difference"]) < 1e-5
  for key in ("ours_median_s", "jax_median_s", "products_s", "states_s", "ours_temporary_mib"):
    assert row[key] > 0


def test_the_operations_of_a_meta_step_are_those_of_the_floor(exported):
  """Those of f come on top of them."""
  pytest.importorskip("jax")
  from benchmarks.implementations import run_stablehlo

  what = run_stablehlo.read(exported)
  flops, size = run_stablehlo.least(what)
  case = run_stablehlo._case(what)
  own = 6 * 4 * 2 * 3 * 550  # of f: minibatch, instances, steps, coordinates
  if what.about["program"] == "meta_step":
    assert flops == 2 * matrix_products.flops(case._replace(theta=_first(case.theta))) + own
    assert size == 2 * 3 * 550 * 80 * 20
  else:
    assert flops == 2 * 3 * 550 * 2 * (80 * (22 + 40) + 20) + own
    assert size == 2 * 3 * 550 * 80 * 8


def _first(values):
  return {name: x[0] for name, x in values.items()}


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
