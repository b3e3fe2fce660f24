"""Tests of bin/zoo.py: it measures, goes on where it was, and says what it does not know."""

import os

import pytest

from l2l_tf.cli.experiment_flags import UsageError
from l2l_tf.zoo import summary
from tests import programs

zoo = programs.load("zoo")


def run(*words):
  return programs.run(zoo.main, *words)


@pytest.mark.slow
def test_an_optimizer_is_scored_resumed_and_reported(tmp_path, capsys):
  runs = str(tmp_path / "runs")
  words = ["--optimizer=Prodigy", "--task=cars_tanh", "--horizon=100", "--seeds=2", "--jobs=1"]
  assert run(*words, f"--runs={runs}") == 0
  printed = capsys.readouterr().out
  assert "4 runs, 4 of them to be made." in printed and "cars_tanh" in printed
  first = summary.read_all(runs)
  assert set(first) == {"Adam", "Prodigy"}
  assert first["Prodigy"]["rows"][0]["final"][0] < first["Adam"]["rows"][0]["final"][0]
  assert first["Prodigy"]["command"].startswith("python bin/zoo.py --optimizer=Prodigy --task=cars")
  assert run(*words, f"--runs={runs}", "--metric=speed_up") == 0
  assert "4 runs, 0 of them to be made." in capsys.readouterr().out
  assert summary.read_all(runs)["Prodigy"]["rows"] == first["Prodigy"]["rows"]
  assert run("--report", f"--results={runs}", f"--docs={tmp_path}") == 0
  page = (tmp_path / "zoo.md").read_text()
  assert "## Families to train on, 100 steps" in page and "| Prodigy | " in page
  assert (tmp_path / "figures" / "zoo_profile.png").stat().st_size > 1000
  elsewhere = str(tmp_path / "fewer")
  fewer = [*words[:3], "--seeds=1", f"--runs={elsewhere}", f"--results={runs}"]
  assert run(*fewer) == 1
  assert "seeds of cars_tanh, 100 steps 2 (now 1)" in capsys.readouterr().err
  assert not os.listdir(elsewhere)  # told before anything was run
  assert summary.read_all(runs)["Prodigy"]["rows"] == first["Prodigy"]["rows"]
  assert run(*fewer, "--overwrite") == 0
  assert summary.read_all(runs)["Prodigy"]["rows"][0]["seeds"] == [0]


@pytest.mark.parametrize(
  "words, message",
  [
    (["--optimizer=Adum"], "Unknown optimizer 'Adum'; known: Adam, AdamW,"),
    (["--optimizer=Adam@x"], "The rate of 'Adam@x' is no number"),
    (["--optimizer=Adam", "--family=art"], "Unknown family 'art'; known: dense_classification,"),
    (["--optimizer=Adam", "--task=art"], "Unknown task 'art'; known: digits_sigmoid,"),
    (["--optimizer=Adam", "--metric=art"], "--metric"),
    (["--optimizer=Adam", "--horizon=50"], "--horizon must be of 100, 1000, 10000, got 50."),
    (["--optimizer=Adam", "--seeds=0"], "--seeds must be an integer of 1..5, got 0."),
    ([], "--optimizer is missing, such as --optimizer=mnist_lstm."),
  ],
)
def test_bad_input_is_one_line(words, message, tmp_path, capsys):
  assert run(*words, f"--runs={tmp_path}") == 2
  printed = capsys.readouterr()
  assert message in printed.err and "Traceback" not in printed.err and printed.out == ""


def test_a_report_needs_results(tmp_path, capsys):
  assert run("--report", f"--results={tmp_path}") == 2
  assert "no results of the default Adam" in capsys.readouterr().err


@pytest.mark.parametrize(
  "one, other", [("a/best", "a_best"), ("über", "_ber"), ("tuned Adam", "tuned_Adam")]
)
def test_two_optimizers_whose_files_would_be_one_are_refused(one, other):
  check = programs.work("zoo")._check_names
  check([one, "Adam", one])
  with pytest.raises(UsageError, match=f"The files of {one} and {other} would have the same names"):
    check([one, "Adam", other])
