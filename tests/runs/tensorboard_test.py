"""Tests of the event files of a meta-training: what is written when."""

import glob
import os

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.inspection import observation
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


CURVES = {"learned": np.geomspace(2, 1, 5), "adam": np.geomspace(2, 1.5, 5)}


def events(directory):
  """{tag: {step: value}}."""
  found = {}
  for path in glob.glob(os.path.join(directory, "events*")):
    for event in tf.compat.v1.train.summary_iterator(path):
      for value in event.summary.value:
        found.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor)
  return found


def test_numbers_of_every_epoch_and_pictures_of_every_fifth_and_the_last(tmp_path, seen):
  epochs = list(range(1, 9))
  with tensorboard.Summaries(str(tmp_path), {"a": 1}) as writer:
    for epoch in epochs:
      writer.epoch(row(epoch), CURVES, lambda: seen, is_last=epoch == 8)
  found = events(str(tmp_path))
  assert b'"a": 1' in found.pop("config")[0].item()
  for key, (tag, _) in tensorboard.SCALARS.items():
    values = found.pop(tag)
    np.testing.assert_allclose([values[t] for t in epochs], [row(t)[key] for t in epochs])
  assert tensorboard.OBSERVED.keys() <= seen.scalars.keys()
  for key, (tag, _) in tensorboard.OBSERVED.items():
    values = found.pop(tag)
    assert list(values) == epochs
    np.testing.assert_allclose(list(values.values()), [seen.scalars[key]] * 8, rtol=1e-6)
  assert found.keys() == {tensorboard.CURVES, tensorboard.SWEEPS}
  for pictures in found.values():
    assert list(pictures) == [1, 6, 8]
    for _, _, png in pictures.values():
      assert tf.io.decode_png(png).numpy().std() > 10


def test_without_sweeps_there_is_no_picture_of_them(tmp_path, seen):
  alone = observation.Observation({"update": 1.0}, {}, seen.steps)
  with tensorboard.Summaries(str(tmp_path), {}) as writer:
    writer.epoch(row(1), CURVES, lambda: alone, is_last=True)
  found = events(str(tmp_path))
  assert tensorboard.CURVES in found and not any("proposals" in tag for tag in found)
  assert found["trajectory/update_magnitude"] == {1: 1.0}


def test_a_directory_that_cannot_be_written_is_one_clear_error(tmp_path):
  (tmp_path / "events").write_text("a file")
  with pytest.raises(run_directory.RunError, match="Cannot write to .*events: "):
    tensorboard.Summaries(str(tmp_path / "events"), {})
