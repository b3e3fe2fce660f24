"""Images for the tasks without a network or TFDS: bundled digits, coloured ones for CIFAR-10."""

import numpy as np
import pytest

from l2l_tf import problems
from l2l_tf.problems import datasets
from l2l_tf.zoo import data
from l2l_tf.zoo import tasks
from tests import coloured_digits


def load(name: str, split: str = "train") -> problems.Dataset:
  """What `datasets.load` gives, of few examples."""
  if name == "cifar10":
    images = coloured_digits.load(split)
    twice = [
      np.concatenate([a, a]) for a in (images.images, images.labels)
    ]  # for large minibatches
    return images._replace(images=twice[0], labels=twice[1])
  digits = datasets._bundled_mnist()
  rows = slice(None, None, 5) if split == "train" else slice(1, None, 5)
  return digits._replace(images=digits.images[rows], labels=digits.labels[rows], source=split)


@pytest.fixture
def bundled(monkeypatch):
  """Makes every task load these."""
  monkeypatch.setattr(data, "_loaded", load)
  monkeypatch.setattr(tasks.published.datasets, "load", load)
  _forget()
  yield
  _forget()


def _forget():
  """What was loaded before is loaded anew."""
  for cache in (data.images, tasks.published._split):
    cache.cache_clear()
  for task in tasks.TASKS.values():
    getattr(task.data, "cache_clear", lambda: None)()
