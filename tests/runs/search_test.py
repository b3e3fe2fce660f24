"""Tests of the random search of the meta learning rate."""

import json
import math
import os
import signal
import subprocess
import sys

import pytest

from l2l_tf.config.presets import PRESETS
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import run as training_run
from l2l_tf.runs import search
from l2l_tf.runs.directory import RunError
from l2l_tf.training.trainer import Diverged
from tests import programs
from tests import tiny_training
from tests.runs.directory_test import HOLD

TINY = {"num_tasks": 4, "num_steps": 4, "unroll_length": 2, "episodes_per_epoch": 1}
TINY |= {"jit_compile": False}


def trial(index, losses, pruned=False, rate=1e-3):
  return search.Trial(index=index, learning_rate=rate, losses=losses, pruned=pruned)


def tiny_experiment():
  """Bowls, two epochs of next to nothing."""
  preset = PRESETS["quick"]["bowl"]
  training = preset.training.replace(num_epochs=2, validation_runs=4, **TINY)
  return preset.replace(training=training)


@pytest.fixture(autouse=True)
def _eagerly():
  with tiny_training.eagerly():
    yield


@pytest.fixture(name="experiment", scope="module")
def _experiment():
  return tiny_experiment()


def _states(trials):
  return {trial.index: "pruned" if trial.pruned else "complete" for trial in trials}


def test_rates_are_reproducible_and_log_uniform():
  rates = [search.learning_rate(0, i) for i in range(400)]
  assert rates == [search.learning_rate(0, i) for i in range(400)]
  low, high = search.RATES
  assert low <= min(rates) and max(rates) <= high
  middle = (low * high) ** 0.5
  assert 160 < sum(rate < middle for rate in rates) < 240


@pytest.mark.slow
def test_search_settles_every_trial_and_a_second_call_adds_only_the_missing(tmp_path, experiment):
  directory = str(tmp_path)
  trials = search.search(directory, experiment, 2)
  assert _states(trials) == {0: "complete", 1: "complete"}
  for index, rate, losses in ((t.index, t.learning_rate, t.losses) for t in trials):
    config = json.loads((tmp_path / f"trial_{index:03d}" / "best" / "config.json").read_text())
    assert len(losses) == 2 and config["about"]["validation_final_loss"] == min(losses)
    training = config["about"]["experiment"]["training"]
    assert training["learning_rate"] == rate == search.learning_rate(0, index)
  more = search.search(directory, experiment, 3)
  assert all(trial in more for trial in trials)
  assert sorted(_states(more)) == [0, 1, 2]
  assert [trial.best_loss for trial in more] == sorted(trial.best_loss for trial in more)
  lines = search.table(more).splitlines()
  assert len(lines) == 4 and f"{more[0].best_loss:.5g}" in lines[1] and "complete" in lines[1]
  assert search.search(directory, experiment, 1) == more  # of an earlier search all are shown


@pytest.mark.slow
def test_an_interrupted_trial_is_resumed_where_it_stopped(tmp_path, experiment, monkeypatch):
  directory = str(tmp_path)
  train = training_run.TrainingRun.train

  def stop_after_an_epoch(self, tuned=None, on_epoch=None):
    def stop(row):
      raise training_run.Interrupted(2)

    train(self, tuned, stop)

  monkeypatch.setattr(training_run.TrainingRun, "train", stop_after_an_epoch)
  with pytest.raises(training_run.Interrupted):
    search.search(directory, experiment, 1)
  assert search.settled(directory) == []
  monkeypatch.setattr(training_run.TrainingRun, "train", train)
  undisturbed = search.search(os.path.join(directory, "other"), experiment, 1)
  assert search.search(directory, experiment, 1) == undisturbed


@pytest.mark.parametrize(
  "epoch, loss, pruned",
  [
    (1, 9.0, False),  # too early
    (2, 2.6, True),
    (2, 2.5, False),  # the median of 1, 2, 3, inf, at their second epoch
    (3, 9.0, False),  # as far as that came three alone
    (2, math.inf, True),
  ],
)
def test_what_is_worse_than_the_median_of_complete_trials(epoch, loss, pruned):
  losses = [[9.0, 1.0, 0.5], [9.0, 2.0, 0.5], [0.1, 3.0], [0.1, None, 0.5]]
  others = [trial(i, own) for i, own in enumerate(losses)]
  others.append(trial(4, [0.0, 0.0, 0.0], pruned=True))
  assert search._is_worse(loss, epoch, others) == pruned


def test_a_bad_trial_is_pruned(tmp_path, experiment, monkeypatch):
  for index in range(1, 1 + search.LEAST_COMPLETE):
    (tmp_path / f"trial_{index:03d}").mkdir()
    better = trial(index, [0.0, 0.0])
    (tmp_path / f"trial_{index:03d}" / search.RESULT_FILE).write_text(json.dumps(better.to_dict()))
  long = experiment.training.replace(num_epochs=5)
  trials = search.search(str(tmp_path), experiment.replace(training=long), 1)
  assert trials[-1].index == 0 and trials[-1].pruned and len(trials[-1].losses) == 2
  assert search.table(trials).splitlines()[-1].endswith("pruned")


