"""Tests of the benchmarks that use `measuring`, each at a tiny size."""

import json
import os
import re

import keras
import numpy as np
import pytest

from benchmarks import coordinates
from benchmarks import double_backprop
from benchmarks import exact_line_search
from benchmarks import flat_memory
from benchmarks import forward_step
from benchmarks import instances
from benchmarks import long_unrolls
from benchmarks import measuring
from benchmarks import meta_step
from benchmarks import state_dtype
from benchmarks import tensorboard_cost
from l2l_tf.cli import experiment_flags
from l2l_tf.config import presets
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import lstm
from l2l_tf.optimizers import lstm_kernel


@pytest.fixture
def one_block(monkeypatch):
  """All coordinates in one: each block is traced anew."""
  monkeypatch.setattr(blocks, "SIZE", 2**20)


@pytest.fixture
def rows(tmp_path, monkeypatch, one_block):
  """Runs a benchmark, all in this process; returns the rows it writes."""
  monkeypatch.setattr(measuring, "in_own_process", lambda function, *args: function(*args))

  def run(module, *args):
    out = tmp_path / "out.json"
    assert module.main([module.__name__, f"--out={out}", *args]) == 0
    with open(out, encoding="utf-8") as file:
      written = json.load(file)
    about.update(written)
    return written["rows"]

  about = run.about = {}
  return run


@pytest.mark.slow
def test_flat_memory(rows):
  found = rows(flat_memory, "--data=bundled", "--meta_steps=2", "--every=1", "--unroll_length=2")
  assert [row["meta_steps"] for row in found] == [1, 2]
  assert all(row["peak_mib"] >= row["resident_mib"] for row in found)


@pytest.mark.slow
def test_coordinates(rows):
  """The states are 4 times 20 numbers of 4 bytes a coordinate, h and c of two layers."""
  args = ["--inference=10,100", "--meta_training=10", "--unroll_length=2", "--repeats=1"]
  found = rows(coordinates, *args)
  assert [(row["what"], row["n"]) for row in found] == [
    ("inference", 10),
    ("inference", 100),
    ("meta-training", 10),
  ]
  for row in found:
    assert row["state_mib"] * measuring.MIB == 320 * row["n"] and row["step_s"] > 0


@pytest.mark.slow
def test_instances(rows):
  found = rows(instances, "--instances=1,3", "--num_steps=2", "--repeats=1", "--data=bundled")
  assert [row["instances"] for row in found] == [1, 3, 1, 3]
  for row in found:
    assert row["instance_s"] * row["instances"] == pytest.approx(row["median_s"])


@pytest.mark.slow
def test_forward_step(rows, kernel, monkeypatch):
  monkeypatch.setattr(os, "sched_setaffinity", lambda *args: None)  # of this process, for good
  monkeypatch.setattr(lstm_kernel, "_loaded", None)  # until the benchmark asks for it
  found = rows(forward_step, "--threads=1", "--rounds=2", "--num_steps=2", "--data=bundled")
  floors = ["products_and_tanh", "matrix_products"]
  assert [row["what"] for row in found] == [
    *["unroll", *forward_step.WAYS, *floors, *forward_step.BY_KERNEL]
  ]
  (floor,) = (row for row in found if row["what"] == forward_step.FLOOR)
  assert floor["over_floor"] == 1.0 and all(row["count"] == 2 for row in found)
  wrong = lambda *args: [lstm.LSTMState(h + 1e-3, c) for h, c in forward_step.plain(*args)]  # noqa: E731
  monkeypatch.setitem(forward_step.WAYS, "wrong", (wrong, False))
  with pytest.raises(ValueError, match=r"States of wrong differ from ours by 0\.00"):
    forward_step.check()


@pytest.mark.slow
def test_long_unrolls(rows):
  args = ["--unroll_lengths=1,2", "--segment_lengths=1", "--repeats=1", "--data=bundled"]
  found = rows(long_unrolls, *args)
  kinds = [(row["unroll_length"], row["segment_length"]) for row in found]
  assert kinds == [(1, 0), (2, 0), (2, 1)]
  assert found[0]["step_over_first"] == 1.0


BAD = [
  (long_unrolls, "--segment_lengths=3", r"\(20, 80\) must be multiples of --segment_lengths=\(3,"),
  (flat_memory, "--unroll_length=30", "--unroll_length must divide 100, got 30"),
  (meta_step, "--data=attic", "auto|tfds|bundled"),
  (meta_step, "--repeats=0", "--repeats must be at least 1, got 0"),
  (state_dtype, "--optimizer=nobody", "nobody.*pretrained: .*mnist_lstm"),
  (forward_step, "--threads=99", r"must be of 1..\d+, the cores .*; got \(99,\)"),
  (exact_line_search, "--dimensions=0", "must be at least 1, got 2000, 0"),
]


@pytest.mark.parametrize("module, flag, message", BAD, ids=lambda x: getattr(x, "__name__", x))
def test_bad_flags(module, flag, message):
  with pytest.raises(experiment_flags.UsageError, match=message):
    module.main([module.__name__, flag])


