"""Tests of the checkpoints that a training resumes from: the newest one, and damaged ones."""

import os

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.runs.checkpoints import TrainingCheckpoint
from l2l_tf.storage.files import CheckpointError


def test_training_checkpoint_restores_the_newest(tmp_path):
  variable = tf.Variable([1.0, 2.0])
  writer = TrainingCheckpoint(str(tmp_path), {"v": variable})
  for number in range(4):
    variable.assign([number, number + 1.0])
    writer.save(f"text {number}")
  other = tf.Variable([0.0, 0.0])
  assert TrainingCheckpoint(str(tmp_path), {"v": other}).restore() == "text 3"
  np.testing.assert_array_equal(other, [3.0, 4.0])
  assert sum(name.endswith(".index") for name in os.listdir(tmp_path)) == 2


def remove_file(path):
  os.remove(path)


def empty_file(path):
  os.truncate(path, 0)


def halve_file(path):
  os.truncate(path, os.path.getsize(path) // 2)


def zero_file(path):
  size = os.path.getsize(path)
  os.truncate(path, 0)
  os.truncate(path, size)


def flip_bit(path):
  with open(path, "r+b") as file:
    file.seek(os.path.getsize(path) // 2)
    byte = file.read(1)[0]
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("damage", [remove_file, empty_file, zero_file, halve_file, flip_bit])
def test_a_damaged_training_checkpoint(tmp_path, suffix, damage):
  variable = tf.Variable(np.arange(1000.0))
  TrainingCheckpoint(str(tmp_path), {"v": variable}).save("text")
  damage(str(tmp_path / f"ckpt-0{suffix}"))
  with pytest.raises(CheckpointError, match="damaged|no checkpoint") as info:
    TrainingCheckpoint(str(tmp_path), {"v": variable}).restore()
  assert "\n" not in str(info.value) and str(tmp_path) in str(info.value)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("damage", [remove_file, empty_file, zero_file, halve_file, flip_bit])
def test_the_one_before_a_damaged_checkpoint_is_used_and_kept(tmp_path, caplog, suffix, damage):
  variable = tf.Variable(np.zeros(1000))
  writer = TrainingCheckpoint(str(tmp_path), {"v": variable})
  for number in range(3):
    variable.assign(np.full(1000, 1.0 + number))
    writer.save(f"text {number}")
  damage(str(tmp_path / f"ckpt-2{suffix}"))
  again = TrainingCheckpoint(str(tmp_path), {"v": variable})
  with caplog.at_level("WARNING", "absl"):
    assert again.restore() == "text 1"
  np.testing.assert_array_equal(variable, np.full(1000, 2.0))
  is_seen = not (damage is remove_file and suffix == ".index")  # that was never written to its end
  assert ("ckpt-2 is damaged" in caplog.text and "ckpt-1, is used" in caplog.text) == is_seen
  again.save("text 3")
  assert {name.split(".")[0] for name in os.listdir(tmp_path)} == {"ckpt-1", "ckpt-3"}
  assert TrainingCheckpoint(str(tmp_path), {"v": variable}).restore() == "text 3"


def test_nothing_that_a_list_of_checkpoints_names_is_removed(tmp_path):
  """TensorFlow's own managers remove it."""
  mine = tmp_path / "mine.index"
  mine.write_text("mine")
  directory = tmp_path / "checkpoints"
  writer = TrainingCheckpoint(str(directory), {"v": tf.Variable(1.0)})
  writer.save("text")
  names = [tmp_path / "mine", directory / "ckpt-0"]
  lines = [f'all_model_checkpoint_paths: "{name}"' for name in names]
  (directory / "checkpoint").write_text("\n".join([f'model_checkpoint_path: "{names[1]}"', *lines]))
  again = TrainingCheckpoint(str(directory), {"v": tf.Variable(1.0)})
  again.restore()
  for _ in range(3):
    again.save("text")
  assert mine.read_text() == "mine"


def test_checkpoints_of_tensorflows_manager_are_taken_up(tmp_path):
  """Those of runs that began with earlier versions."""
  old = tf.train.Checkpoint(text=tf.Variable("text"), v=tf.Variable([1.0, 2.0]))
  tf.train.CheckpointManager(old, str(tmp_path), 2).save(700)
  variable = tf.Variable([0.0, 0.0])
  checkpoint = TrainingCheckpoint(str(tmp_path), {"v": variable})
  assert checkpoint.restore() == "text" and variable.numpy().tolist() == [1.0, 2.0]
  checkpoint.save("more")
  assert TrainingCheckpoint(str(tmp_path), {"v": variable}).restore() == "more"


def test_a_training_checkpoint_of_something_else(tmp_path):
  TrainingCheckpoint(str(tmp_path), {"v": tf.Variable([1.0, 2.0])}).save("text")
  for other in ({"v": tf.Variable([1.0])}, {"w": tf.Variable([1.0, 2.0])}):
    with pytest.raises(CheckpointError, match="does not fit this training"):
      TrainingCheckpoint(str(tmp_path), other).restore()


def test_an_empty_directory_has_no_training_checkpoint(tmp_path):
  with pytest.raises(CheckpointError, match="no checkpoint in .* to resume from"):
    TrainingCheckpoint(str(tmp_path), {}).restore()
