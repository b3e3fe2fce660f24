"""Tests of the checkpoints that a training resumes from: the newest one, and damaged ones."""

import os

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import checkpoint
from l2l_tf.checkpoint import CheckpointError


def test_training_checkpoint_restores_the_newest(tmp_path):
  variable = tf.Variable([1.0, 2.0])
  writer = checkpoint.TrainingCheckpoint(str(tmp_path), {"v": variable})
  for number in range(4):
    variable.assign([number, number + 1.0])
    writer.save(f"text {number}", number)
  other = tf.Variable([0.0, 0.0])
  assert checkpoint.TrainingCheckpoint(str(tmp_path), {"v": other}).restore() == "text 3"
  np.testing.assert_array_equal(other, [3.0, 4.0])
  assert sum(name.endswith(".index") for name in os.listdir(tmp_path)) == 2


def remove_file(path):
  os.remove(path)


def empty_file(path):
  os.truncate(path, 0)


def halve_file(path):
  os.truncate(path, os.path.getsize(path) // 2)


def flip_bit(path):
  with open(path, "r+b") as file:
    file.seek(os.path.getsize(path) // 2)
    byte = file.read(1)[0]
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("damage", [remove_file, empty_file, halve_file, flip_bit])
def test_a_damaged_training_checkpoint(tmp_path, suffix, damage):
  variable = tf.Variable(np.arange(1000.0))
  checkpoint.TrainingCheckpoint(str(tmp_path), {"v": variable}).save("text", 1)
  damage(str(tmp_path / f"ckpt-1{suffix}"))
  with pytest.raises(CheckpointError, match="damaged|no checkpoint") as info:
    checkpoint.TrainingCheckpoint(str(tmp_path), {"v": variable}).restore()
  assert "\n" not in str(info.value) and str(tmp_path) in str(info.value)


def test_a_training_checkpoint_of_something_else(tmp_path):
  checkpoint.TrainingCheckpoint(str(tmp_path), {"v": tf.Variable([1.0, 2.0])}).save("text", 1)
  for other in ({"v": tf.Variable([1.0])}, {"w": tf.Variable([1.0, 2.0])}):
    with pytest.raises(CheckpointError, match="does not fit this training"):
      checkpoint.TrainingCheckpoint(str(tmp_path), other).restore()


def test_an_empty_directory_has_no_training_checkpoint(tmp_path):
  with pytest.raises(CheckpointError, match="no checkpoint in .* to resume from"):
    checkpoint.TrainingCheckpoint(str(tmp_path), {}).restore()