@pytest.mark.slow
def test_a_meta_step(capsys, one_block):
  assert meta_step.main(["meta_step", "--data=bundled", "--repeats=1"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert "5000 examples" in lines[0]
  seconds, peak = (float(re.search(r"[\d.]+", line)[0]) for line in lines[2:])
  assert 0 < seconds < 60 and peak > 100


@pytest.mark.slow
def test_state_dtype(rows):
  args = ["--data=bundled", "--num_runs=3", "--num_steps=12"]
  found = rows(state_dtype, *args)
  assert [(row["dtype"], row["bytes"]) for row in found] == [("float32", 320), ("bfloat16", 160)]
  exact, rounded = (row["final_loss"]["mean"] for row in found)
  assert exact != rounded and abs(rounded / exact - 1) < 0.05
  assert rows.about["ratio"]["ratio"] == pytest.approx(rounded / exact, rel=1e-3)


@pytest.mark.parametrize("method", exact_line_search.METHODS.values())
def test_exact_line_search_ends_after_n_steps(method):
  """Both do on a convex quadratic, and both start with steepest descent (Nocedal and Wright)."""
  rng = np.random.default_rng(0)
  w, y, theta = np.eye(4) + 0.2 * rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
  losses = exact_line_search.run(method, w, y, theta, 4)
  gradient, hessian = 2 * w.T @ (w @ theta - y), 2 * w.T @ w
  decrease = (gradient @ gradient) ** 2 / (2 * gradient @ hessian @ gradient)
  np.testing.assert_allclose(losses[0] - losses[1], decrease, rtol=1e-10)
  assert np.all(np.diff(losses) < 0) and losses[3] > 1e-6 * losses[0] and losses[4] < 1e-20


def test_exact_line_search_as_a_program(tmp_path, capsys):
  out = str(tmp_path / "out.json")
  assert exact_line_search.main(["p", "--num_runs=2", "--dimensions=3", f"--out={out}"]) == 0
  with open(out, encoding="utf-8") as file:
    losses = json.load(file)["losses"]["bfgs"]
  assert losses["1"]["mean"] > 1e-9 > losses["100"]["mean"]
  assert "2 functions of 3 dimensions" in capsys.readouterr().out


def _small_vgg(include_top, weights, input_shape):
  """VGG-16's blocks of one layer each."""
  assert not include_top and weights is None
  x = inputs = keras.Input(input_shape)
  for k, filters in enumerate((3, 4, 4, 5, 5)):
    x = keras.layers.Conv2D(filters, 3, 1, "same", activation="relu", name=f"block{k}_conv1")(x)
    x = keras.layers.MaxPooling2D()(x)
  return keras.Model(inputs, x)


@pytest.mark.slow
def test_the_linearised_meta_loss_is_the_plain_one(rows, monkeypatch):
  """On the convolutional network and behind a VGG of few filters: losses and meta-gradients."""
  monkeypatch.setattr(keras.applications, "VGG16", _small_vgg)
  found = rows(double_backprop, "--num_steps=2", "--batch_size=3", "--repeats=1")
  kinds = [(row["problem"], row["meta_loss"]) for row in found]
  assert kinds == [(name, kind) for name in ("convnet", "vgg") for kind in ("plain", "linearised")]
  assert found[2]["time_over_plain"] == 1.0
  assert max(rows.about["differences"].values()) < 5e-5  # float32, by threads in another order


def test_a_difference_of_the_two_is_an_error(monkeypatch):
  monkeypatch.setattr(
    measuring,
    "in_own_process",
    lambda f, name, kind, *args: ({}, [np.array([1.0 + (kind == "plain")])]),
  )
  with pytest.raises(RuntimeError, match="differ by 0.5"):
    double_backprop.main(["double_backprop"])


def test_bad_numbers():
  for module, flag in [(coordinates, "repeats"), (instances, "num_steps"), (flat_memory, "every")]:
    with pytest.raises(experiment_flags.UsageError, match="at least 1|must be of 1"):
      module.main([module.__name__, f"--{flag}=0"])


@pytest.mark.slow
def test_tensorboard_cost(rows, monkeypatch):
  bowl = presets.PRESETS["quick"]["bowl"]
  less = {"num_steps": 4, "unroll_length": 2, "num_tasks": 1, "episodes_per_epoch": 1}
  training = bowl.training.replace(**less, validation_runs=2, imitation_rounds=0, jit_compile=False)
  tiny = bowl.replace(optimizer=bowl.optimizer.replace(layer_sizes=(3,)), training=training)
  monkeypatch.setitem(presets.PRESETS["quick"], "bowl", tiny)
  found = rows(tensorboard_cost, "--problem=bowl", "--epochs=1", "--repeats=1")
  assert [row["watched"] for row in found] == [0, 1]
  assert [row["mb"] > 0 for row in found] == [False, True]
