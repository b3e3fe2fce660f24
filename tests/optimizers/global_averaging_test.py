"""Tests of LSTM+GAC: identities with the plain LSTM, symmetries, and L2 clipping by a GAC."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.optimizers import global_averaging
from l2l_tf.optimizers import preprocessing
from tests.optimizers.coordinatewise_test import gradient_sequence
from tests.optimizers.coordinatewise_test import run


def make(**options):
  options = {"layer_sizes": (4, 3), "num_gacs": 2, "dtype": tf.float64, "seed": 5, **options}
  return optimizers.GlobalAveragingLSTM(**options)


def plain_twin(optimizer):
  """The plain LSTM with the same phi."""
  twin = optimizers.CoordinatewiseLSTM(optimizer.layer_sizes, dtype=tf.float64)
  for variable, value in zip(twin.trainable_variables, optimizer.trainable_variables, strict=True):
    variable.assign(value)
  return twin


def test_average_last_averages_the_last_units_within_each_instance():
  hidden = tf.constant(np.arange(12.0).reshape(3, 2, 2))
  expected = [[[0, 1], [2, 3]], [[4.5, 4.5], [6.5, 6.5]], [[8.5, 8.5], [10.5, 10.5]]]
  np.testing.assert_array_equal(global_averaging.average_last(hidden, 2), expected)


def test_one_coordinate_is_the_plain_lstm():
  optimizer = make()
  sequence = gradient_sequence(10, {"theta": (3, 1)})
  twin = run(plain_twin(optimizer), sequence)
  for updates, expected in zip(run(optimizer, sequence), twin, strict=True):
    np.testing.assert_allclose(updates["theta"], expected["theta"], rtol=0, atol=1e-14)


def test_no_gacs_are_the_plain_lstm_and_some_are_not():
  sequence = gradient_sequence(10, {"theta": (2, 6)})
  for num_gacs in (0, 1, 3):
    optimizer = make(num_gacs=num_gacs)
    updates = run(optimizer, sequence)[-1]["theta"]
    twin = run(plain_twin(optimizer), sequence)[-1]["theta"]
    difference = np.abs(updates - twin).max()
    assert difference < 1e-14 if num_gacs == 0 else difference > 1e-5


def test_the_average_leaves_and_the_cell_stays():
  """After a step every coordinate holds the average of the GACs' hidden, and its own cells."""
  optimizer = make()
  twin = plain_twin(optimizer)
  (gradients,) = gradient_sequence(1, {"theta": (2, 6)})
  _, state = optimizer(gradients, optimizer.initial_state(gradients))
  _, plain = twin(gradients, twin.initial_state(gradients))
  first, plain_first = state[0], plain[0]
  np.testing.assert_allclose(first.hidden[:2], plain_first.hidden[:2], rtol=0, atol=1e-14)
  means = np.mean(plain_first.hidden[2:], axis=-1, keepdims=True)
  np.testing.assert_allclose(first.hidden[2:], np.tile(means, 6), rtol=0, atol=1e-14)
  np.testing.assert_allclose(first.cell, plain_first.cell, rtol=0, atol=1e-14)
  assert np.std(first.cell, axis=-1).min() > 1e-6


def test_a_permutation_of_the_coordinates_permutes_the_updates():
  optimizer = make()
  sequence = gradient_sequence(10, {"theta": (1, 12)})
  order = np.random.default_rng(1).permutation(12)
  permuted = [{"theta": tf.gather(g["theta"], order, axis=1)} for g in sequence]
  for updates, others in zip(run(optimizer, sequence), run(optimizer, permuted), strict=True):
    expected = updates["theta"].numpy()[:, order]
    assert len(np.unique(expected)) == 12
    np.testing.assert_allclose(others["theta"], expected, rtol=0, atol=1e-13)


def test_instances_are_independent_and_parameters_are_not():
  optimizer = make()
  sequence = gradient_sequence(6, {"w": (3, 4), "b": (3, 2)})
  together = run(optimizer, sequence)
  for b in range(3):
    alone = run(optimizer, [{k: g[b : b + 1] for k, g in gs.items()} for gs in sequence])
    for name in ("w", "b"):
      np.testing.assert_allclose(alone[-1][name][0], together[-1][name][b], rtol=0, atol=1e-13)
  changed = [{"w": gs["w"], "b": -gs["b"]} for gs in sequence]
  assert np.abs(run(optimizer, changed)[-1]["w"] - together[-1]["w"]).min() > 1e-9


def test_phi_has_the_names_and_shapes_of_the_plain_lstm():
  def names(optimizer):
    prefix = optimizer.name + "/"
    return {v.name.removeprefix(prefix): v.shape for v in optimizer.trainable_variables}

  assert names(optimizers.GlobalAveragingLSTM()) == names(optimizers.CoordinatewiseLSTM())


def test_config_builds_the_same_optimizer():
  assert make(preprocessing=preprocessing.Rescale(2.0), output_scale=0.7).config() == {
    "kind": "lstm_gac",
    "layer_sizes": [4, 3],
    "num_gacs": 2,
    "preprocessing": {"name": "rescale", "factor": 2.0},
    "output_scale": 0.7,
    "dtype": "float64",
  }


@pytest.mark.parametrize("num_gacs", [4, -1, 1.0, True])
def test_bad_numbers_of_gacs_are_named(num_gacs):
  with pytest.raises(ValueError, match=rf"num_gacs must be .* 0\.\.3, .*, got {num_gacs!r}"):
    make(num_gacs=num_gacs)


def clip_by_gac(gradients: tf.Tensor, max_norm: float) -> tf.Tensor:
  """L2 clipping by a hand-set LSTM+GAC: docs/ntm_bfgs.md, "Gradient clipping by one GAC".

  Args:
    gradients: `[B, n]`.
    max_norm: the norm to clip each instance to.
  """
  n = gradients.shape[-1]
  units = tf.stack([gradients, gradients**2])  # of a coordinate: an ordinary cell, and a GAC
  g, mean_square = tf.unstack(global_averaging.average_last(units, 1))
  return g * tf.minimum(1.0, max_norm / tf.sqrt(n * mean_square))  # of a coordinate again


def test_one_gac_clips_by_the_norm():
  scales = np.logspace(-2, 2, 5)[:, np.newaxis]
  gradients = tf.constant(np.random.default_rng(2).normal(size=(5, 7)) * scales)
  clipped = clip_by_gac(gradients, 1.5)
  np.testing.assert_allclose(clipped, tf.clip_by_norm(gradients, 1.5, axes=1), rtol=1e-12)
  norms = np.linalg.norm(clipped, axis=1)
  np.testing.assert_allclose(norms, np.minimum(np.linalg.norm(gradients, axis=1), 1.5), rtol=1e-12)
  assert (norms < 1).any() and np.isclose(norms, 1.5).any()
