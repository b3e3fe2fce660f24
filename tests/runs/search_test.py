"""Tests of the random search of the meta learning rate."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import optuna
import pytest

from l2l_tf.config.presets import PRESETS
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import run as training_run
from l2l_tf.runs import search
from tests import programs

TINY = {"num_tasks": 4, "num_steps": 4, "unroll_length": 2, "episodes_per_epoch": 1}
TINY |= {"jit_compile": False}


def tiny_experiment():
  """Bowls, two epochs of next to nothing."""
  preset = PRESETS["quick"]["bowl"]
  training = preset.training.replace(num_epochs=2, validation_runs=4, **TINY)
  return preset.replace(training=training)


@pytest.fixture(name="experiment", scope="module")
def _experiment():
  return tiny_experiment()


def _states(study):
  return {t.user_attrs["index"]: t.state.name for t in study.get_trials()}


def test_rates_are_reproducible_and_log_uniform():
  rates = [search.learning_rate(0, i) for i in range(400)]
  assert rates == [search.learning_rate(0, i) for i in range(400)]
  low, high = search.RATES
  assert low <= min(rates) and max(rates) <= high
  middle = (low * high) ** 0.5
  assert 160 < sum(rate < middle for rate in rates) < 240


def test_search_settles_every_trial_and_a_second_call_adds_only_the_missing(tmp_path, experiment):
  directory = str(tmp_path)
  study = search.search(directory, experiment, 2)
  assert _states(study) == {0: "COMPLETE", 1: "COMPLETE"}
  losses = {t.user_attrs["index"]: t.value for t in study.get_trials()}
  for index, loss in losses.items():
    config = json.loads((tmp_path / f"trial_{index:03d}" / "best" / "config.json").read_text())
    assert config["about"]["validation_final_loss"] == loss
    training = config["about"]["experiment"]["training"]
    assert training["learning_rate"] == search.learning_rate(0, index)
  study = search.search(directory, experiment, 3)
  assert sorted(_states(study)) == [0, 1, 2] and len(study.get_trials()) == 3
  assert f"{min(losses.values()):.5g}" in search.table(study)
  assert len(search.table(study).splitlines()) == 4


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
  monkeypatch.setattr(training_run.TrainingRun, "train", train)
  study = search.search(directory, experiment, 1)
  undisturbed = search.search(os.path.join(directory, "other"), experiment, 1)
  assert study.best_value == undisturbed.best_value
  assert [t.state.name for t in study.get_trials()] == ["FAIL", "COMPLETE"]


def test_a_bad_trial_is_pruned(tmp_path, experiment, monkeypatch):
  monkeypatch.setattr(optuna.Trial, "should_prune", lambda self: True)
  study = search.search(str(tmp_path), experiment, 1)
  assert _states(study) == {0: "PRUNED"}


def test_a_trial_is_settled_before_its_directory_is_given_back(tmp_path, experiment, monkeypatch):
  """Of old, another process could take it for abandoned in between."""
  unlock, seen = run_directory.unlock, []

  def look(directory, *args, **options):
    if os.path.isdir(os.path.join(directory, "best")):
      seen.extend(study.get_trials())
    unlock(directory, *args, **options)

  study = search._open(str(tmp_path / search.STUDY_FILE), experiment)
  monkeypatch.setattr(run_directory, "unlock", look)
  search.search(str(tmp_path), experiment, 1)
  assert [trial.state.name for trial in seen] == ["COMPLETE"]


DIE = """
import os, signal, sys
from l2l_tf.runs import search
from tests.runs import search_test
what, method = sys.argv[2].split(".")
owner = {"Study": search.optuna.Study, "run_directory": search.run_directory}[what]
original = getattr(owner, method)
def die(*args, **options):
  original(*args, **options)
  os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, method, die)
search.search(sys.argv[1], search_test.tiny_experiment(), 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["Study.ask", "run_directory.unlock"])
def test_a_process_killed_at_any_moment_leaves_its_trial_to_the_next(tmp_path, experiment, moment):
  """Of old, one killed between taking a trial and signing it kept it for ever."""
  command = [sys.executable, "-c", DIE, str(tmp_path), moment]
  assert subprocess.run(command, check=False, cwd=programs.ROOT).returncode == -signal.SIGKILL
  study = search.search(str(tmp_path), experiment, 2)
  done = [t.user_attrs["index"] for t in study.get_trials() if t.state.name == "COMPLETE"]
  assert sorted(done) == [0, 1]
  assert search.search(str(tmp_path), experiment, 2).get_trials() == study.get_trials()


def test_a_line_half_written_by_a_killed_process_harms_no_other(tmp_path, experiment):
  """Of old, the next line was written behind it and the study could not be read any more."""
  first = search.search(str(tmp_path), experiment, 1).best_value
  with open(tmp_path / search.STUDY_FILE, "ab") as file:
    file.write(b'{"op_code":4,"worker_id":"')
  study = search.search(str(tmp_path), experiment, 2)
  study = search.search(str(tmp_path), experiment, 2)
  assert _states(study) == {0: "COMPLETE", 1: "COMPLETE"}
  assert study.get_trials()[0].value == first


def test_two_processes_that_begin_at_once_add_each_trial_once(tmp_path, experiment, monkeypatch):
  """Of old, each added the trials that it had not yet seen of the other."""
  get_trials = optuna.Study.get_trials

  def slow(*args, **options):
    trials = get_trials(*args, **options)
    time.sleep(0.3)
    return trials

  monkeypatch.setattr(optuna.Study, "get_trials", slow)
  monkeypatch.setattr(search, "_take", lambda *args: None)
  searches = [
    threading.Thread(target=search.search, args=(str(tmp_path), experiment, 2)) for _ in range(2)
  ]
  for thread in searches:
    thread.start()
  for thread in searches:
    thread.join()
  monkeypatch.undo()
  storage = optuna.storages.journal.JournalFileBackend(str(tmp_path / search.STUDY_FILE))
  study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(storage))
  assert [t.user_attrs.get("index") for t in study.get_trials()] == [0, 1]


def test_a_trial_that_died_before_it_began_is_started_again(tmp_path, experiment):
  (tmp_path / "trial_000" / "checkpoints").mkdir(parents=True)
  (tmp_path / "trial_000" / "config.json.1a2b3c4d.tmp").write_text("{")
  assert _states(search.search(str(tmp_path), experiment, 1)) == {0: "COMPLETE"}


def test_another_experiment_and_a_corrupt_study_are_refused(tmp_path, experiment):
  search.search(str(tmp_path), experiment, 1)
  other = experiment.replace(training=experiment.training.replace(num_epochs=3))
  with pytest.raises(training_run.RunError, match="another experiment"):
    search.search(str(tmp_path), other, 1)
  for text in ("{not json}\n{\n", "mine"):
    (tmp_path / search.STUDY_FILE).write_text(text)
    with pytest.raises(training_run.RunError, match="not a study"):
      search.search(str(tmp_path), experiment, 1)
    assert (tmp_path / search.STUDY_FILE).read_text() == text
