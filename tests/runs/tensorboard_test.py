"""Tests of the event files of a meta-training: what is written when, and the thread that draws."""

import glob
import os
import time

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.inspection import observation
from l2l_tf.plotting import curves as plots
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


def test_numbers_of_every_epoch_and_pictures_when_there_is_time(tmp_path, monkeypatch, seen):
  """The allowance has time at the epochs 1 and 3; the last, 5, has pictures in any case."""
  observed, now = [], [0]
  monkeypatch.setattr(tensorboard.Allowance, "allows", lambda self: now[0] in (1, 3))
  with tensorboard.Summaries(str(tmp_path), {"a": 1}) as writer:
    for epoch in range(1, 6):
      writer._drawing.result()  # of the epoch before
      now[0] = epoch
      observe = lambda epoch=epoch: observed.append(epoch) or seen  # noqa: E731
      writer.epoch(row(epoch), CURVES, observe, is_last=epoch == 5)
  assert observed == [1, 3, 5]
  found = events(str(tmp_path))
  assert b'"a": 1' in found.pop("config")[0].item()
  for key, (tag, _) in tensorboard.SCALARS.items():
    values = found.pop(tag)
    np.testing.assert_allclose([values[t] for t in range(1, 6)], [row(t)[key] for t in range(1, 6)])
  for key, (tag, _) in tensorboard.OBSERVED.items():
    values = found.pop(tag)
    assert list(values) == [1, 3, 5]
    np.testing.assert_allclose(list(values.values()), [seen.scalars[key]] * 3, rtol=1e-6)
  assert found.keys() == {tensorboard.CURVES, tensorboard.SWEEPS}
  for pictures in found.values():
    assert list(pictures) == [1, 3, 5]
    for _, _, png in pictures.values():
      assert tf.io.decode_png(png).numpy().std() > 10


def test_looking_stays_within_its_share_of_the_time():
  now = [100.0]
  allowance = tensorboard.Allowance(0.05, lambda: now[0])
  assert allowance.allows()  # at first
  allowance.charge(2.0)
  looks = 0
  for _ in range(1000):
    now[0] += 1.0
    if allowance.allows():
      allowance.charge(0.5)
      looks += 1
  assert looks == 97  # (0.05 * 1000 - 2) / 0.5, and the last one
  assert 2.0 + 0.5 * looks <= 0.05 * 1000 + 0.5


@pytest.mark.parametrize("when", ["next epoch", "end"])
def test_an_error_in_the_thread_is_raised(tmp_path, monkeypatch, seen, when):
  monkeypatch.setattr(plots, "png", lambda figure: 1 / 0)
  with pytest.raises(ZeroDivisionError), tensorboard.Summaries(str(tmp_path), {}) as writer:
    writer.epoch(row(1), CURVES, lambda: seen)
    if when == "next epoch":
      writer._thread.shutdown(wait=True)
      writer.epoch(row(2), CURVES, lambda: seen)
      pytest.fail("The second epoch should have raised.")


def test_the_error_of_the_training_comes_before_that_of_the_thread(tmp_path, monkeypatch, seen):
  monkeypatch.setattr(plots, "png", lambda figure: 1 / 0)
  with pytest.raises(KeyboardInterrupt), tensorboard.Summaries(str(tmp_path), {}) as writer:
    writer.epoch(row(1), CURVES, lambda: seen)
    raise KeyboardInterrupt


def test_the_end_waits_for_the_last_picture(tmp_path, monkeypatch, seen):
  png = plots.png
  monkeypatch.setattr(plots, "png", lambda figure: time.sleep(0.3) or png(figure))
  with tensorboard.Summaries(str(tmp_path), {}) as writer:
    writer.epoch(row(1), CURVES, lambda: seen)
  assert list(events(str(tmp_path))[tensorboard.SWEEPS]) == [1]


def test_a_directory_that_cannot_be_written_is_one_clear_error(tmp_path):
  (tmp_path / "events").write_text("a file")
  with pytest.raises(run_directory.RunError, match="Cannot write to .*events: "):
    tensorboard.Summaries(str(tmp_path / "events"), {})
