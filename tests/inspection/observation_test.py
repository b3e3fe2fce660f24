"""Tests of what is looked at after epochs."""

import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.inspection import diagnosis
from l2l_tf.inspection import observation
from l2l_tf.inspection import proposal_files
from l2l_tf.inspection import proposals
from l2l_tf.problems.base import make_seeds

(SEED,) = make_seeds(2, count=1)
RATES = {"adam": 0.1, "sgd": 0.3}


def observer(rates, num_steps=10):
  copy = optimizers.CoordinatewiseLSTM((3,), seed=7)
  return observation.Observer(problems.bowl(4), copy, rates, SEED, num_steps)


@pytest.mark.slow
def test_it_measures_the_phi_it_is_given():
  observe = observer(RATES)
  for seed in (1, 2):
    trained = optimizers.CoordinatewiseLSTM((3,), seed=seed)
    seen = observe(trained.trainable_variables)
    record = diagnosis.record(problems.bowl(4), trained, SEED[np.newaxis], 10)
    expected = {"gradient": record.gradient, "update": record.update, **record.shares}
    assert seen.scalars.keys() == expected.keys() | {"half", "at_0", "against_adam"}
    for name, values in expected.items():
      np.testing.assert_allclose(seen.scalars[name], values.mean(), rtol=1e-4, atol=1e-7)
    moves = np.sqrt(np.mean(np.square(list(record.updates.values())), axis=0))
    np.testing.assert_allclose(record.update, moves, rtol=1e-5)
    assert seen.proposed["steps"] == [1, 2, 4, 8]
    entries = seen.proposed["coordinates"]
    chosen = list(entries)
    alone = proposals.Recorder(problems.bowl(4), trained, {}, observe._coordinates, 8, [1, 2, 4, 8])
    swept = alone(SEED, observe._values).swept["learned"]
    for c, name in enumerate(chosen):
      updates = entries[name]["swept_updates"]
      assert updates.keys() == {"learned", "adam", "sgd"}
      np.testing.assert_allclose(updates["learned"], swept[:, c], rtol=1e-4, atol=1e-6)
    halves = [
      proposal_files.measures(entry, k, step)["half"]
      for entry in entries.values()
      for k, step in enumerate(seen.proposed["steps"])
    ]
    assert len(halves) == 12 and seen.scalars["half"] == np.median(halves)


@pytest.mark.slow
def test_coordinates_and_ranges_stay_the_same():
  observe = observer(RATES)
  first, second = (
    observe(optimizers.CoordinatewiseLSTM((3,), seed=s).trainable_variables).proposed["coordinates"]
    for s in (1, 2)
  )
  assert list(first) == list(second) and len(first) == 3
  for name in first:
    np.testing.assert_array_equal(first[name]["swept_gradients"], second[name]["swept_gradients"])


def test_without_rivals_there_are_no_sweeps():
  seen = observer({})(optimizers.CoordinatewiseLSTM((3,)).trainable_variables)
  assert seen.proposed == {} and seen.scalars["gradient"] > 0


@pytest.mark.parametrize("update, half", [(lambda g: -g, 0.5), (lambda g: -np.sign(g), 1.0)])
def test_the_numbers_of_sweeps_tell_a_line_from_a_step(update, half):
  """One of the sweeps is flat, and counts for nothing."""
  gradients = np.linspace(-1, 1, 41)
  swept = {"learned": [update(gradients), 0 * gradients], "adam": [-gradients, -gradients]}
  past = {"gradients": np.array([-0.3, -0.3]), "swept_gradients": gradients}
  found = observation._medians({"theta[0]": {**past, "swept_updates": swept}}, (1, 2))
  assert found["half"] == pytest.approx(half)


def test_a_long_episode_is_measured_in_part():
  seen = observer({}, num_steps=1000)
  assert seen._num_steps == observation.MOST_STEPS == pytest.approx(100)
