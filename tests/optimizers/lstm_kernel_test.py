"""Tests of the compiled cell: against TensorFlow's twin, and where it must not be used."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import unroll
from l2l_tf.config.training import Training
from l2l_tf.optimizers import lstm
from l2l_tf.optimizers import lstm_kernel
from l2l_tf.problems.quadratics import bowl
from l2l_tf.storage import provenance
from l2l_tf.training.meta_trainer import MetaTrainer
from tests import programs
from tests import tiny_training

SHAPES = [(2, 20, 4000), (20, 20, 9001), (3, 5, 7), (7, 33, 500), (1, 1, 1), (2, 3, 0), (0, 4, 9)]


def tensors(features, units, n, dtype=tf.float32):
  """x, h, c, W, b and the gradients of h' and c'."""
  rng = np.random.default_rng(0)
  shapes = [(features, n), *[(units, n)] * 2, (features + units, 4 * units), (4 * units,)]
  return [tf.constant(rng.normal(size=s), dtype) for s in [*shapes, (units, n), (units, n)]]


def everything(cell, x, h, c, w, b, d_hidden, d_cell):
  """h', c' and the gradients behind them."""
  with tf.GradientTape() as tape:
    tape.watch([x, h, c, w, b])
    following = cell(x, h, c, w, b)
  return [
    *following,
    *tape.gradient(following, [x, h, c, w, b], output_gradients=[d_hidden, d_cell]),
  ]


def used(x, h, c, w, b):
  """What the optimizers call."""
  return tuple(lstm.lstm_cell(x, lstm.LSTMState(h, c), w, b))


def operations(function, *arguments):
  return {op.type for op in function.get_concrete_function(*arguments).graph.get_operations()}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_computes_what_its_twin_does(kernel, shape):
  """As close to float64 as TensorFlow's float32 is."""
  expected = everything(lstm.plain_cell, *tensors(*shape, dtype=tf.float64))
  for found, exact in zip(everything(used, *tensors(*shape)), expected, strict=True):
    assert found.dtype == tf.float32 and found.shape == exact.shape
    scale = np.max(np.abs(exact), initial=1e-3)
    np.testing.assert_allclose(found, exact, rtol=0, atol=4e-6 * scale)


