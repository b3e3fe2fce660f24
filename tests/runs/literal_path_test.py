"""Run directories of any name: what can be made can be resumed."""

import os

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.runs import literal_path
from l2l_tf.runs.checkpoints import TrainingCheckpoint
from tests import tiny_training

NAMES = ["[a]", "a*b", "a?", "{a,b}", "a\\b", "a b", " a ", "a\nb", "rün 學", "-a", "--resume"]
NAMES += ["%d%s", "a@3", "a:b", "http:", "~", "~nobody/x", "a,b", "a=b", "$HOME", "'\"`", "#", ";"]
NAMES += ["a.tmp", "ckpt-1.index", "a/", "a//", "./a/../b", "\udcff", "x" * 200, "best", "\x7f\t"]


@pytest.fixture(name="here", autouse=True)
def _here(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_checkpoints_and_events_are_written_and_found(name):
  directory = os.path.join(name, "checkpoints")
  for value in (1.0, 2.0, 3.0):
    TrainingCheckpoint(directory, {"v": tf.Variable(value)}).save(str(value))
  restored = tf.Variable(0.0)
  assert TrainingCheckpoint(directory, {"v": restored}).restore() == "3.0"
  np.testing.assert_equal(restored.numpy(), 3.0)
  with literal_path.event_writer(os.path.join(name, "events")).as_default(step=0):
    tf.summary.scalar("x", 1.0)
  assert len(os.listdir(os.path.join(name, "events"))) == 1
  assert not [n for n in os.listdir(directory) if not n.startswith("ckpt-")]


def test_a_pattern_does_not_find_the_checkpoint_of_another_run():
  for name, value in (("run1", 1.0), ("run[12]", 2.0)):
    TrainingCheckpoint(name, {"v": tf.Variable(value)}).save("")
  restored = tf.Variable(0.0)
  TrainingCheckpoint("run[12]", {"v": restored}).restore()
  assert restored.numpy() == 2.0


def test_a_plain_name_needs_no_link(here):
  assert literal_path.of("a/b c:ü") == str(here / "a" / "b c:ü")
  link = literal_path.of("a[1]")
  assert os.readlink(link) == str(here / "a[1]") and literal_path.of("./a[1]/") == link


@pytest.mark.slow
@pytest.mark.parametrize("name", ["-[a]*?\\{b,c} @%d:\nü,=~'\"$", "a/"])
def test_a_training_is_resumed(name):
  """And the commands that it prints name it."""
  words = [*tiny_training.BOWL, "--num_epochs=1"]
  status, _, err = tiny_training.run(*words, f"--run_dir={name}")
  assert status == 0, err
  status, out, err = tiny_training.run("--resume", f"--run_dir={name}", "--test_runs=2")
  assert status == 0 and "Trained 1 of at most 1 epochs" in out, err
  assert sorted(entry for entry in os.listdir(name) if "tfevents" not in entry) == [
    *["Adam", "best", "checkpoints", "config.json", "learning_curves.png", "lock", "sweeps"],
    "view.html",
  ]
  best = os.path.join(name, "best")
  words += ["--tuning_runs=0", f"--init_from={best}", "--run_dir=next"]
  status, _, err = tiny_training.run(*words)
  assert status == 0, err
