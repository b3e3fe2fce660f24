"""Test of the cost benchmark at tiny sizes, each in a process of its own."""

import json

from benchmarks import keras_cost


def test_cost(tmp_path):
  out = str(tmp_path / "cost.json")
  arguments = ["--parameters=50,400000", "--repeats=2", f"--out={out}"]
  assert keras_cost.main(["program", *arguments]) == 0
  with open(out, encoding="utf-8") as file:
    rows = {(row["optimizer"], row["parameters"]): row for row in json.load(file)["rows"]}
  for n in (50, 400_000):
    assert rows["adam", n]["bytes_a_parameter"] == 8  # two moments of four bytes
    assert rows["mnist_lstm", n]["bytes_a_parameter"] == 320  # two layers of 20: hidden and cell
  assert 16 <= rows["general", 400_000]["bytes_a_parameter"] < 16.1  # and a few numbers a tensor
  assert all(0 < row["low_s"] <= row["median_s"] < 5 for row in rows.values())
  assert rows["mnist_lstm", 400_000]["peak_mib"] * 2**20 > 320 * 400_000