@pytest.mark.slow
def test_whoever_computes_first_the_sums_are_the_same(kernel):
  """Of three chunks of coordinates, which threads take as they come."""
  arguments = tensors(20, 20, 12000)
  first = everything(used, *arguments)
  for _ in range(20):
    for one, other in zip(everything(used, *arguments), first, strict=True):
      np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("units", [3, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_coordinate(kernel, units, value):
  """And is what the twin makes of it; three units are padded to four."""
  x, *rest = tensors(2, units, 600)
  broken = tf.tensor_scatter_nd_update(x, [[0, 17]], [value])
  found, whole = (everything(used, one, *rest)[:5] for one in (broken, x))
  twin = everything(lstm.plain_cell, broken, *rest)[:5]
  others = np.arange(600) != 17
  for one, other, expected in zip(found, whole, twin, strict=True):
    np.testing.assert_array_equal(one.numpy()[:, others], other.numpy()[:, others])
    np.testing.assert_allclose(one.numpy()[:, 17], expected.numpy()[:, 17], atol=1e-6)


@pytest.mark.slow
def test_second_derivatives_are_those_of_the_twin(kernel):
  arguments = tensors(3, 5, 9)[:5]

  def second(cell):
    with tf.GradientTape() as tape:
      tape.watch(arguments)
      with tf.GradientTape() as inner:
        inner.watch(arguments)
        value = tf.reduce_sum(tf.stack(cell(*arguments)) ** 3)
      total = sum(tf.reduce_sum(tf.sin(x)) for x in inner.gradient(value, arguments))
    return tape.gradient(total, arguments)

  for found, expected in zip(second(used), second(lstm.plain_cell), strict=True):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.max(np.abs(expected)))


@pytest.mark.slow
def test_where_it_is_used(kernel, monkeypatch):
  """Not for other types, many units, beside a GPU, and in what XLA compiles, loops included."""
  arguments = tensors(2, 3, 8)[:5]
  double = tensors(2, 3, 8, tf.float64)[:5]

  def loop(x, h, c, w, b):
    step = lambda h, c: used(x, h, c, w, b)  # noqa: E731
    return tf.while_loop(lambda *_: True, step, (h, c), maximum_iterations=3)

  cell = {"L2lLstmCell"}
  assert cell <= operations(tf.function(used), *arguments)
  assert not cell & operations(tf.function(used), *double)
  assert not cell & operations(tf.function(used), *tensors(2, lstm_kernel.MOST + 1, 8)[:5])
  compiled = tf.function(loop, jit_compile=True)
  for found, expected in zip(compiled(*arguments), loop(*arguments), strict=True):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
  monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
  assert not cell & operations(tf.function(used), *arguments)
  assert lstm_kernel.version() is None


@pytest.mark.slow
def test_shapes_that_do_not_go_together_are_an_error(kernel):
  x, h, c, w, b, *_ = tensors(2, 3, 8)
  with pytest.raises(
    tf.errors.InvalidArgumentError, match=r"must go together, got \[2,8\].*\[13\]"
  ):
    lstm_kernel.cell(x, h, c, w, tf.zeros([13]))
  with pytest.raises(tf.errors.InvalidArgumentError, match=r"of the shape of h, got \[3,7\]"):
    lstm_kernel.gradient(x, h, c, w, b, h[:, :7], c)


def meta_steps():
  """Losses of two meta-steps on bowls of 5,000 coordinates, which are two blocks, and phi."""
  optimizer = optimizers.CoordinatewiseLSTM((20, 20))
  training = Training(num_steps=8, unroll_length=4, episodes_per_epoch=1)
  trainer = MetaTrainer(bowl(5000), optimizer, training)
  losses = [trainer.step().loss for _ in range(2)]
  curves = unroll.rollout(bowl(5000), optimizer, tf.constant([[3, 4]]), 8)
  return [losses, curves, *(v.numpy() for v in optimizer.trainable_variables)]


@pytest.mark.slow
def test_meta_training_goes_the_same_way(kernel, monkeypatch):
  calls = []
  for name in ("cell", "gradient"):
    compiled = getattr(lstm_kernel, name)
    spy = lambda *args, name=name, compiled=compiled: calls.append(name) or compiled(*args)  # noqa: E731
    monkeypatch.setattr(lstm_kernel, name, spy)
  with_it = meta_steps()
  assert set(calls) == {"cell", "gradient"}
  calls.clear()
  monkeypatch.setattr(lstm_kernel, "_loaded", None)
  for found, expected in zip(with_it, meta_steps(), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
  assert not calls


@pytest.mark.slow
def test_results_say_that_it_was_at_hand(kernel, monkeypatch):
  """By the source; finished parts of an evaluation are known by it, too."""
  said = provenance.versions()["lstm_cell"]
  assert re.fullmatch("compiled [0-9a-f]{12}", said)
  assert provenance.libraries()["lstm_cell"] == said
  monkeypatch.setattr(lstm_kernel, "_loaded", None)
  assert "lstm_cell" not in provenance.versions()


@pytest.mark.slow
def test_the_program_compiles_once(kernel, tmp_path):
  out = _run(tmp_path, "compile").stdout
  assert str(lstm_kernel.path()) in out and "compiled" in out and "Compiling" not in out


@pytest.mark.slow
def test_other_programs_use_it_without_being_told(kernel, tmp_path):
  _run(tmp_path, "train", *tiny_training.BOWL)
  (config,) = tmp_path.glob("runs/*/config.json")
  assert f'"lstm_cell": "{lstm_kernel.version()}"' in config.read_text()


@pytest.mark.slow
def test_a_damaged_file_stops_no_program(tmp_path, monkeypatch):
  monkeypatch.setenv(lstm_kernel.FOLDER, str(tmp_path))
  lstm_kernel.path().write_text("half of it")
  run = _run(tmp_path, "diagnose", "--optimizer=quadratic_lstm", "--problem=bowl", "--num_steps=2")
  assert "cannot be loaded, remove it" in run.stderr and "goes on without" in run.stderr


def _run(folder, program, *words):
  """Runs a program in `folder`."""
  command = [sys.executable, programs.ROOT / "bin" / f"{program}.py", *words]
  environment = {**os.environ, "PYTHONPATH": str(programs.ROOT)}
  return subprocess.run(
    command, cwd=folder, env=environment, check=True, capture_output=True, text=True
  )


@pytest.fixture(name="folder")
def _folder(tmp_path, monkeypatch):
  """Where a compiled cell would be; none is loaded."""
  monkeypatch.setattr(lstm_kernel, "_loaded", None)
  monkeypatch.setenv(lstm_kernel.FOLDER, str(tmp_path / "cells"))
  return tmp_path / "cells"


def test_without_it_nothing_is_loaded(folder):
  assert not lstm_kernel.load() and lstm_kernel.version() is None
  assert not lstm_kernel.serves(tf.zeros([2, 3]), 4)
  assert not folder.exists()


def test_the_folder(folder, monkeypatch):
  """The variable's, else the cache's; never one that depends on where one is."""
  assert lstm_kernel.path().parent == folder
  monkeypatch.delenv(lstm_kernel.FOLDER)
  monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
  assert str(lstm_kernel.path().parent) == "/caches/l2l_tf"
  monkeypatch.setenv("XDG_CACHE_HOME", "caches")
  monkeypatch.setenv("HOME", "/home/nobody")
  assert str(lstm_kernel.path().parent) == "/home/nobody/.cache/l2l_tf"
  for nowhere in ("", "cells"):
    monkeypatch.setenv(lstm_kernel.FOLDER, nowhere)
    assert lstm_kernel.path() is None and not lstm_kernel.load()
    with pytest.raises(lstm_kernel.KernelError, match="no folder.*let L2L_TF_KERNEL name one"):
      lstm_kernel.build()


def test_a_missing_compiler_is_named(folder, monkeypatch):
  monkeypatch.setenv("CXX", "nobodys-compiler -m64")
  with pytest.raises(lstm_kernel.KernelError, match="no compiler 'nobodys-compiler': install g++"):
    lstm_kernel.build()
  assert not folder.exists()


def test_what_a_compiler_says_is_shown(folder, tmp_path, monkeypatch):
  compiler = tmp_path / "compiler"
  compiler.write_text("#!/bin/sh\necho no such header, $1 >&2\nexit 1\n")
  compiler.chmod(0o755)
  monkeypatch.setenv("CXX", f"{compiler} -m64")
  with pytest.raises(
    lstm_kernel.KernelError, match="-m64 cannot compile .*:\nno such header, -m64"
  ):
    lstm_kernel.build()
  compiler.write_text("")  # is no program
  with pytest.raises(lstm_kernel.KernelError, match="compiler cannot be started"):
    lstm_kernel.build()
  assert list(folder.iterdir()) == []


def test_no_place_for_the_file_is_an_error_that_says_so(folder, monkeypatch):
  folder.write_text("mine")
  monkeypatch.setenv("CXX", "true")
  assert not lstm_kernel.load()
  with pytest.raises(lstm_kernel.KernelError, match="cannot be written.*Let L2L_TF_KERNEL name"):
    lstm_kernel.build()


def test_a_damaged_file_is_an_error_that_names_it(folder):
  path = lstm_kernel.path()
  folder.mkdir()
  path.write_text("half of it")
  assert lstm_kernel.build() == path  # what is there is not replaced
  with pytest.raises(lstm_kernel.KernelError, match=f"{path} cannot be loaded, remove it"):
    lstm_kernel.load()


@pytest.mark.slow
def test_what_computes_something_else_is_removed(folder, kernel, monkeypatch, capsys):
  work = programs.work("compile")
  monkeypatch.setenv(lstm_kernel.FOLDER, str(folder))
  folder.mkdir()
  lstm_kernel.path().write_text("of some compiler")
  wrong = lambda *args: [2 * x for x in lstm.plain_cell(*args)]  # noqa: E731
  monkeypatch.setattr(lstm, "compiled_cell", wrong)
  with pytest.raises(lstm_kernel.KernelError, match="something else.* 1 relative, and was removed"):
    work.run()
  assert list(folder.iterdir()) == []
