"""Tests of data in memory: what is taken, what is drawn, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.problems.minibatches import Minibatches

X = np.arange(12.0, dtype=np.float32).reshape(6, 2)
Y = np.arange(6)
SEED = tf.constant([1, 2])


def test_examples_stay_together_and_keep_their_types():
  data = Minibatches({"x": X, "y": Y.astype(np.uint8)}, 50)
  batch = data.take(data.draw(SEED))
  assert batch["x"].shape == (50, 2) and batch["x"].dtype == tf.float32
  assert batch["y"].dtype == tf.uint8
  np.testing.assert_array_equal(batch["x"][:, 0], 2 * batch["y"].numpy())
  assert set(batch["y"].numpy()) == set(range(6))  # with replacement, from all of them


def test_the_seed_decides_the_minibatch():
  data = Minibatches((X, Y), 4)
  np.testing.assert_array_equal(data.draw(SEED), data.draw(SEED))
  assert np.any(data.draw(SEED) != data.draw(SEED + 1))


def test_a_dataset_of_examples_is_the_arrays_it_holds():
  data = Minibatches(tf.data.Dataset.from_tensor_slices((X, Y)), 3)
  np.testing.assert_array_equal(data.arrays[0], X)
  np.testing.assert_array_equal(data.arrays[1], Y)
  assert data.num_examples == 6


NAN = np.where(X == 3, np.nan, np.where(X == 5, np.inf, X))
BAD = {
  "lengths": ((X, Y[:4]), 2, ValueError, r"as many examples .*got shapes \(6, 2\), \(4,\)"),
  "empty": ((X[:0], Y[:0]), 2, ValueError, "hold no examples"),
  "nothing": ((), 2, ValueError, "There are no data"),
  "nan": ((NAN, Y), 2, ValueError, r"2 of 12 numbers in an array \(6, 2\) .* NaN or infinite"),
  "words": ((np.array(["a", "b"]),), 2, TypeError, "arrays of numbers, got ndarray of type <U1"),
  "object": ((object(),), 2, TypeError, "arrays of numbers, got object"),
  "scalar": (3.0, 2, ValueError, "first axis counts examples, got 3.0"),
  "batch": ((X, Y), 0, ValueError, "batch_size must be an integer of at least 1, got 0"),
  "float batch": ((X, Y), 2.0, ValueError, "batch_size must be an integer"),
  "endless": (tf.data.Dataset.from_tensor_slices(X).repeat(), 2, ValueError, "never ends"),
  "empty dataset": (tf.data.Dataset.from_tensor_slices(X).take(0), 2, ValueError, "is empty"),
  "batches": (tf.data.Dataset.from_tensor_slices(X).batch(4), 2, ValueError, "`.unbatch()`"),
}


@pytest.mark.parametrize("data, batch_size, kind, message", BAD.values(), ids=BAD)
def test_bad_data_are_named(data, batch_size, kind, message):
  with pytest.raises(kind, match=message.replace("()", r"\(\)")):
    Minibatches(data, batch_size)
