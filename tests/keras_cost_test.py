"""Test of the cost benchmark at a tiny size."""

import json
import subprocess
import sys

from benchmarks import keras_cost
from tests import sources


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
  """In a process of its own: memory that other tests have freed would be used again."""
  call = "keras_cost.measure('mnist_lstm', 400_000, 1)"
  code = f"from benchmarks import keras_cost; print({call}['peak_bytes'])"
  run = [sys.executable, "-c", code]
  output = subprocess.run(run, cwd=sources.ROOT, capture_output=True, text=True, check=True).stdout
  assert int(output.split()[-1]) > 400_000 * 320
