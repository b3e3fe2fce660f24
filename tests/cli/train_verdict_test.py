"""How a training ends: the verdict on the quick preset, shortened, and commands that go on."""

import glob
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import l2l_tf
from l2l_tf.config import presets
from l2l_tf.evaluation import protocol
from tests import programs
from tests.tiny_training import MNIST
from tests.tiny_training import run

QUICK = ["--problem=mnist", "--data=bundled", "--num_steps=50", "--unroll_length=50"]
QUICK += ["--num_epochs=1", "--episodes_per_epoch=1", "--learning_rate=1e-7"]
QUICK += ["--learning_rate_decay=0", "--validation_runs=2", "--test_runs=4"]
ONE_EPOCH = [*MNIST, "--num_epochs=1"]
RATIO = r"\d\S* \(\d\S* to \d\S*\) times Adam's"


def stand_still(directory):
  """Saves an optimizer of the preset's kind whose updates are 0."""
  optimizer = presets.PRESETS["quick"]["mnist"].optimizer.build(0)
  for variable in optimizer.trainable_variables:
    variable.assign(np.zeros(variable.shape))
  l2l_tf.save_optimizer(directory, optimizer, {})
  return directory


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [True, False])
def test_the_verdict_on_the_quick_preset(tmp_path, ahead):
  start = "mnist_lstm" if ahead else stand_still(str(tmp_path / "still"))
  run_dir = str(tmp_path / "run")
  status, out, err = run(*QUICK, "--tuning_runs=1", f"--init_from={start}", f"--run_dir={run_dir}")
  assert status == 0, err
  what, word = ("beats tuned Adam", "ahead") if ahead else ("does not beat tuned Adam", "behind")
  pattern = rf"The learned optimizer {what}: its mean loss is {RATIO} \({word}\), its final loss"
  assert re.search(rf"^{pattern} {RATIO} \({word}\)\.$", out, re.M), out
  assert "\r" not in out + err and not re.search(r"\b(inf|nan)\b", out + err)
  said = ["Tuning Adam and SGD, 30 learning rates each, 2 instances\n", "Epoch 1 of 1: loss "]
  assert all(words in err for words in [*said, "Testing on 4 fresh instances\n"])


def test_without_adam(tmp_path):
  status, out, _ = run(*ONE_EPOCH, "--tuning_runs=0", f"--run_dir={tmp_path / 'run'}")
  assert status == 0
  pattern = (
    r"takes the loss from 2\.\d+ to 2\.\d+; it was compared with no other\. \(--tuning_runs=0\)"
  )
  assert re.search(pattern, out)
  assert re.search(r"bin/visualize\.py .* --tuning_runs=1 ", out)


def test_where_no_rate_serves_adam_it_loses(tmp_path, monkeypatch):
  monkeypatch.setattr(protocol, "best_rate", lambda losses: None)
  status, out, err = run(*ONE_EPOCH, f"--run_dir={tmp_path / 'run'}")
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


@pytest.mark.slow
def test_the_commands_that_are_printed_work_as_they_are(tmp_path):
  """From the folder of the training, in a shell; and TensorFlow greets nobody."""
  here = tmp_path / "it's here"
  here.mkdir()
  program = os.path.relpath(programs.ROOT / "bin" / "train.py", here)
  log = execute(f"{sys.executable} {program} {' '.join(MNIST)}", here)
  assert "All log messages before" not in log and "\r" not in log and " inf" not in log
  keras, look, train = re.findall(
    r"^  (\S*python\S* \S+(?:fit|visualize|train)\.py .*)$", log, re.M
  )
  (directory,) = glob.glob("runs/mnist-*", root_dir=here)
  found = execute(keras, here)
  assert re.search(r"learned +second epoch: loss \d", found)
  found = execute(look, here)
  assert f"Written to {directory}/proposals.json" in found
  assert os.listdir(here / directory / "proposals")
  found = execute(train, here)
  assert "its mean loss is " in found and len(glob.glob("runs/mnist-*", root_dir=here)) == 2
  assert os.listdir(here) == ["runs"]
