"""Tests of the ways to find a rate, on curves whose best rate is known."""

import json

import numpy as np
import pytest

from benchmarks import tuning_ways
from tests import programs


def curves(early, final):
  """30 rates, one instance, 80 steps: the losses of the first eighth and of the rest."""
  losses = np.empty([30, 1, 81])
  losses[:, 0, :11] = np.asarray(early)[:, np.newaxis]
  losses[:, 0, 11:] = np.asarray(final)[:, np.newaxis]
  return losses


def test_all_ways_find_a_rate_that_is_ahead_from_the_beginning():
  distance = 1 + np.abs(np.arange(30.0) - 12)
  rows = {row["way"]: row for row in tuning_ways.ways(curves(distance, distance))}
  assert [row["loss_over_best"] for row in rows.values()] == [1.0] * 4
  assert rows["coarse to fine"]["share"] == pytest.approx(13 / 30)  # ten, two and one
  assert rows["1/8 of the steps, 10"]["share"] == pytest.approx(1 / 8 + 10 / 30)
  assert rows["1/8 of the steps, 6"]["share"] == pytest.approx(1 / 8 + 6 / 30)


def test_halving_misses_what_comes_late_in_a_valley_of_its_own():
  """Ten small rates lead at first and lie in one valley, the best rate in another."""
  early, final = np.arange(30.0), np.full(30, 9.0)
  final[:10], final[20:25] = 2 + np.abs(np.arange(10) - 4.0), [3, 2, 1, 2, 3]
  picked, share = tuning_ways.halving(curves(early, final), final, 8, 10)
  assert picked == 4 and share == pytest.approx(1 / 8 + 10 / 30)
  picked, share = tuning_ways.coarse_to_fine(final)
  assert picked == 22 and share == pytest.approx(12 / 30)


def test_it_climbs_to_a_local_minimum_and_leaves_out_what_diverges():
  final = 1 + np.abs(np.arange(30.0) - 12)
  early = np.where(np.arange(30) < 25, np.arange(30.0), np.nan)
  picked, share = tuning_ways.halving(curves(early, final), final, 8, 10)
  assert picked == 12 and share == pytest.approx(1 / 8 + 14 / 30)


@pytest.mark.slow
def test_the_program(tmp_path, monkeypatch):
  small = {"hidden": (2,), "pooling": 14, "data": "bundled"}
  monkeypatch.setattr(tuning_ways, "SETTINGS", {"small": (80, small)})
  monkeypatch.setattr(tuning_ways, "RUNS", 1)
  out = tmp_path / "ways.json"
  assert programs.run(tuning_ways.main, f"--out={out}") == 0
  document = json.loads(out.read_text())
  assert len(document["rows"]) == 6 * 4
  assert all(row["loss_over_best"] >= 1 and 0 < row["share"] < 1 for row in document["rows"])
