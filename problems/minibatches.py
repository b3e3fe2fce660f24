"""Data of the user's in memory, from which minibatches are drawn in the graph."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.problems import base

MAX_BYTES = 2**34  # of what an iterator gives: it may never end
_PADDING = (
  "Pad examples of different lengths to one length, as by keras.utils.pad_sequences, and mask what"
  " is padded; make sparse ones dense."
)


class Minibatches:
  """Examples in memory; minibatches are drawn with replacement, as `classification.mlp` does."""

  def __init__(self, data: Any, batch_size: int):
    """Takes the data into memory, as they are: types are kept.

    Args:
      data: see `load`.
      batch_size: examples a minibatch.

    Raises:
      ValueError: for no examples, lengths that differ, numbers that are not finite, an endless
        dataset, or a bad `batch_size`.
      TypeError: for what holds no numbers.
    """
    if type(batch_size) is not int or batch_size < 1:
      raise ValueError(f"batch_size must be an integer of at least 1, got {batch_size!r}.")
    arrays = load(data)
    leaves = [leaf for leaf in tf.nest.flatten(arrays) if leaf is not None]
    if not leaves:
      raise ValueError(f"There are no data: an array or a nest of arrays expected, got {data!r}.")
    lengths = {len(leaf) for leaf in leaves}
    if len(lengths) > 1:
      shapes = ", ".join(str(leaf.shape) for leaf in leaves)
      raise ValueError(
        f"All arrays of the data must have as many examples (first axis), got shapes {shapes}."
        f" {_PADDING}"
      )
    self.num_examples = lengths.pop()
    if not self.num_examples:
      raise ValueError("The data hold no examples: the first axis of the arrays has length 0.")
    self.batch_size = batch_size
    self.arrays = map_arrays(tf.constant, arrays)

  def draw(self, seed: base.Seed) -> tf.Tensor:
    """The indices of a minibatch, int32 `[batch_size]`."""
    shape, count = [self.batch_size], self.num_examples
    return tf.random.stateless_uniform(shape, seed, 0, count, dtype=tf.int32)

  def take(self, indices: tf.Tensor) -> Any:
    """The examples at `indices`, nested as the data; leaves `[batch_size, ...]`."""
    return map_arrays(lambda array: tf.gather(array, indices), self.arrays)

  def extremes(self) -> list[tf.Tensor]:
    """The indices of minibatches that hold the least and the largest integers of the data.

    A label or a word out of range shows there, if anywhere. Labels may be given as floats: single
    numbers count, whatever their type.
    """
    found: dict[int, None] = {}
    for array in tf.nest.flatten(self.arrays):
      size = 0 if array is None else array.shape.num_elements() // self.num_examples
      if size and array.dtype != tf.bool and (array.dtype.is_integer or size == 1):
        flat = tf.reshape(array, [-1])
        found |= {int(f(flat)) // size: None for f in (tf.argmin, tf.argmax)}
    size = self.batch_size
    indices = [*found, *(i % self.num_examples for i in range(size))]
    used = max(len(found), 1)
    return [tf.constant(indices[i : i + size], tf.int32) for i in range(0, used, size)]


def map_arrays(function: Callable[[Any], Any], nest: Any) -> Any:
  """`function` of every array; None, where there is none, stays."""
  return tf.nest.map_structure(lambda x: None if x is None else function(x), nest)


def load(data: Any) -> Any:
  """The data as a nest of arrays `[N, ...]` in memory, checked.

  Args:
    data: arrays whose first axis counts N examples, in any nest (a tuple, a dictionary), None where
      there is none; a finite `tf.data.Dataset` whose elements are single examples; or an iterator
      of minibatches, as a generator for `fit`.

  Raises:
    ValueError, TypeError: as `Minibatches`.
  """
  if isinstance(data, tf.data.Dataset):
    data = _stacked(data)
  elif isinstance(data, Iterator):
    data = _concatenated(data)
  return map_arrays(_array, data)


def _stacked(dataset: tf.data.Dataset) -> Any:
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
      f" {dataset.element_spec}. One of batches gives examples after `.unbatch()`. {_PADDING}"
    ) from error


def _concatenated(batches: Iterator[Any]) -> Any:
  """Every example of an iterator of minibatches."""
  loaded, size = [], 0
  for batch in batches:
    loaded.append(map_arrays(_array, batch))
    size += sum(leaf.nbytes for leaf in tf.nest.flatten(loaded[-1]) if leaf is not None)
    if size > MAX_BYTES:
      raise ValueError(
        f"An iterator gave {len(loaded)} minibatches, {size / 2**30:.1f} GiB, and may never end."
        " Give the first of them, `itertools.islice(batches, count)`, or arrays."
      )
  if not loaded:
    raise ValueError("The data hold no examples: the iterator is at its end.")
  try:
    return tf.nest.map_structure(
      lambda *leaves: None if leaves[0] is None else np.concatenate(leaves), *loaded
    )
  except (ValueError, TypeError) as error:
    shapes = [[x.shape for x in tf.nest.flatten(b) if x is not None] for b in loaded[:2]]
    raise ValueError(
      "The minibatches of an iterator must be nested alike, of examples of one shape; the first"
      f" are of shapes {', '.join(map(str, shapes))}. {_PADDING}"
    ) from error


def _array(values: Any) -> np.ndarray:
  """Numbers as an array `[N, ...]`, checked."""
  if isinstance(values, (tf.RaggedTensor, tf.SparseTensor)):
    raise TypeError(f"The data must be dense arrays, got a {type(values).__name__}. {_PADDING}")
  array = np.asarray(values)
  if array.dtype.kind not in "biuf" and array.dtype != tf.bfloat16.as_numpy_dtype:
    hint = f" {_PADDING}" if array.dtype.kind == "O" else ""
    raise TypeError(
      f"The data must be arrays of numbers, got {type(values).__name__} of type"
      f" {array.dtype}.{hint}"
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
