"""Data of the user's in memory, from which minibatches are drawn in the graph."""

from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.problems import base


class Minibatches:
  """Examples in memory; minibatches are drawn with replacement, as `classification.mlp` does."""

  def __init__(self, data: Any, batch_size: int):
    """Takes the data into memory, as they are: types are kept.

    Args:
      data: arrays whose first axis counts N examples, in any nest (a tuple, a dictionary), or a
        finite `tf.data.Dataset` whose elements are single examples.
      batch_size: examples a minibatch.

    Raises:
      ValueError: for no examples, lengths that differ, numbers that are not finite, an endless
        dataset, or a bad `batch_size`.
      TypeError: for what holds no numbers.
    """
    if type(batch_size) is not int or batch_size < 1:
      raise ValueError(f"batch_size must be an integer of at least 1, got {batch_size!r}.")
    if isinstance(data, tf.data.Dataset):
      data = _load(data)
    arrays = tf.nest.map_structure(_array, data)
    leaves = tf.nest.flatten(arrays)
    if not leaves:
      raise ValueError(f"There are no data: an array or a nest of arrays expected, got {data!r}.")
    lengths = {len(leaf) for leaf in leaves}
    if len(lengths) > 1:
      shapes = ", ".join(str(leaf.shape) for leaf in leaves)
      raise ValueError(
        f"All arrays of the data must have as many examples (first axis), got shapes {shapes}."
      )
    self.num_examples = lengths.pop()
    if not self.num_examples:
      raise ValueError("The data hold no examples: the first axis of the arrays has length 0.")
    self.batch_size = batch_size
    self.arrays = tf.nest.map_structure(tf.constant, arrays)

  def draw(self, seed: base.Seed) -> tf.Tensor:
    """The indices of a minibatch, int32 `[batch_size]`."""
    shape, count = [self.batch_size], self.num_examples
    return tf.random.stateless_uniform(shape, seed, 0, count, dtype=tf.int32)

  def take(self, indices: tf.Tensor) -> Any:
    """The examples at `indices`, nested as the data; leaves `[batch_size, ...]`."""
    return tf.nest.map_structure(lambda array: tf.gather(array, indices), self.arrays)


def _load(dataset: tf.data.Dataset) -> Any:
  """Every example of a dataset, nested as its elements."""
  if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
    raise ValueError(
      "The dataset never ends, and cannot be loaded into memory; add `.take(count)`."
    )
  examples = list(dataset.as_numpy_iterator())
  if not examples:
    raise ValueError("The data hold no examples: the dataset is empty.")
  try:
    return tf.nest.map_structure(lambda *leaves: np.stack(leaves), *examples)
  except ValueError as error:
    raise ValueError(
      "The elements of the dataset must be single examples of one shape, got"
      f" {dataset.element_spec}. One of batches gives examples after `.unbatch()`."
    ) from error


def _array(values: Any) -> np.ndarray:
  """Numbers as an array `[N, ...]`, checked."""
  array = np.asarray(values)
  if array.dtype.kind not in "biuf" and array.dtype != tf.bfloat16.as_numpy_dtype:
    raise TypeError(
      f"The data must be arrays of numbers, got {type(values).__name__} of type {array.dtype}."
    )
  if not array.ndim:
    raise ValueError(f"The data must be arrays whose first axis counts examples, got {values!r}.")
  bad = int(np.sum(~np.isfinite(array.astype(np.float64)))) if array.dtype.kind not in "biu" else 0
  if bad:
    raise ValueError(
      f"{bad} of {array.size} numbers in an array {array.shape} of the data are NaN or infinite."
      " Drop these examples, or put a number in their place."
    )
  return array
