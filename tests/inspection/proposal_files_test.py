"""Tests of visualization files: their content, their rules, the table; and the committed ones."""

import copy
import json
import math
import re

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.inspection import proposal_files
from l2l_tf.inspection import proposal_runs
from l2l_tf.inspection.coordinates import Coordinate
from l2l_tf.problems.base import make_seeds
from tests import programs
from tests import tiny_results

COMMITTED = sorted((programs.ROOT / "results" / "visualizations").glob("*.json"))
RATES = {"adam": 0.1, "sgd": 0.25}
(SEED,) = make_seeds(1, count=1)


def compute(optimizer=None, problem=None, **chosen):
  """Of the bowl of 4 dimensions, 6 steps, sweeps at the steps 1, 2, 4, with 5 values."""
  optimizer = optimizer or optimizers.CoordinatewiseLSTM((3,), output_scale=5.0, seed=1)
  problem = problem or problems.bowl(4)
  ranges = proposal_runs.choose(problem, optimizer, SEED, 4, **chosen)
  return proposal_runs.compute(problem, optimizer, RATES, SEED, 6, (1, 2, 4), 5, ranges)


HEAD = {
  "schema": proposal_files.SCHEMA,
  "command": "python bin/visualize.py",
  "versions": {"commit": None},
  "data": "generated",
  "problem": {"name": "bowl", "dimensions": 4},
  "optimizer": {"name": "bowl_lstm", "source": "runs/bowl_lstm/best", "sha256": "0" * 64},
  "seed": 1,
  "stream": 3,
  "tuning_runs": 2,
}


def test_uphill_counts_the_gradients_seen_that_are_not_0():
  document = {"rivals": {"sgd": {}}, "coordinates": {}}
  for name, gradients, learned in (("a", [1, -1, 0, 2], [1, 1, 1, -1]), ("b", [3], [1])):
    updates = {"learned": learned, "sgd": [-g for g in gradients]}
    document["coordinates"][name] = {"gradients": gradients, "updates": updates}
  assert proposal_files.uphill(document) == {"learned": 0.5, "sgd": 0.0}
  document["coordinates"] = {}
  document["coordinates"]["c"] = {"gradients": [0], "updates": {"learned": [1], "sgd": [0]}}
  assert math.isnan(proposal_files.uphill(document)["learned"])


@pytest.fixture(name="document", scope="module")
def _document():
  return HEAD | compute()


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_files_follow_the_schema_and_are_small(path):
  read = proposal_files.read(str(path))
  assert path.stat().st_size < 200_000 and path.stem == read["optimizer"]["name"]
  assert read["versions"]["commit"] and not read["versions"]["commit"].endswith("-dirty")
  for text in (read["command"], read["data"], read["optimizer"]["source"]):
    assert not re.search(r"(^|[\s=,:])[/~]", text)  # relative paths only


def test_what_is_written_is_read_again(tmp_path, document):
  path = str(tmp_path / "v.json")
  proposal_files.write(path, document)
  assert proposal_files.read(path) == document


def test_the_numbers_fit_each_other(document):
  """The gradient of the bowl is theta - centre over 2; SGD's line is -rate g, to four digits."""
  assert len(document["coordinates"]) == 3 and len(document["losses"]) == 7
  for entry in document["coordinates"].values():
    seen, swept = np.array(entry["gradients"]), np.array(entry["swept_gradients"])
    np.testing.assert_allclose(entry["updates"]["sgd"], -0.25 * seen, rtol=1e-3)
    np.testing.assert_allclose(entry["swept_updates"]["sgd"], [-0.25 * swept] * 3, rtol=1e-3)
    assert swept[2] == 0 and np.abs(seen[:4]).max() < swept[-1] < 3 * np.abs(seen[:4]).max()
    moves = np.array(entry["updates"]["learned"][:5])
    np.testing.assert_allclose(np.diff(seen), moves / 2, atol=1e-3)
    assert np.abs(moves).max() > 0.1


def test_coordinates_and_ranges_can_be_named():
  found = compute(coordinates=[Coordinate("theta", (3,))], max_gradient=400.0)
  assert list(found["coordinates"]) == ["theta[3]"]
  assert found["coordinates"]["theta[3]"]["swept_gradients"] == [-400, -50, 0, 50, 400]


