"""Rivals by name."""

import shutil

import keras
import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.keras.optimizer import LearnedOptimizer
from l2l_tf.zoo import rivals

MORE = ("Adamax", "Adam@0.003", "mnist_lstm@odd", "general@ema")


@pytest.mark.parametrize("name", [*rivals.standard(), *MORE])
def test_a_rival_updates_a_model(name):
  rival = rivals.find(name)
  variable = keras.Variable(np.full([3, 2], 2.0, np.float32))
  optimizer = rival.build(100)
  optimizer.scale_loss(keras.ops.array(8.0))
  for _ in range(3):
    optimizer.apply([keras.ops.array(variable.numpy())], [variable])
  assert np.isfinite(variable.numpy()).all() and np.any(variable.numpy() != 2)
  assert rival.name == name and rival.averaged == hasattr(optimizer, "averaged")


def test_names_are_keras_classes_rates_ports_and_trained_ones():
  assert isinstance(rivals.find("Lion").build(10), keras.optimizers.Lion)
  adam = rivals.find("Adam@0.003").build(10)
  assert type(adam) is keras.optimizers.Adam
  assert float(adam.learning_rate) == pytest.approx(0.003)
  learned = rivals.find("mnist_lstm")
  assert isinstance(learned.build(10), LearnedOptimizer) and len(learned.digest) == 64
  by_directory = rivals.find(pretrained.directory("mnist_lstm"))
  assert by_directory.digest == learned.digest
  assert {n for n in rivals.standard() if rivals.find(n).knows_horizon} == {
    *("NAdamWCosine", "Celo", "CeloAdam")
  }


def test_the_odd_part_of_a_trained_one(tmp_path, monkeypatch):
  odd, plain = rivals.find("mnist_lstm@odd"), rivals.find("mnist_lstm")
  assert isinstance(odd.build(10).learned, optimizers.OddPart) and odd.digest == plain.digest
  assert odd.name == "mnist_lstm@odd"
  by_directory = rivals.find(pretrained.directory("mnist_lstm") + "@odd")
  assert by_directory.build(10).learned.config() == odd.build(10).learned.config()
  limits = [rivals.find(f"quadratic_ntm_bfgs{odd}").max_parameters for odd in ("", "@odd")]
  assert limits == [6000, 6000]
  monkeypatch.chdir(tmp_path)
  shutil.copytree(pretrained.directory("mnist_lstm"), "mine@odd")
  whole = rivals.find("mine@odd").build(10).learned  # a directory comes first
  assert type(whole) is optimizers.CoordinatewiseLSTM


def test_the_averaged_weights_of_a_trained_one():
  """They begin at the weights after the first step; the updates are those of the plain one."""
  averaging, plain = (rivals.find(name).build(10) for name in ("general@ema", "general"))
  ours, theirs = (keras.Variable(np.full([3, 2], 2.0, np.float32)) for _ in range(2))
  averaging.build([ours])
  np.testing.assert_array_equal(averaging.averaged()[0], ours)
  expected = None
  for k in range(3):
    for optimizer, variable in ((averaging, ours), (plain, theirs)):
      optimizer.apply([keras.ops.array(variable.numpy() + k)], [variable])
    now = ours.numpy()
    expected = now if expected is None else 0.99 * expected + 0.01 * now
    np.testing.assert_allclose(averaging.averaged()[0], expected, rtol=1e-6)
  np.testing.assert_array_equal(ours, theirs)


def test_the_rates_of_tuned_adam_are_half_decades():
  assert len(rivals.TUNED) == 15
  assert (rivals.TUNED[0], rivals.TUNED[-1]) == ("Adam@1e-07", "Adam@1")
  assert "Adam@0.0003" in rivals.TUNED


def test_the_cosine_warms_up_to_its_peak_and_ends_at_nothing():
  optimizer = rivals.find("NAdamWCosine").build(1000)
  rates = []
  for step in (0, 25, 50, 525, 1000):
    optimizer.iterations.assign(step)
    rates.append(float(optimizer.learning_rate))
  np.testing.assert_allclose(rates, [0, 5e-4, 1e-3, 5e-4, 0], atol=1e-9)


@pytest.mark.parametrize(
  "name", ["Adum", "Optimizer", "Adam@x", "Adam@odd", "Adam@-1", "Adam@inf", "Dense"]
)
def test_unknown_ones_are_told(name):
  with pytest.raises(rivals.UnknownOptimizer, match="Unknown optimizer|The rate of"):
    rivals.find(name)
