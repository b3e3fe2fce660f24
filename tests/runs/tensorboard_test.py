"""Tests of the event files of a meta-training: what is written when."""

import glob
import os

import numpy as np
import pytest
from tensorboard.plugins.hparams import metadata
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.inspection import observation
from l2l_tf.inspection import sweep_files
from l2l_tf.problems.base import make_seeds
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import tensorboard

(SEED,) = make_seeds(2, count=1)
RATES = {"adam": 0.1, "sgd": 0.3}


@pytest.fixture(name="seen", scope="module")
def _seen():
  optimizer = optimizers.CoordinatewiseLSTM((3,), seed=7)
  observe = observation.Observer(problems.bowl(4), optimizer, RATES, SEED, 4)
  return observe(optimizer.trainable_variables)


def row(epoch):
  return {key: epoch + 0.1 * i for i, key in enumerate(tensorboard.SCALARS)} | {"epoch": epoch}


LEARNED = np.geomspace(2, 1, 5)
RIVALS = {"adam": np.geomspace(2, 1.5, 5), "sgd": np.array([2, np.inf, np.nan, np.nan, np.nan])}
PARSERS = {
  metadata.SESSION_START_INFO_TAG: metadata.parse_session_start_info_plugin_data,
  metadata.EXPERIMENT_TAG: metadata.parse_experiment_plugin_data,
}
CONFIG = {"experiment": {"training": {"seed": 3, "rates": [1, 2]}, "note": "a|b `c`"}, "data": "d"}


def events(directory):
  """{tag: {step: value}}."""
  found = {}
  for path in glob.glob(os.path.join(directory, "events*")):
    for event in tf.compat.v1.train.summary_iterator(path):
      for value in event.summary.value:
        found.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor)
  return found


@pytest.mark.slow
def test_numbers_of_every_epoch_and_pictures_of_some(tmp_path, seen):
  epochs = list(range(1, 8))
  with tensorboard.Summaries(str(tmp_path), CONFIG, "python bin/train.py", RIVALS) as writer:
    for epoch in epochs:
      writer.epoch(row(epoch), LEARNED, lambda: seen, is_last=epoch == 7)
  found = events(str(tmp_path))
  config = found.pop("config")[0].item().decode()
  assert "\n| experiment/training/rates | `[1, 2]` |\n" in config
  assert "| experiment/note | `\"a\\|b 'c'\"` |" in config and '| data | `"d"` |' in config
  assert found.pop("command")[0].item() == b"    python bin/train.py"
  found.pop("_hparams_/session_start_info"), found.pop("_hparams_/experiment")
  for key, (tag, _) in tensorboard.SCALARS.items():
    values = found.pop(tag)
    np.testing.assert_allclose([values[t] for t in epochs], [row(t)[key] for t in epochs])
  assert tensorboard.OBSERVED.keys() <= seen.scalars.keys()
  for key, (tag, _) in tensorboard.OBSERVED.items():
    values = found.pop(tag)
    assert list(values) == epochs
    np.testing.assert_allclose(list(values.values()), [seen.scalars[key]] * 7, rtol=1e-6)
  sweeps = {tensorboard.SWEEPS.format(step) for step in (1, 2, 4)}
  assert found.keys() == {tensorboard.CURVES} | sweeps
  for pictures in found.values():
    assert list(pictures) == [1, 2, 4, 7]
    for _, _, png in pictures.values():
      assert tf.io.decode_png(png).numpy().std() > 10


def test_adam_is_a_run_of_its_own_if_it_has_a_rate(tmp_path, seen):
  for name, rivals in (("with", RIVALS), ("diverged", {"adam": RIVALS["sgd"]}), ("without", {})):
    with tensorboard.Summaries(str(tmp_path / name), CONFIG, curves=rivals) as writer:
      writer.epoch(row(5), LEARNED, lambda: seen)
  found = events(str(tmp_path / "with" / "Adam"))
  assert found.keys() == {tensorboard.FINAL, tensorboard.MEAN}
  np.testing.assert_allclose(found[tensorboard.FINAL][5], RIVALS["adam"].mean(), rtol=1e-6)
  np.testing.assert_allclose(found[tensorboard.MEAN][5], RIVALS["adam"][1:].mean(), rtol=1e-6)
  assert not (tmp_path / "diverged" / "Adam").exists()
  assert not (tmp_path / "without" / "Adam").exists()


def test_every_hyperparameter_is_one_of_hparams_and_the_best_loss_their_metric(tmp_path):
  with tensorboard.Summaries(str(tmp_path / "mnist"), CONFIG):
    pass
  (path,) = glob.glob(str(tmp_path / "mnist" / "events*"))
  found = {}
  for event in tf.compat.v1.train.summary_iterator(path):
    for value in event.summary.value:
      if value.metadata.plugin_data.plugin_name == "hparams":
        parse = PARSERS[value.tag]
        found[value.tag] = parse(value.metadata.plugin_data.content)
  session = found[metadata.SESSION_START_INFO_TAG]
  assert session.hparams["training/seed"].number_value == 3 and session.group_name
  assert session.hparams["training/rates"].string_value == "[1, 2]"
  (metric,) = found[metadata.EXPERIMENT_TAG].metric_infos
  assert metric.name.tag == tensorboard.OBJECTIVE == "loss/validation_least"


@pytest.mark.slow
def test_the_sweeps_of_every_epoch_are_written(tmp_path, seen):
  with tensorboard.Summaries(str(tmp_path), CONFIG, curves=RIVALS) as writer:
    for epoch in (1, 2, 3):
      writer.epoch(row(epoch), LEARNED, lambda: seen)
  paths = sweep_files.paths(str(tmp_path))
  assert list(paths) == [1, 2, 3]
  found = sweep_files.read(paths[2])
  assert found == sweep_files.make(2, seen.proposed, {"learned": LEARNED, **RIVALS})
  assert found["validation"]["sgd"] == [2, None, None, None, None]


def test_sweeps_that_diverge_are_left_out_and_said(tmp_path, seen, caplog):
  bad = seen._replace(proposed=seen.proposed | {"losses": np.full(5, np.nan)})
  with tensorboard.Summaries(str(tmp_path), CONFIG) as writer:
    writer.epoch(row(1), LEARNED, lambda: bad)
  assert sweep_files.paths(str(tmp_path)) == {} and "Epoch 1 has no sweeps: losses" in caplog.text


def test_without_sweeps_there_is_no_picture_of_them(tmp_path):
  alone = observation.Observation({"update": 1.0}, {})
  with tensorboard.Summaries(str(tmp_path), {}) as writer:
    writer.epoch(row(1), LEARNED, lambda: alone, is_last=True)
  found = events(str(tmp_path))
  assert tensorboard.CURVES in found and not any("proposals" in tag for tag in found)
  assert found["trajectory/update_magnitude"] == {1: 1.0}


def test_a_directory_that_cannot_be_written_is_one_clear_error(tmp_path):
  (tmp_path / "events").write_text("a file")
  with pytest.raises(run_directory.RunError, match="Cannot write to .*events: "):
    tensorboard.Summaries(str(tmp_path / "events"), {})
