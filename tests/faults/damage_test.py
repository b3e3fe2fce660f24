"""Checkpoints with random damage: the one before is used, and training ends as if undamaged."""

import glob
import os
import random
import shutil

import pytest

from l2l_tf.runs import run as training_run
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from tests.faults import table
from tests.faults import victims
from tests.tiny_training import run
from tests.tiny_training import train

pytestmark = pytest.mark.slow


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory):
  """A finished run of eight checkpoints, two of them kept, and its last state."""
  directory = str(tmp_path_factory.mktemp("runs") / "bowl")
  flags = train.make_flags().parse(["train.py", *victims.TRAIN])
  with training_run.TrainingRun.new(directory, train.experiment_flags.experiment(flags)) as first:
    first.train()
  return directory, victims.final_state(directory)


def flip(data, dice):
  data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def truncate(data, dice):
  del data[dice.randrange(len(data)) :]


def zero(data, dice):
  first = dice.randrange(len(data))
  data[first:] = bytes(len(data) - first)


DAMAGES = {"flipped bits": flip, "truncated": truncate, "zeroed": zero}


@pytest.mark.parametrize(
  "damage",
  ["flipped bits", *(pytest.param(n, marks=table.thorough) for n in ("truncated", "zeroed"))],
)
def test_the_newest_checkpoint_is_damaged(whole, tmp_path, damage):
  """Restored is what was saved, of the newest or of the one before; never anything else."""
  directory, expected = whole
  dice = random.Random(damage)
  paths = sorted(glob.glob(f"{directory}/checkpoints/*"), key=lambda p: (len(p), p))[-2:]
  for number in range(table.trials(1, 10)):
    copy = str(tmp_path / str(number))
    shutil.copytree(directory, copy)
    path = os.path.join(copy, "checkpoints", os.path.basename(dice.choice(paths)))
    with open(path, "rb") as file:
      data = bytearray(file.read())
    DAMAGES[damage](data, dice)
    with open(path, "wb") as file:
      file.write(data)
    with table.trial(f"newest checkpoint {damage}"):
      with training_run.TrainingRun.resume(copy) as again:
        assert again.trainer.progress.epoch >= 3
        again.train()
      victims.assert_same_state(copy, expected)


def test_best_is_verified(whole, tmp_path):
  directory, _ = whole
  best, dice = str(tmp_path / "best"), random.Random(0)
  path = os.path.join(best, "optimizer.safetensors")
  for _ in range(table.trials(20, 1000)):
    shutil.copytree(os.path.join(directory, "best"), best, dirs_exist_ok=True)
    with open(path, "rb") as file:
      data = bytearray(file.read())
    flip(data, dice)
    with open(path, "wb") as file:
      file.write(data)
    with table.trial("best/ with a flipped bit"), pytest.raises(files.CheckpointError) as info:
      optimizer_files.load_optimizer(best)
    assert "damaged" in str(info.value)


def test_what_changed_between_stop_and_resume(whole, tmp_path, monkeypatch, caplog):
  """Another TensorFlow or cell goes on with a warning; other data and instances are refused."""
  directory, _ = whole
  copy = str(tmp_path / "run")
  shutil.copytree(directory, copy)
  config = files.read_json(os.path.join(copy, "config.json"))
  config["versions"] |= {"tensorflow": "2.20.0", "lstm_cell": "compiled 123"}
  files.write_json(os.path.join(copy, "config.json"), config)
  with table.trial("another TensorFlow"), caplog.at_level("WARNING", "absl"):
    training_run.TrainingRun.resume(copy)
    assert "began with TensorFlow 2.20.0 and goes on with" in caplog.text
    assert "cell compiled 123 and goes on with it in TensorFlow's operations" in caplog.text
  changes = {
    "other data": {"data": "tfds mnist"},
    "data that changed": {"data_sha256": 64 * "0"},
    "another number of replicas": {"replicas": 2},
  }
  for what, change in changes.items():
    files.write_json(os.path.join(copy, "config.json"), {**config, **change})
    with table.trial(what):
      status, _, err = run("--resume", f"--run_dir={copy}")
      assert status == 1 and "was trained on" in err and "Traceback" not in err
