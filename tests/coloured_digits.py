"""Real images of the size of CIFAR-10's where CIFAR-10 itself cannot be had: bundled digits."""

import functools

import numpy as np

from l2l_tf import problems
from l2l_tf.problems import datasets

COUNT = 300  # images of each split


@functools.cache
def _digits() -> problems.Dataset:
  return datasets._bundled_mnist()


def load(split: str = "train", size: int = 32) -> problems.Dataset:
  """Digits in `[300, size, size, 3]`, three equal channels; those of "test" are others.

  Args:
    split: "train" or "test".
    size: 32 with a margin of 2 pixels; 16 and 8 by averaging.
  """
  digits = _digits()
  order = np.random.default_rng(0).permutation(len(digits.labels))
  chosen = order[:COUNT] if split == "train" else order[-COUNT:]
  images = np.pad(digits.images[chosen], ((0, 0), (2, 2), (2, 2), (0, 0)))
  source = f"coloured digits {split}: {COUNT} examples"
  data = problems.Dataset(np.repeat(images, 3, axis=3), digits.labels[chosen], 10, source)
  return datasets.pool(data, 32 // size)


def stand_in(monkeypatch):
  """Makes `problems.load("cifar10", split)` give these images."""

  def prepared(name, split, data_dir, download):
    assert name == "cifar10" and not download
    return load(split)

  monkeypatch.setattr(datasets, "_load_tfds", prepared)
