"""Tests of the files of sweeps: what comes back, and what is refused."""

import copy
import gzip
import json
import os

import numpy as np
import pytest

from l2l_tf.inspection import sweep_files
from l2l_tf.inspection.proposal_files import VisualizationError
from tests import tiny_results
from tests.tiny_results import change

CURVES = {"learned": np.array([2.0, 1.0]), "adam": np.array([2.0, np.inf, np.nan])}


@pytest.fixture(name="document")
def _document():
  return sweep_files.make(12, tiny_results.visualization(), CURVES)


def test_what_is_written_comes_back(tmp_path, document):
  sweep_files.write(str(tmp_path), document)
  sweep_files.write(str(tmp_path), document | {"epoch": 3})
  (tmp_path / "sweeps" / "epoch_00004.json.gz.0123abcd.tmp").write_bytes(b"half written")
  (tmp_path / "sweeps" / "notes.txt").write_bytes(b"mine")
  found = sweep_files.paths(str(tmp_path))
  assert list(found) == [3, 12] and os.path.basename(found[12]) == "epoch_00012.json.gz"
  assert sweep_files.read(found[12]) == document
  assert document["validation"] == {"learned": [2.0, 1.0], "adam": [2.0, None, None]}
  assert document["coordinates"] == tiny_results.visualization()["coordinates"] | {
    name: sweep_files.proposal_files.rounded(entry)
    for name, entry in tiny_results.visualization()["coordinates"].items()
  }


def test_numbers_have_four_digits():
  proposed = tiny_results.visualization() | {"losses": np.full(11, 1 / 3, np.float32)}
  assert sweep_files.make(1, proposed, {})["losses"] == [0.3333] * 11


def test_a_directory_without_sweeps_has_none(tmp_path):
  assert sweep_files.paths(str(tmp_path)) == {}
  (tmp_path / "sweeps").write_text("a file")
  assert sweep_files.paths(str(tmp_path)) == {}


def test_sweeps_that_are_not_finite_are_refused():
  proposed = copy.deepcopy(tiny_results.visualization())
  proposed["coordinates"]["a[0]"]["swept_updates"]["learned"][2][1] = np.nan
  with pytest.raises(ValueError, match="swept_updates"):
    sweep_files.make(1, proposed, CURVES)


def test_a_visualization_is_that_of_the_trained_optimizer():
  made = sweep_files.of_visualization(tiny_results.visualization())
  assert made["epoch"] == sweep_files.TRAINED and made["validation"] == {}
  assert made["steps"] == list(range(1, 10))


@pytest.mark.parametrize(
  "damage",
  [
    change("epoch", to=-1),
    change("schema", to=2),
    change("losses", to=[1.0]),
    change("validation", "adam", to="<script>"),
    change("coordinates", "a[0]", "swept_gradients", to=[[1.0]]),
    change("rivals", to=KeyError),
    change("unknown", to=1),
  ],
)
def test_what_breaks_the_rules_is_one_line(tmp_path, document, damage):
  damage(document)
  path = tmp_path / "epoch_00012.json.gz"
  path.write_bytes(gzip.compress(json.dumps(document).encode()))
  with pytest.raises(VisualizationError) as error:
    sweep_files.read(str(path))
  assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
  "content",
  [
    b"",
    b"{}",
    gzip.compress(b"{")[:-3],
    gzip.compress(b"{"),
    gzip.compress(b"[" * 10**6),
    gzip.compress(bytes(sweep_files.MAX_BYTES + 1)),
    gzip.compress(b"\xff"),
  ],
  ids=["empty", "not packed", "cut", "no JSON", "deep", "a bomb", "not UTF-8"],
)
def test_what_is_damaged_is_one_line(tmp_path, content):
  path = tmp_path / "epoch_00001.json.gz"
  path.write_bytes(content)
  with pytest.raises(VisualizationError) as error:
    sweep_files.read(str(path))
  assert str(path) in str(error.value) and len(str(error.value).splitlines()) == 1


def test_what_cannot_be_read_is_one_line(tmp_path):
  for path in (tmp_path, tmp_path / "nothing"):
    with pytest.raises(VisualizationError, match=str(path)):
      sweep_files.read(str(path))


def test_what_could_not_be_read_again_is_not_written(tmp_path, document, monkeypatch):
  monkeypatch.setattr(sweep_files, "MAX_BYTES", 1000)
  with pytest.raises(VisualizationError, match="a file of them may have 1000. Lower `num_panels`"):
    sweep_files.write(str(tmp_path), document)
  assert not list(tmp_path.iterdir())