def test_a_trial_that_diverges_is_settled_too(tmp_path, experiment, monkeypatch):
  def diverge(self, tuned=None, on_epoch=None):
    raise Diverged("20 meta-steps in a row.")

  monkeypatch.setattr(training_run.TrainingRun, "train", diverge)
  assert search.search(str(tmp_path), experiment, 1) == [
    trial(0, [], pruned=True, rate=search.learning_rate(0, 0))
  ]


@pytest.mark.slow
def test_a_trial_is_settled_before_its_directory_is_given_back(tmp_path, experiment, monkeypatch):
  """Else another process could take it up in between."""
  unlock, seen = run_directory.unlock, []

  def look(directory, *args, **options):
    seen.append(search.settled(str(tmp_path)))
    unlock(directory, *args, **options)

  monkeypatch.setattr(run_directory, "unlock", look)
  assert search.search(str(tmp_path), experiment, 1) == seen[0] and len(seen[0]) == 1


@pytest.fixture(name="other")
def _other(tmp_path):
  """Another process that is at trial 0."""
  (tmp_path / "trial_000").mkdir()
  command = [sys.executable, "-c", HOLD, str(tmp_path / "trial_000")]
  process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
  assert process.stdout.readline() == "locked\n"
  yield process
  process.kill()
  process.communicate()


@pytest.mark.slow
def test_a_trial_of_another_process_is_left_to_it_until_it_dies(tmp_path, experiment, other):
  assert _states(search.search(str(tmp_path), experiment, 2)) == {1: "complete"}
  other.kill()
  other.wait()
  assert _states(search.search(str(tmp_path), experiment, 2)) == {0: "complete", 1: "complete"}


DIE = """
import os, signal, sys
from l2l_tf.runs import search
from tests.runs import search_test
method = sys.argv[2]
original = getattr(search.run_directory, method)
def die(*args, **options):
  original(*args, **options)
  os.kill(os.getpid(), signal.SIGKILL)
setattr(search.run_directory, method, die)
search.search(sys.argv[1], search_test.tiny_experiment(), 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["lock", "unlock"])
def test_a_process_killed_at_any_moment_leaves_its_trial_to_the_next(tmp_path, experiment, moment):
  command = [sys.executable, "-c", DIE, str(tmp_path), moment]
  assert subprocess.run(command, check=False, cwd=programs.ROOT).returncode == -signal.SIGKILL
  trials = search.search(str(tmp_path), experiment, 2)
  assert _states(trials) == {0: "complete", 1: "complete"}
  assert search.search(str(tmp_path), experiment, 2) == trials


def test_a_trial_that_died_before_it_began_is_started_again(tmp_path, experiment):
  (tmp_path / "trial_000" / "checkpoints").mkdir(parents=True)
  (tmp_path / "trial_000" / "config.json.1a2b3c4d.tmp").write_text("{")
  assert _states(search.search(str(tmp_path), experiment, 1)) == {0: "complete"}


def test_another_experiment_and_a_result_that_is_none_are_refused(tmp_path, experiment):
  (trial,) = search.search(str(tmp_path), experiment, 1)
  other = experiment.replace(training=experiment.training.replace(num_epochs=3))
  with pytest.raises(RunError, match="another experiment"):
    search.search(str(tmp_path), other, 1)
  result = tmp_path / "trial_000" / search.RESULT_FILE
  for text in ("{not json}", "[]", '{"index": 0}'):
    result.write_text(text)
    with pytest.raises(RunError, match="is not the result of a trial.*Remove it"):
      search.search(str(tmp_path), experiment, 1)
    assert result.read_text() == text
  result.unlink()
  assert search.search(str(tmp_path), experiment, 1) == [trial]


@pytest.mark.slow
def test_who_searches_for_something_else_first_does_not_take_a_search_of_old(tmp_path, experiment):
  search.search(str(tmp_path), experiment, 1)
  (tmp_path / search.SEARCH_FILE).unlink()
  another = experiment.replace(training=experiment.training.replace(seed=7))
  with pytest.raises(RunError, match="another experiment"):
    search.search(str(tmp_path), another, 2)
  assert len(search.search(str(tmp_path), experiment, 1)) == 1


def test_a_search_of_old_goes_on_once_its_journal_is_removed(tmp_path, experiment):
  """It left the same directories but for their results."""
  trials = search.search(str(tmp_path), experiment, 1)
  (tmp_path / "trial_000" / search.RESULT_FILE).unlink()
  (tmp_path / search.JOURNAL_FILE).write_text('{"op_code": 0}\n')
  with pytest.raises(RunError, match="older version.*study.log.*Remove that file"):
    search.search(str(tmp_path), experiment, 1)
  (tmp_path / search.JOURNAL_FILE).unlink()
  assert search.search(str(tmp_path), experiment, 1) == trials


def test_a_search_is_of_what_began_it_before_a_trial_has_a_config(tmp_path, experiment, other):
  """While another process is at trial 0, which has none yet."""
  assert other.poll() is None
  search._take_up(str(tmp_path), experiment)
  another = experiment.replace(training=experiment.training.replace(seed=7))
  with pytest.raises(RunError, match="searches for another experiment; name another `run_dir`"):
    search.search(str(tmp_path), another, 2)
  assert sorted(os.listdir(tmp_path)) == ["search.json", "trial_000"]
