"""Tests of the experiments in Keras at a tiny size: fair comparisons, and what is written."""

import json

import numpy as np
import pytest

from benchmarks import keras_experiments
from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol


def read(path):
  with open(path, encoding="utf-8") as file:
    return json.load(file)


@pytest.mark.slow
def test_experiments_on_mnist(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(protocol, "LEARNING_RATES", (1e-6, 3e-2))
  out = str(tmp_path / "out.json")
  arguments = ["--tasks=mnist", "--seeds=2", "--tuning_seeds=1", "--horizons=12,30"]
  assert keras_experiments.main(["program", *arguments, "--data=bundled", f"--out={out}"]) == 0
  rows = read(out)["tasks"]["mnist"]["optimizers"]
  assert list(rows) == ["mnist_lstm", "Adam", "Adam tuned for 12", "Adam tuned for 30"]
  means = {name: row["30"]["mean"] for name, row in rows.items()}
  assert means["mnist_lstm"] < means["Adam tuned for 30"] < means["Adam"] < 2.4
  assert rows["Adam tuned for 30"]["rate"] == 3e-2 and rows["Adam"]["rate"] == pytest.approx(1e-3)
  assert len(rows["Adam"]["12"]["values"]) == 2
  table = capsys.readouterr().out
  assert f"| Adam, 0.001 | {intervals.Interval(rows['Adam']['12']['mean'], 0)}"[:20] in table


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in keras_experiments.TASKS if n != "mnist"])
def test_other_tasks_start_at_the_same_point_for_all(name):
  task = keras_experiments.make_task(name, "bundled")
  assert np.isfinite(task.x).all() and len(task.x) == len(task.y)
  seed = np.array([3, 4], np.int32)
  optimizers = "adam", keras_experiments.l2l_tf.LearnedOptimizer("mnist_lstm")
  adam, learned = (keras_experiments.Runner(task, o, 3) for o in optimizers)
  first, other, again = adam.run(seed), learned.run(seed), adam.run(seed)
  np.testing.assert_allclose(first, again, rtol=1e-5)  # everything is reset
  assert first[0] == pytest.approx(other[0], rel=1e-5) and first[-1] != other[-1]
  assert len(first) == 3 and np.isfinite([first, other]).all()


def test_the_loss_after_so_many_batches():
  losses = np.arange(40.0).reshape(2, 20)
  np.testing.assert_allclose(keras_experiments.after(losses, 20), [14.5, 34.5])
  np.testing.assert_allclose(keras_experiments.after(losses, 5), [2, 22])
  losses[0, 15] = np.nan
  np.testing.assert_array_equal(keras_experiments.after(losses, 20), [np.inf, 34.5])


def test_unknown_tasks():
  with pytest.raises(experiment_flags.UsageError, match="--tasks must be of mnist, .* got iris"):
    keras_experiments.main(["program", "--tasks=iris"])
