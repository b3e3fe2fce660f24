"""A network of VGG-16's layout with few filters, and pictures for it: neural art in no time."""

import functools

import numpy as np

from l2l_tf.problems import photographs
from l2l_tf.problems import vgg

FILTERS = (3, 4, 4, 5, 5)


def network(filters=FILTERS) -> vgg.Network:
  """Random weights that keep activations at the size of grey levels."""
  rng, layers, below = np.random.default_rng(0), {}, 3
  for name in vgg.LAYERS:
    above = filters[int(name[len("block")]) - 1]
    w = rng.normal(0, np.sqrt(2 / (9 * below)), (3, 3, below, above))
    layers[name] = (w.astype(np.float32), rng.normal(0, 5, above).astype(np.float32))
    below = above
  return vgg.Network(layers, "random weights")


# The real bundled crops, to put in the place of the function that cuts them anew: seconds a time.
bundled = functools.cache(photographs._bundled)


def pictures(size=16, counts=(4, 2, 3)) -> photographs.Photographs:
  rng = np.random.default_rng(1)
  images = rng.integers(0, 256, (sum(counts), size, size, 3), dtype=np.uint8)
  return photographs.Photographs(images, counts, "random")


def style(size=16) -> np.ndarray:
  """Uint8 `[size, size + 4, 3]`."""
  return np.random.default_rng(2).integers(0, 256, (size, size + 4, 3), dtype=np.uint8)
