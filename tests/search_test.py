"""Tests of the random search of the meta learning rate."""

import dataclasses
import json
import os

import optuna
import pytest

from l2l_tf import search
from l2l_tf import training_run
from l2l_tf.experiments import PRESETS

TINY = {"num_tasks": 4, "num_steps": 4, "unroll_length": 2, "episodes_per_epoch": 1}
TINY |= {"jit_compile": False}


@pytest.fixture(name="experiment", scope="module")
def _experiment():
  preset = PRESETS["quick"]["bowl"]
  training = dataclasses.replace(preset.training, num_epochs=2, validation_runs=4, **TINY)
  return dataclasses.replace(preset, training=training)


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


def test_a_trial_whose_process_died_is_taken_up(tmp_path, experiment, monkeypatch):
  monkeypatch.setattr(search, "_run", lambda study, trial, *rest: _claim(trial))
  study = search.search(str(tmp_path), experiment, 1)
  monkeypatch.undo()
  assert _states(study) == {0: "RUNNING"}
  study = search.search(str(tmp_path), experiment, 1)
  assert [t.state.name for t in study.get_trials()] == ["FAIL", "COMPLETE"]


def test_a_trial_that_died_before_it_began_is_started_again(tmp_path, experiment):
  (tmp_path / "trial_000" / "checkpoints").mkdir(parents=True)
  (tmp_path / "trial_000" / "config.json.tmp").write_text("{")
  assert _states(search.search(str(tmp_path), experiment, 1)) == {0: "COMPLETE"}


def _claim(trial):
  pid = 2**22 + 1  # above the largest that Linux gives
  trial.set_user_attr("process", (search.socket.gethostname(), pid))


def test_another_experiment_and_a_corrupt_study_are_refused(tmp_path, experiment):
  search.search(str(tmp_path), experiment, 1)
  other = dataclasses.replace(
    experiment, training=dataclasses.replace(experiment.training, num_epochs=3)
  )
  with pytest.raises(training_run.RunError, match="another experiment"):
    search.search(str(tmp_path), other, 1)
  (tmp_path / search.STUDY_FILE).write_text("{not json}\n{\n")
  with pytest.raises(training_run.RunError, match="not a study"):
    search.search(str(tmp_path), experiment, 1)