@pytest.mark.parametrize("case", ["start", "later"])
def test_a_run_that_diverges_is_refused(case):
  scale = np.inf if case == "start" else 3.0
  problem = problems.from_function(
    lambda seed: {"x": tf.fill([2], scale)},
    lambda params, task, seed: tf.reduce_sum(params["x"] ** 2),
  )
  optimizer = optimizers.CoordinatewiseLSTM((3,), seed=1, output_scale=1e9)
  optimizer.linear.b.assign([1e25])
  with pytest.raises(proposal_files.VisualizationError, match="Not finite within .* diverges"):
    compute(optimizer, problem)


def _changes():
  change = tiny_results.change
  one = ("coordinates", "theta[1]")
  return [
    change("schema", to=2),
    change("more", to=1),
    change("command", to=KeyError),
    change("optimizer", to={"name": "x"}),
    change("steps", to=[]),
    change("steps", to=[2, 1]),
    change("steps", to=[1, 2, 7]),
    change("steps", to=[1, 2]),
    change("losses", to=[1.0]),
    change("losses", 0, to=None),
    change("rivals", to={}),
    change("rivals", "sgd", to=0.1),
    change("coordinates", to={}),
    change(*one, to=None),
    change(*one, "gradients", 0, to="1"),
    change(*one, "gradients", 0, to=float("nan")),
    change(*one, "updates", "learned", to=[1.0]),
    change(*one, "swept_gradients", to=[1.0]),
    change(*one, "swept_updates", "adam", 0, to=[1.0]),
    change(*one, "swept_updates", "adam", to=KeyError),
  ]


@pytest.mark.parametrize("change", _changes())
def test_refuses_other_values(tmp_path, document, change):
  assert "theta[1]" in document["coordinates"]
  broken = copy.deepcopy(document)
  change(broken)
  path = tmp_path / "v.json"
  path.write_text(json.dumps(broken))
  with pytest.raises(
    proposal_files.VisualizationError, match="v.json is no visualization of schema 1: .* must"
  ):
    proposal_files.read(str(path))
  with pytest.raises(ValueError):
    proposal_files.write(str(tmp_path / "new.json"), broken)
  assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_refuses_other_files(tmp_path, text):
  (tmp_path / "v.json").write_text(text)
  with pytest.raises(proposal_files.VisualizationError, match="v.json"):
    proposal_files.read(str(tmp_path / "v.json"))


def entry(learned, gradients=(1.0, 3.0)):
  """A sweep of a learned optimizer at step 3 on even gradients; Adam goes on downwards."""
  swept = np.linspace(-4, 4, 9)
  updates = {"learned": [learned(swept).tolist()], "adam": [(-0.1 - 0 * swept).tolist()]}
  return {"gradients": list(gradients), "swept_gradients": swept.tolist(), "swept_updates": updates}


def test_measures_of_a_line_of_a_step_and_of_momentum():
  line = proposal_files.measures(entry(lambda g: -g), 0, 3)
  assert line["at_0"] == 0 and line["half"] == pytest.approx(0.5)
  assert line["against_adam"] == pytest.approx(0.5, abs=0.01)  # for negative gradients
  step = proposal_files.measures(entry(lambda g: -np.sign(g)), 0, 3)
  assert step["half"] == pytest.approx(1)
  onwards = proposal_files.measures(entry(lambda g: -2 - 0.5 * g), 0, 3)  # at most -4
  assert onwards["at_0"] == pytest.approx(0.5) and onwards["against_adam"] == 0
  back = proposal_files.measures(entry(lambda g: -2 - 0.5 * g, (-1.0, -3.0)), 0, 3)
  assert back["at_0"] == pytest.approx(-0.5)
  bias = proposal_files.measures(entry(lambda g: -2 - 0.5 * g), 0, 1)  # nothing went before
  assert bias["at_0"] == pytest.approx(-0.5)
  flat = proposal_files.measures(entry(lambda g: 0 * g), 0, 3)
  assert np.isnan(flat["half"]) and flat["at_0"] == 0


def test_the_table_has_the_powers_of_two(document):
  lines = proposal_files.table(document).splitlines()
  rows = [line.split() for line in lines[1:]]
  assert [row[:2] for row in rows[:4]] == [
    *([name, step] for name in [list(document["coordinates"])[0]] for step in "124"),
    [list(document["coordinates"])[1], "1"],
  ]
  assert float(rows[0][2]) == pytest.approx(
    document["coordinates"][rows[0][0]]["gradients"][0], rel=1e-2
  )
  assert "against Adam" in lines[0] and all(row[-1].endswith("%") for row in rows)
