"""Tests of bin/visualize.py, in-process on small problems."""

import base64
import glob
import gzip
import json
import os
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.config import presets
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import results
from l2l_tf.inspection import coordinates
from l2l_tf.inspection import proposal_files
from l2l_tf.inspection import proposal_runs
from l2l_tf.inspection import sweep_files
from l2l_tf.storage import optimizer_files
from l2l_tf.view import page
from tests import programs
from tests import tiny_results

visualize = programs.load("visualize")
SMALL = ["--problem=bowl", "--dimensions=4", "--num_steps=6", "--num_panels=4", "--num_values=5"]
SMALL += ["--tuning_runs=1"]
LEARNED = "--optimizer=runs/bowl_lstm/best"


@pytest.fixture(name="here", autouse=True)
def _here(tmp_path, monkeypatch):
  """An empty directory with a trained optimizer of the bowl."""
  monkeypatch.chdir(tmp_path)
  experiment = presets.PRESETS["quick"]["bowl"].to_dict()
  lstm = optimizers.GlobalAveragingLSTM((4,), num_gacs=2)
  optimizer_files.save_optimizer("runs/bowl_lstm/best", lstm, {"experiment": experiment})
  return tmp_path


def _run(*arguments) -> int:
  return programs.run(visualize.main, *arguments)


@pytest.mark.slow
def test_writes_the_file_and_prints_the_table(here, capsys):
  directory = str(here / "runs" / "bowl_lstm" / "best")
  assert _run(*SMALL, f"--optimizer={directory}") == 0
  out = capsys.readouterr().out
  path = "runs/results/visualizations/bowl_lstm.json"
  document = proposal_files.read(path)
  assert proposal_files.table(document) in out and f"Written to {path}" in out
  assert "Data: generated" in out and "* bowl_lstm" in out
  assert document["steps"] == [1, 2, 3, 4] and document["num_steps"] == 6
  assert document["optimizer"]["source"] == "runs/bowl_lstm/best"
  assert document["problem"] == {"name": "bowl", "dimensions": 4}
  command = document["command"]
  assert sorted(command.split()) == sorted(["python", "bin/visualize.py", *SMALL, LEARNED])
  first = (here / path).read_text()
  assert _run(*SMALL, LEARNED) == 0  # the same again
  assert (here / path).read_text() == first


def test_a_rival_without_a_rate_is_not_shown(here, monkeypatch):
  monkeypatch.setattr(baselines, "tune", lambda *args: {"adam": None, "sgd": 0.1})
  assert _run(*SMALL, LEARNED) == 0
  document = proposal_files.read("runs/results/visualizations/bowl_lstm.json")
  assert document["rivals"] == {"sgd": {"learning_rate": 0.1}}


def test_rates_come_from_results_of_the_same_problem(here, monkeypatch, capsys):
  made = tiny_results.make({"name": "bowl", "dimensions": 4}, 6) | {"data": "generated"}
  made["optimizers"]["sgd"]["learning_rate"] = 0.03125
  results.write("tuned.json", made)
  monkeypatch.setattr(baselines, "tune", None)
  assert _run(*SMALL[:-1], LEARNED, "--rates_from=tuned.json", "--out=v.json") == 0
  document = proposal_files.read("v.json")
  rates = {name: rival["learning_rate"] for name, rival in document["rivals"].items()}
  assert rates == {"adam": 0.1, "sgd": 0.03125}
  assert document["tuning_runs"] == made["tuning_runs"] == 2
  assert "--rates_from=tuned.json" in document["command"]
  capsys.readouterr()
  assert _run(*SMALL[:-1], LEARNED, "--rates_from=tuned.json", "--num_steps=5", "--out=w.json") == 1
  error = capsys.readouterr().err
  assert "tuned.json holds results of {" in error and error.count("\n") == 1
  made["optimizers"].pop("sgd")
  made["ratios"] = []
  results.write("tuned.json", made)
  assert _run(*SMALL[:-1], LEARNED, "--rates_from=tuned.json", "--out=w.json") == 1
  assert "tuned.json lacks sgd" in capsys.readouterr().err and not (here / "w.json").exists()


