"""Tests of the benchmarks that use `measuring`, each at a tiny size."""

import json

import numpy as np
import pytest

from benchmarks import coordinates
from benchmarks import double_backprop
from benchmarks import flat_memory
from benchmarks import instances
from benchmarks import long_unrolls
from benchmarks import measuring
from l2l_tf import command_line


@pytest.fixture
def rows(tmp_path, monkeypatch):
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
def test_long_unrolls(rows):
  args = ["--unroll_lengths=1,2", "--option=backprop_coordinates=5"]
  found = rows(long_unrolls, *args, "--repeats=1", "--data=bundled")
  assert [(row["unroll_length"], row["option"]) for row in found] == [
    (1, None),
    (2, None),
    (1, "backprop_coordinates=5"),
    (2, "backprop_coordinates=5"),
  ]
  assert found[0]["step_over_first"] == 1.0


@pytest.mark.parametrize("option", ["speed", "second_derivatives=3", "jit_compile=yes"])
def test_an_option_that_there_is_not(option):
  with pytest.raises(command_line.UsageError, match=option.partition("=")[0]):
    long_unrolls.parse_option(option)


@pytest.mark.slow
def test_the_linearised_meta_loss_is_the_plain_one(rows):
  """On the convolutional network: losses and meta-gradients."""
  found = rows(double_backprop, "--num_steps=2", "--batch_size=3", "--repeats=1")
  assert [row["meta_loss"] for row in found] == ["plain", "linearised"]
  assert found[0]["time_over_plain"] == 1.0 and rows.about["difference"] < 1e-5


def test_a_difference_of_the_two_is_an_error(monkeypatch):
  monkeypatch.setattr(
    measuring, "in_own_process", lambda f, kind, *args: ({}, [np.array([1.0 + (kind == "plain")])])
  )
  with pytest.raises(RuntimeError, match="differ by 0.5"):
    double_backprop.main(["double_backprop"])


def test_bad_numbers():
  for module, flag in [(coordinates, "repeats"), (instances, "num_steps"), (flat_memory, "every")]:
    with pytest.raises(command_line.UsageError, match="at least 1|must be of 1"):
      module.main([module.__name__, f"--{flag}=0"])
