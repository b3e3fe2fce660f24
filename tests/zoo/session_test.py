"""A run is what `fit` does, the same for all optimizers, and starts anew with each seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.zoo import rivals
from l2l_tf.zoo import session
from l2l_tf.zoo import task as task_lib
from l2l_tf.zoo.tasks import TASKS

SMALL = "digits_sigmoid"
STEPS = 40


def state_of(model) -> list[np.ndarray]:
  return [v.numpy() for v in session._state(model)]


@pytest.mark.slow
@pytest.mark.parametrize(
  "name, rival",
  [(SMALL, rival) for rival in ("Adam", "Muon", "NAdamWCosine", "Prodigy", "Celo")]
  + [("digits_mixed_convnet", "Adam")],
)
def test_a_run_is_what_fit_does(name, rival):
  task = TASKS[name]
  mine = session.Session(task, rivals.find(rival), STEPS)
  trajectory = mine.run(3, STEPS, [])
  keras.utils.set_random_seed(3)
  model = task.build(rivals.find(rival).build(STEPS))
  order = mine.order(3, STEPS)
  x, y = (values[order.ravel()] for values in mine.data.train)
  batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(task.batch_size)
  history = model.fit(batches.repeat(), epochs=STEPS, steps_per_epoch=1, shuffle=False, verbose=0)
  tolerance = 1e-5 if name == SMALL else 2e-2  # bfloat16 rounds differently in another program
  np.testing.assert_allclose(trajectory.losses, history.history["loss"], rtol=tolerance)
  expected = model.evaluate(*mine.data.test, verbose=0, return_dict=True)
  assert mine.evaluate()["loss"] == pytest.approx(expected["loss"], rel=10 * tolerance)
  assert mine.evaluate()["accuracy"] == pytest.approx(expected["accuracy"], abs=tolerance * 3)


@pytest.mark.slow
def test_all_optimizers_have_the_same_start_and_the_same_minibatches():
  starts, orders, firsts = [], [], []
  for name in ("Adam", "Prodigy", "ScheduleFreeAdamW", "Lion"):
    mine = session.Session(TASKS["cars_tanh"], rivals.find(name), 10)
    mine.reset(7)
    starts.append(state_of(mine.model))
    orders.append(mine.order(7, 50))
    firsts.append(mine.run(7, 10, []).losses[0])
  for start, order in zip(starts, orders):
    for mine, first in zip(start, starts[0], strict=True):
      np.testing.assert_array_equal(mine, first)
    np.testing.assert_array_equal(order, orders[0])
  np.testing.assert_allclose(firsts, firsts[0], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is beyond what it was trained on")  # mnist_lstm
def test_a_run_leaves_no_trace_in_the_next():
  task = TASKS["mnist_vae"]._replace(data=_tiny_images)  # it has a state of random numbers
  for name in ("Adam", "ScheduleFreeAdamW", "mnist_lstm"):
    once = session.Session(task, rivals.find(name), 20)
    expected = once.run(1, 20, []).losses
    again = session.Session(task, rivals.find(name), 20)
    other = again.run(0, 20, []).losses
    np.testing.assert_array_equal(again.run(1, 20, []).losses, expected, err_msg=name)
    assert not np.allclose(other, expected)


def _tiny_images() -> task_lib.Data:
  pixels = np.random.default_rng(0).uniform(size=[256, 196]).astype(np.float32)
  return task_lib.Data(pixels, pixels[:50], "test")


def test_a_shorter_run_is_the_beginning_of_a_longer_one():
  mine = session.Session(TASKS["cars_tanh"], rivals.find("Adam"), 0)
  long, short = mine.run(0, 200, [100]), mine.run(0, 100, [100])
  np.testing.assert_array_equal(long.losses[:100], short.losses)
  assert long.held_out[100] == short.held_out[100]
  assert set(long.held_out) == {100}


def test_a_run_breaks_off_where_the_loss_is_no_number():
  mine = session.Session(TASKS["diabetes_raw"], rivals.find("SGD@10"), 300)
  trajectory = mine.run(0, 300, [100, 300])
  assert len(trajectory.losses) == 300
  assert np.isfinite(trajectory.losses[0]) and not np.isfinite(trajectory.losses[-1])
  assert trajectory.held_out == {}


@pytest.mark.slow
def test_schedule_free_is_measured_at_its_averaged_weights():
  task = TASKS[SMALL]
  mine = session.Session(task, rivals.find("ScheduleFreeAdamW"), STEPS)
  losses = mine.run(2, STEPS, []).losses
  optimizer, model = mine.optimizer, mine.model
  batch = session._take(mine.data.train, mine.order(2, STEPS + 1)[STEPS])
  kept = state_of(model)
  held_out = mine.evaluate()
  for mine_after, before in zip(state_of(model), kept):
    np.testing.assert_array_equal(mine_after, before)  # it looks, and changes nothing
  for variable, value in zip(model.trainable_variables, optimizer.averaged()):
    variable.assign(value)
  expected = model.evaluate(*mine.data.test, verbose=0, return_dict=True)
  assert held_out["loss"] == pytest.approx(expected["loss"], rel=1e-4)
  at_average = float(model.evaluate(*batch, verbose=0, return_dict=True)["loss"])
  longer = session.Session(task, rivals.find("ScheduleFreeAdamW"), STEPS)
  again = longer.run(2, STEPS + 1, []).losses
  np.testing.assert_array_equal(again[:STEPS], losses)
  assert again[STEPS] == pytest.approx(at_average, rel=1e-4)


def test_minibatches_pass_over_all_examples_and_a_shorter_order_begins_a_longer_one():
  order = task_lib.minibatches(0, 103, 10, 25)
  assert order.shape == (25, 10) and order.dtype == np.int32
  for first in (0, 10):
    assert len(np.unique(order[first : first + 10])) == 100
  assert not np.array_equal(order[:10], order[10:20])
  np.testing.assert_array_equal(task_lib.minibatches(0, 103, 10, 7), order[:7])
  assert not np.array_equal(task_lib.minibatches(1, 103, 10, 7), order[:7])
  with pytest.raises(ValueError, match="takes 10 examples, there are 9"):
    task_lib.minibatches(0, 9, 10, 1)


def test_minibatches_that_are_evaluated_are_left_out():
  whole = task_lib.minibatches(0, 100, 4, 30)
  order = task_lib.minibatches(0, 100, 4, 20, skip=(10, 5))
  np.testing.assert_array_equal(order, np.concatenate([whole[5:15], whole[20:30]]))
  assert task_lib.minibatches(0, 100, 4, 13, skip=(10, 5)).shape == (13, 4)


def test_a_rival_with_a_square_state_is_kept_from_large_models():
  with pytest.raises(ValueError, match="for 6000 parameters at most, here are 15744"):
    session.Session(TASKS["characters_gru"], rivals.find("quadratic_ntm_bfgs"), 10)