@pytest.mark.slow
def test_panels_are_no_more_than_steps(here):
  assert _run(*SMALL, LEARNED, "--num_panels=32", "--out=v.json") == 0
  assert proposal_files.read("v.json")["steps"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_coordinates_and_the_range_can_be_named(here):
  named = ("--coordinates=theta[3],theta[0]", "--max_gradient=400", "--out=v.json")
  assert _run(*SMALL, LEARNED, *named) == 0
  entries = proposal_files.read("v.json")["coordinates"]
  assert list(entries) == ["theta[3]", "theta[0]"]
  assert entries["theta[0]"]["swept_gradients"][-1] == 400


def events(directory):
  """Values by run and tag: {(run, tag): {step: value}}."""
  found = {}
  for path in glob.glob(os.path.join(directory, "*", "events*")):
    run = os.path.basename(os.path.dirname(path))
    for event in tf.compat.v1.train.summary_iterator(path):
      for value in event.summary.value:
        array = tf.make_ndarray(value.tensor)
        found.setdefault((run, value.tag), {})[event.step] = array
  return found


@pytest.mark.slow
def test_a_page_shows_the_same_numbers(here, capsys):
  assert _run(*SMALL, LEARNED, "--html=pages/bowl.html") == 0
  assert "View: open pages/bowl.html in a browser\n" in capsys.readouterr().out
  document = proposal_files.read("runs/results/visualizations/bowl_lstm.json")
  with open("pages/bowl.html", encoding="utf-8") as file:
    text = file.read()
  assert "<title>What bowl_lstm learned, on bowl</title>" in text
  packed = re.search('<script type="application/gzip" id="data">(.*?)</script>', text)[1]
  shown = json.loads(gzip.decompress(base64.b64decode(packed)))
  assert shown["runs"] == {"bowl_lstm": [sweep_files.of_visualization(document)]}


@pytest.mark.slow
def test_a_page_of_somebody_else_is_not_replaced(here, capsys):
  with open("mine.html", "w", encoding="utf-8") as file:
    file.write("<p>mine</p>")
  assert _run(*SMALL, LEARNED, "--html=mine.html") == 1
  assert "mine.html is no page of this program." in capsys.readouterr().err
  with open("mine.html", encoding="utf-8") as file:
    assert file.read() == "<p>mine</p>"
  assert _run(*SMALL, LEARNED, "--html=mine.html", "--overwrite") == 0
  assert _run(*SMALL, LEARNED, "--html=mine.html") == 0


@pytest.mark.slow
def test_tensorboard_gets_the_same_numbers_and_the_pictures(here):
  assert _run(*SMALL, LEARNED, "--logdir=board", "--coordinates=theta[1]") == 0
  document = proposal_files.read("runs/results/visualizations/bowl_lstm.json")
  entry, found = document["coordinates"]["theta[1]"], events("board")
  runs = {"learned": "bowl_lstm", "adam": "Adam", "sgd": "SGD"}
  for name, run in runs.items():
    curve = found.pop((run, "update/theta[1]"))
    assert list(curve) == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(list(curve.values()), entry["updates"][name], rtol=1e-6)
  gradients = found.pop(("bowl_lstm", "gradient/theta[1]"))
  np.testing.assert_allclose(list(gradients.values()), entry["gradients"], rtol=1e-6)
  (path,) = sweep_files.paths("board/bowl_lstm").values()
  assert sweep_files.read(path) == sweep_files.of_visualization(document)
  losses = found.pop(("bowl_lstm", "optimizee/loss"))
  assert list(losses) == list(range(7))
  np.testing.assert_allclose(list(losses.values()), document["losses"], rtol=1e-6)
  pictures = {"history/theta[1]": [6], "update_against_gradient/theta[1]": [1, 2, 3, 4]}
  assert {tag: list(by_step) for (_, tag), by_step in found.items()} == pictures
  for width, height, png in (values for by_step in found.values() for values in by_step.values()):
    picture = tf.io.decode_png(png).numpy()
    assert picture.shape[:2] == (int(height), int(width)) and picture.std() > 10


def test_another_look_into_one_logdir_is_another_run_and_the_same_look_the_same(here, capsys):
  words = (*SMALL, LEARNED, "--logdir=my board", "--overwrite")
  for more in ("--seed=1", "--seed=2", "--seed=1"):
    assert _run(*words, more) == 0
  assert "tensorboard.main '--logdir=my board'" in capsys.readouterr().out
  sweeps = [path.parent.name for path in pathlib.Path("my board").glob("*/sweeps")]
  assert sorted(sweeps) == ["bowl_lstm", "bowl_lstm-2"]


def test_the_page_and_the_file_are_two(here, capsys):
  assert _run(*SMALL, LEARNED, "--out=a", "--html=./a") == 2
  assert "--out and --html must be two files, got a for both" in capsys.readouterr().err


def test_a_page_that_is_too_large_is_one_line_and_the_numbers_are_kept(here, capsys, monkeypatch):
  monkeypatch.setattr(page, "MAX_DATA_BYTES", 100)
  assert _run(*SMALL, LEARNED, "--out=a.json", "--html=a.html") == 1
  error = capsys.readouterr().err
  assert "Lower --num_panels or --num_values, or name fewer --coordinates" in error
  assert proposal_files.read("a.json") and not os.path.exists("a.html")


BAD = [
  (2, (), "Name the optimizer: --optimizer=mnist_lstm"),
  (2, (LEARNED, "--num_steps=0"), "--num_steps must be a number of 1..100000, got 0"),
  (2, (LEARNED, "--num_panels=0"), "--num_panels must be"),
  (2, (LEARNED, "--num_values=1"), "--num_values must be a number of 3..10000, got 1"),
  (2, (LEARNED, "--num_values=4"), "--num_values must be odd, got 4"),
  (2, (LEARNED, "--tuning_runs=0"), "--tuning_runs must be"),
  (2, (LEARNED, "--rates_from=r.json"), "--rates_from and --tuning_runs exclude each other"),
  (2, (LEARNED, "--seed=-1"), "--seed must be"),
  (2, (LEARNED, "--max_gradient=-1"), "--max_gradient must be a number of 0.0..1e+30, got -1.0"),
  (2, (LEARNED, "--max_gradient=nan"), "--max_gradient must be a number of 0.0..1e+30, got nan"),
  (2, (LEARNED, "--coordinates=w[0]"), "--coordinates: There is no parameter 'w'; there are theta"),
  (2, (LEARNED, "--coordinates=theta[9]"), "theta has the shape [4]; it has no element [9]"),
  (2, (LEARNED, "--hidden=40"), "--hidden does not apply to --problem=bowl"),
  (2, (LEARNED, "--transfer=maybe"), "maybe"),
  (1, ("--optimizer=runs/none/best",), "There is no directory runs/none/best and no pretrained"),
  (1, (LEARNED, "--problem=quadratic"), "was trained on --problem=bowl, not on quadratic"),
]


@pytest.mark.parametrize("status, arguments, message", BAD, ids=lambda value: str(value)[:50])
def test_bad_input_is_one_clear_line(here, capsys, status, arguments, message):
  assert _run(*SMALL, *arguments) == status
  error = capsys.readouterr().err
  assert message in error and error.count("\n") == 1
  assert not (here / "runs" / "results").exists()


@pytest.mark.slow
@pytest.mark.parametrize("content", ["notes", "other setting"])
def test_a_file_of_something_else_is_not_overwritten(here, capsys, content):
  path = here / "precious.json"
  path.write_text('{"my": "notes"}')
  if content == "other setting":
    path.unlink()
    assert _run(*SMALL, LEARNED, "--dimensions=3", "--out=precious.json") == 0
  before = path.read_bytes()
  capsys.readouterr()
  assert _run(*SMALL, LEARNED, "--out=precious.json") == 1
  error = capsys.readouterr().err
  assert "not overwritten" in re.sub(r"\s+", " ", error) and error.count("\n") == 1
  assert path.read_bytes() == before


LESS = [
  (["--tuning_runs=1"], "tuning_runs 2 (now 1)"),
  (["--num_panels=3"], "num_panels 4 (now 3)"),
  (["--num_steps=7"], "num_steps 6 (now 7)"),
  (["--seed=1", "--coordinates=theta[0],theta[1]"], "seed 0 (now 1)"),
  (["--coordinates=theta[0]"], "coordinate theta[1] shown (now none)"),
  (["--coordinates="], "coordinate theta[0] shown (now none)"),
]


@pytest.mark.slow
def test_what_shows_more_is_replaced_only_if_told(here, capsys, monkeypatch):
  """Refused before the rivals are tuned."""
  shown = [*SMALL, LEARNED, "--tuning_runs=2", "--coordinates=theta[0],theta[1]", "--out=v.json"]
  assert _run(*shown) == 0
  before, tune = (here / "v.json").read_bytes(), baselines.tune
  monkeypatch.setattr(baselines, "tune", None)
  monkeypatch.setattr(coordinates, "spread", lambda rms: [coordinates.Coordinate("theta", (2,))])
  monkeypatch.setattr(proposal_runs, "spread", coordinates.spread)

  def refused(words):
    assert (here / "v.json").read_bytes() == before
    error = capsys.readouterr().err
    assert f"v.json holds {words}" in error and "It is not overwritten: name" in error
    assert error.count("\n") == 1

  for change, words in LESS:
    assert _run(*shown, *change) == 1
    refused(words)
  lstm = optimizers.GlobalAveragingLSTM((4,), num_gacs=2, seed=1)
  experiment = presets.PRESETS["quick"]["bowl"].to_dict()
  optimizer_files.save_optimizer("runs/bowl_lstm/best", lstm, {"experiment": experiment})
  assert _run(*shown) == 1
  refused("optimizer bowl_lstm ")
  monkeypatch.setattr(baselines, "tune", tune)
  assert _run(*shown, "--coordinates=theta[0]", "--overwrite") == 0
  written = proposal_files.read("v.json")
  assert list(written["coordinates"]) == ["theta[0]"] and "overwrite" not in written["command"]


@pytest.mark.slow
def test_more_coordinates_and_panels_take_the_place_of_fewer(here):
  assert _run(*SMALL, LEARNED, "--coordinates=theta[0]", "--num_panels=2", "--out=v.json") == 0
  assert _run(*SMALL, LEARNED, "--coordinates=theta[1],theta[0]", "--out=v.json") == 0
  assert list(proposal_files.read("v.json")["coordinates"]) == ["theta[1]", "theta[0]"]


def test_an_output_or_logdir_that_cannot_be_written_is_one_line(here, capsys):
  (here / "file").write_text("")
  for flag in ("--out=file/v.json", "--logdir=file/board"):
    assert _run(*SMALL, LEARNED, flag) == 1
    output = capsys.readouterr()
    assert output.err.count("\n") == 1 and "file" in output.err and "Written" not in output.out
