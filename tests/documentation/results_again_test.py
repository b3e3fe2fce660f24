"""A few instances of committed results, run again: the same numbers, on this machine and today."""

import json
import os

import numpy as np
import pytest

import l2l_tf
from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import results
from l2l_tf.problems.base import Stream
from tests import programs
from tests import sources

TOLERANCE = 0.02  # of most runs: another processor's last bits grow along a trajectory
RUNS = 8
COMMITTED = [
  *(("quadratic", name) for name in ("quadratic_lstm", "quadratic_ntm_bfgs", "adam", "rprop")),
  *(("quadratic_20d", name) for name in ("quadratic_lstm_gac", "rmsprop")),
  *(("quadratic_200", name) for name in ("quadratic_ntm_lbfgs", "adagrad")),
]


def problem_of(document):
  """The problem of results on quadratics, as the file describes it."""
  options = dict(document["problem"])
  assert options.pop("name") == "quadratic"
  return problems.quadratic(**options)


def optimizer_of(document, name):
  """An optimizer of results: a trained one, or a rival at its rate."""
  if name in optimizers.HAND_DESIGNED:
    return optimizers.HAND_DESIGNED[name](document["optimizers"][name]["learning_rate"])
  return l2l_tf.load_optimizer(pretrained.directory(name))[0]


def assert_again(document, problem, name, count):
  """Runs the first `count` instances, and compares their final losses with those of the file."""
  seeds = problem.seeds(document["seed"], Stream.TEST, count=document["num_runs"])[:count]
  optimizer = optimizer_of(document, name)
  found = protocol.final_losses(protocol.curves(problem, optimizer, seeds, document["num_steps"]))
  expected = np.array(document["optimizers"][name]["final_losses"][:count])
  assert np.median(np.abs(found / expected - 1)) < TOLERANCE
  assert np.mean(np.abs(found / expected - 1) < TOLERANCE) >= 0.7


@pytest.mark.parametrize("file, name", COMMITTED)
def test_quadratics(file, name):
  document = results.read(str(sources.ROOT / "results" / f"{file}.json"))
  assert_again(document, problem_of(document), name, RUNS)


@pytest.mark.slow
@pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="TFDS_DATA_DIR names no MNIST")
@pytest.mark.parametrize("name", ["mnist_lstm", "adam"])
def test_mnist(name):
  document = results.read(str(sources.ROOT / "results" / "mnist_100.json"))
  data = problems.load("mnist", "train", "tfds")
  assert document["data"] == data.source
  assert_again(document, problems.mlp(data), name, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["general", "Adam"])
def test_the_benchmark(name, tmp_path):
  """One seed of one task, of a trained optimizer and of one of Keras's."""
  words = [f"--optimizer={name}", "--task=cars_tanh", "--horizon=100", "--seeds=1", "--jobs=1"]
  words += [f"--runs={tmp_path}", f"--results={tmp_path}"]
  assert programs.run(programs.load("zoo").main, *words) == 0

  def final(folder):
    rows = json.loads((folder / f"zoo_{name}.json").read_text())["rows"]
    (row,) = (r for r in rows if (r["task"], r["horizon"]) == ("cars_tanh", 100))
    return row["final"][0], row["definition"], row["data"]

  again, committed = final(tmp_path), final(sources.ROOT / "results")
  assert again[1:] == committed[1:]
  assert again[0] == pytest.approx(committed[0], rel=TOLERANCE)
