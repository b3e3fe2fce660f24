"""How a training ends: the verdict on the quick preset, shortened, and commands that go on."""

import glob
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest

import l2l_tf
from l2l_tf.cli.work import next_steps
from l2l_tf.config import presets
from l2l_tf.evaluation import protocol
from tests import programs
from tests.tiny_training import BOWL
from tests.tiny_training import eagerly
from tests.tiny_training import run
from tests.tiny_training import run_eagerly

QUICK = ["--problem=mnist", "--data=bundled", "--num_steps=14", "--unroll_length=14"]
QUICK += ["--num_epochs=1", "--episodes_per_epoch=1", "--learning_rate=1e-7"]
QUICK += ["--learning_rate_decay=0", "--validation_runs=2", "--test_runs=4"]
ONE_EPOCH = [*BOWL, "--num_epochs=1"]
RATIO = r"\d\S* \(\d\S* to \d\S*\) times Adam's"


def stand_still(directory):
  """Saves an optimizer of `BOWL`'s kind whose updates are 0."""
  optimizer = presets.PRESETS["quick"]["bowl"].optimizer.replace(layer_sizes=(3,)).build(0)
  for variable in optimizer.trainable_variables:
    variable.assign(np.zeros(variable.shape))
  l2l_tf.save_optimizer(directory, optimizer, {})
  return directory


def assert_verdict(done, what, word, instances, runs):
  """What a training that ended with its verdict has printed."""
  status, out, err = done
  assert status == 0, err
  pattern = rf"The learned optimizer {what}: its mean loss is {RATIO} \({word}\), its final loss"
  assert re.search(rf"^{pattern} {RATIO} \({word}\)\.$", out, re.M), out
  assert "\r" not in out + err and not re.search(r"\b(inf|nan)\b", out + err)
  said = [f"Tuning Adam and SGD, 30 learning rates each, {runs} runs\n", "Epoch 1 of 1: loss "]
  assert all(words in err for words in [*said, f"Testing on {instances} fresh instances\n"])


@pytest.mark.slow
def test_the_verdict_on_the_quick_preset(tmp_path):
  words = ["--tuning_runs=1", "--init_from=mnist_lstm", f"--run_dir={tmp_path / 'run'}"]
  assert_verdict(run(*QUICK, *words), "beats tuned Adam", "ahead", 4, 2 * (10 + 2))


@pytest.mark.slow
def test_what_stands_still_is_behind(tmp_path):
  start = stand_still(str(tmp_path / "still"))
  words = ["--learning_rate=1e-7", "--test_runs=20", f"--init_from={start}"]
  done = run_eagerly(*ONE_EPOCH, *words, f"--run_dir={tmp_path / 'run'}")
  assert_verdict(done, "does not beat tuned Adam", "behind", 20, 2 * 30)


def test_without_adam(tmp_path):
  status, out, _ = run_eagerly(*ONE_EPOCH, "--tuning_runs=0", f"--run_dir={tmp_path / 'run'}")
  assert status == 0
  pattern = (
    r"takes the loss from 1\.\d+ to 1\.\d+; it was compared with no other\. \(--tuning_runs=0\)"
  )
  assert re.search(pattern, out)
  assert re.search(r"bin/visualize\.py .* --tuning_runs=1 ", out)


@pytest.mark.slow
def test_where_no_rate_serves_adam_it_loses(tmp_path, monkeypatch):
  monkeypatch.setattr(protocol, "least", lambda final: None)
  status, out, err = run_eagerly(*ONE_EPOCH, f"--run_dir={tmp_path / 'run'}")
  assert status == 0, err
  assert "learning rates: none, all diverge, SGD's: none, all diverge" in out
  assert re.search(r"^  Adam, no learning rate +diverged +diverged$", out, re.M), out
  assert "The learned optimizer beats tuned Adam, which diverged on 2 of 2 instances." in out


def execute(command, here):
  """Runs a line of a shell; returns what it prints, all together."""
  environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
  environment["PYTHONPATH"] = str(programs.ROOT)
  done = subprocess.run(
    command, shell=True, cwd=here, env=environment, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, (command, done.stdout, done.stderr)
  return done.stdout + done.stderr


def execute_here(command, monkeypatch, capsys):
  """Runs a line of a shell that starts one of our programs, but in this process."""
  python, path, *words = shlex.split(command)
  assert python == sys.executable
  path = pathlib.Path(path).resolve(strict=True)
  capsys.readouterr()
  if path == programs.ROOT / "examples" / "pretrained_in_fit.py":
    monkeypatch.setattr(sys, "argv", [str(path), *words])
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # it goes far beyond its horizon
      runpy.run_path(str(path), run_name="__main__")
    status = 0
  else:
    assert path.parent == programs.ROOT / "bin"
    with eagerly():
      status = programs.run(programs.load(path.stem).main, *words)
  done = capsys.readouterr()
  assert status == 0, (command, done.out, done.err)
  return done.out + done.err


@pytest.mark.slow
def test_the_commands_that_are_printed_work_as_they_are(tmp_path, monkeypatch, capsys):
  """From the folder of the training, which is in a shell; and TensorFlow greets nobody."""
  here = tmp_path / "it's here"
  here.mkdir()
  program = os.path.relpath(programs.ROOT / "bin" / "train.py", here)
  words = [*ONE_EPOCH, "--num_steps=2"]
  log = execute(f"{sys.executable} {program} {' '.join(words)}", here)
  assert "All log messages before" not in log and "\r" not in log and " inf" not in log
  keras, look, train = re.findall(
    r"^  (\S*python\S* \S+(?:fit|visualize|train)\.py .*)$", log, re.M
  )
  (directory,) = glob.glob("runs/bowl-*", root_dir=here)
  monkeypatch.chdir(here)
  found = execute_here(keras, monkeypatch, capsys)
  assert re.search(r"learned +second epoch: loss \d", found)
  found = execute_here(look, monkeypatch, capsys)
  assert f"Written to {directory}/proposals.json" in found
  assert os.listdir(here / directory / "proposals")
  found = execute_here(train, monkeypatch, capsys)
  assert "its mean loss is " in found and len(glob.glob("runs/bowl-*", root_dir=here)) == 2
  assert os.listdir(here) == ["runs"]


def test_what_goes_on_from_a_training_at_the_bounds_of_the_flags_is_within_them():
  preset = presets.PRESETS["quick"]["bowl"]
  training = preset.training.replace(seed=2**31 - 1, learning_rate=1e-9)
  next_training = next_steps._gentler(preset.replace(training=training)).training
  assert next_training.seed == 0 and next_training.learning_rate == 1e-9


def test_a_resume_keeps_the_flags_of_the_test():
  flags = (
    programs.load("train").make_flags().parse(["train.py", "--test_runs=7", "--tuning_runs=0"])
  )
  words = programs.work("train")._resume_command(types.SimpleNamespace(directory="it's"), flags)
  assert words.endswith("""--resume '--run_dir=it'"'"'s' --tuning_runs=0 --test_runs=7""")
