"""Test of the cost benchmark at a tiny size."""

import json

from benchmarks import keras_cost


def test_cost(tmp_path):
  out = str(tmp_path / "cost.json")
  assert keras_cost.main(["program", "--parameters=50", "--repeats=2", f"--out={out}"]) == 0
  with open(out, encoding="utf-8") as file:
    rows = {row["optimizer"]: row for row in json.load(file)["rows"]}
  assert rows["adam"]["bytes_per_parameter"] == 8  # two moments of four bytes
  assert rows["mnist_lstm"]["bytes_per_parameter"] == 320  # two layers of 20: hidden and cell
  for row in rows.values():
    assert 0 < row["seconds"]["low"] <= row["seconds"]["median"] < 5
    assert row["num_parameters"] == 50


def test_the_peak_grows_by_the_states_at_least():
  row = keras_cost.measure("mnist_lstm", 400_000, 1)
  assert row["peak_bytes"] > 400_000 * 320
