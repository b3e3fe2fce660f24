"""Test of the cost benchmark at tiny sizes."""

import contextlib
import json
import multiprocessing
import os

import pytest

from benchmarks import keras_cost
from benchmarks import measuring


@pytest.fixture(name="one_process_a_backend")
def _one_process_a_backend(monkeypatch):
  """In place of one for each row: most of the time goes into imports."""
  pools = {}
  with contextlib.ExitStack() as stack:

    def in_own_process(function, *args):
      backend = os.environ["KERAS_BACKEND"]
      if backend not in pools:
        pools[backend] = stack.enter_context(multiprocessing.get_context("spawn").Pool(1))
      return pools[backend].apply(function, args)

    monkeypatch.setattr(measuring, "in_own_process", in_own_process)
    yield pools


@pytest.mark.slow
def test_cost(tmp_path, monkeypatch, one_process_a_backend):
  monkeypatch.setattr(keras_cost, "MODELS", ([(6,), (6,)], [(3, 2), (3,), (3,)]))
  out = str(tmp_path / "cost.json")
  arguments = ["--parameters=100000", "--repeats=1", f"--out={out}"]
  assert keras_cost.main(["program", *arguments]) == 0
  with open(out, encoding="utf-8") as file:
    found = json.load(file)["rows"]
  rows = {(row["backend"], row["optimizer"], row["tensors"]): row for row in found}
  for backend, name, tensors in rows:
    row = rows[backend, name, tensors]
    assert row["parameters"] == (100_000 if tensors == 1 else 12)
    assert 0 < row["low_s"] <= row["median_s"] < 5
    assert 0 < row["first_s"] < 300  # of one call: what follows may take longer
    if name == "adam":
      assert row["bytes_a_parameter"] == 8  # two moments of four bytes
    elif tensors == 1:
      assert int(row["bytes_a_parameter"]) == (320 if name == "mnist_lstm" else 16)
  assert one_process_a_backend.keys() == {backend for backend, _, _ in rows}
  assert {"tensorflow", "jax"} <= {backend for backend, _, _ in rows}
  assert rows["tensorflow", "mnist_lstm", 1]["peak_mib"] * 2**20 > 320 * 100_000
