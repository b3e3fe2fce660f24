"""Tests of evolution strategies' exported episodes, and of training by them with JAX alone."""

import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import export_evolution
from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.problems import base
from l2l_tf.training import evolution
from tests import sources
from tests.benchmarks import against_rivals_test

FLAGS = ["--data=bundled", "--nopictures", "--num_instances=16", "--num_starts=2"]


def _export(*flags):
  return export_evolution.main(["export_evolution", *FLAGS, *flags])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
  """A folder with the modules of two problems, one of them of images."""
  path = str(tmp_path_factory.mktemp("exported"))
  names = "teacher_small,digits_linear"
  assert _export("--num_images=50", f"--problems={names}", f"--out={path}") == 0
  return path


def test_an_episode_is_that_of_the_trainer():
  """As many starts as instances: the objectives are those of `evolution.objectives`."""
  optimizer, seeds = optimizers.General(hidden=(4,)), tf.constant(base.make_seeds(3, count=4))
  phi, _ = evolution.perturb(optimizer.trainable_variables, seeds, 0.1)
  problem, length = problems.quadratic(3), tf.constant(7)

  @tf.function(jit_compile=True)  # whose random numbers are not those of the graph
  def trainers():
    carry = evolution.start(problem, optimizer, seeds)
    return evolution.objectives(problem, optimizer, phi, carry, length, length)[1:]

  run = export_evolution.episode(problem, optimizer, num_instances=8)
  found = run(seeds, tf.concat([seeds, seeds], 0), phi, length)
  for ours, theirs in zip(found, trainers(), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_data_are_small_in_the_file_and_exact_where_they_are_pixels(exported):
  with open(os.path.join(exported, "modules.json"), encoding="utf-8") as file:
    modules = json.load(file)["modules"]
  assert list(modules) == ["teacher_small", "digits_linear"]
  assert modules["digits_linear"]["instances"] == 16
  with np.load(os.path.join(exported, "data.npz")) as data:
    kept = {name: data[name] for name in data}
  assert {key for about in modules.values() for key in about["captured"]} == set(kept)
  pixels = export_evolution.Data()
  images = np.float32(np.arange(256)) / np.float32(255)
  name = pixels.add(np.resize(images, [500, 300]))
  assert pixels.arrays[name].dtype == np.uint8
  assert pixels.arrays[pixels.add(np.resize(images - 1, [500, 300]))].dtype == np.float16


@pytest.mark.parametrize(
  "flag, message",
  [
    ("--problems=mnist", "--problems must be among digits_relu, .*, got mnist"),
    ("--num_images=0", "--num_images must be at least 1, got 0"),
    ("--num_instances=24", r"a multiple of 8 \* num_starts = 16, got 24"),
  ],
)
def test_bad_flags_are_refused(tmp_path, flag, message):
  with pytest.raises(experiment_flags.UsageError, match=message):
    _export(flag, f"--out={tmp_path}")


@pytest.mark.slow
@pytest.mark.skipif(against_rivals_test.ABSENT, reason="needs the extra `rivals`, or RIVALS_PYTHON")
def test_jax_trains_by_them(exported, tmp_path):
  out = str(tmp_path / "phi")
  command = [against_rivals_test.PYTHON, "benchmarks/implementations/evolve.py", exported, out, "5"]
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  done = subprocess.run(
    command, cwd=sources.ROOT, env=environment, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  with np.load(f"{out}.npz") as found:
    assert found["phi"].shape == found["average"].shape == (2, 1781)
    assert np.all(np.isfinite(found["phi"])) and len(found["log"]) > 1
    assert np.all(np.any(found["phi"] != 0, axis=1))
