"""Tests of evolution strategies' exported episodes, and of training by them with JAX alone."""

import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import export_evolution
from benchmarks import import_evolution
from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.problems import base
from l2l_tf.storage import optimizer_files
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


@pytest.mark.slow
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


@pytest.mark.slow
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
def test_a_trained_lstm_is_gone_on_from(tmp_path):
  out = str(tmp_path / "modules")
  flags = ["--num_images=50", "--problems=teacher_small", f"--out={out}"]
  assert _export("--init_from=cifar10_lstm", *flags) == 0
  optimizer, before = optimizer_files.load_optimizer(pretrained.find("cifar10_lstm"))
  flat = np.concatenate([np.ravel(v) for v in optimizer.trainable_variables])
  with open(os.path.join(out, "modules.json"), encoding="utf-8") as file:
    document = json.load(file)
  assert document["optimizer"] == optimizer.config()
  assert document["phi"] == [v.shape.as_list() for v in optimizer.trainable_variables]
  assert document["init_from"]["experiment"] == before["experiment"]
  with np.load(os.path.join(out, "data.npz")) as data:
    np.testing.assert_array_equal(data[document["start"]], flat)


def test_phi_begins_as_it_was():
  pytest.importorskip("jax")
  from benchmarks.implementations import evolve

  start = np.arange(9, dtype=np.float32)
  document = {"num_starts": 2, "phi": [[2, 3], [3]], "start": start}
  np.testing.assert_array_equal(evolve.Evolution([], document, 1, 0.1).phi, [start, start])


@pytest.mark.slow
def test_an_optimizer_that_can_have_but_one_phi_is_refused(tmp_path):
  message = "that can have a phi for each instance, got a ntm_bfgs"
  with pytest.raises(experiment_flags.UsageError, match=message):
    _export("--init_from=quadratic_ntm_bfgs", f"--out={tmp_path}")


@pytest.mark.slow
@pytest.mark.skipif(against_rivals_test.ABSENT, reason="needs the extra `rivals`, or RIVALS_PYTHON")
def test_jax_trains_by_them(exported, tmp_path):
  out = str(tmp_path / "phi")
  command = [against_rivals_test.PYTHON, "benchmarks/implementations/evolve.py", exported, out, "5"]
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
  done = subprocess.run(
    command, cwd=sources.ROOT, env=environment, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  with np.load(f"{out}.npz") as found:
    assert found["phi"].shape == found["average"].shape == (2, 1781)
    assert np.all(np.isfinite(found["phi"])) and len(found["log"]) > 1
    assert np.all(np.any(found["phi"] != 0, axis=1))
  again = subprocess.run(command, cwd=sources.ROOT, env=environment, capture_output=True, text=True)
  assert again.returncode == 2 and "phi.npz is there already" in again.stderr
  assert _import(f"--phi={out}.npz", f"--out={tmp_path}/general") == 0


def _import(*flags):
  return import_evolution.main(["import_evolution", *flags])


@pytest.mark.parametrize("make", [optimizers.General, optimizers.CoordinatewiseLSTM])
def test_what_was_trained_becomes_an_optimizer(make, tmp_path):
  """As a program without TensorFlow leaves it; JAX is not needed to take it up."""
  count = sum(v.shape.num_elements() for v in make().trainable_variables)
  phi = np.arange(2 * count, dtype=np.float32).reshape(2, count)
  about = {
    **{"phases": [[0.5, 30, 500], [1.0, 50, 700]], "sigma": 0.03, "rates": [1e-3, 1e-4]},
    **{"seed": 4, "num_pairs": 8, "num_images": 5, "num_starts": 2, "seconds": 9.0},
    **{"device": "a", "data": "b", "data_sha256": "c", "versions": {}},
  }
  if make is not optimizers.General:  # whose files did not tell, once
    about |= {"optimizer": make().config(), "init_from": {"epoch": 3}}
  log = np.array([[0, 30, 1.0, 2.0], [1, 50, 3.0, 6.0]])
  path, out = tmp_path / "phi.npz", str(tmp_path / "out")
  np.savez(path, phi=phi, average=phi + 1, log=log, about=json.dumps(about))
  assert _import(f"--phi={path}", "--index=1", f"--out={out}") == 0
  optimizer, kept = optimizer_files.load_optimizer(out)
  assert type(optimizer) is make and kept.get("init_from") == about.get("init_from")
  flat = np.concatenate([np.ravel(v) for v in optimizer.trainable_variables])
  np.testing.assert_array_equal(flat, phi[1] + 1)
  training = kept["experiment"]["training"]
  assert (training["seed"], training["num_steps"], training["shortest"]) == (5, 700, 30)
  assert kept["history"] == [{"meta_steps": 2, "mean_length": 40, "objective": 4.0}]
  with pytest.raises(experiment_flags.UsageError, match="has an optimizer; name another --out"):
    _import(f"--phi={path}", f"--out={out}")
  np.savez(path, phi=phi)
  with pytest.raises(experiment_flags.UsageError, match="that evolve.py has written, got .*about"):
    _import(f"--phi={path}", f"--out={tmp_path}/other")
