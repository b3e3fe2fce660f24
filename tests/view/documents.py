"""Documents of sweeps whose every curve is another, and where their points must be drawn."""

import copy
import math
from typing import Any

import numpy as np

from l2l_tf.inspection import sweep_files
from tests import tiny_results


def make(epoch: int) -> dict[str, Any]:
  """Of two coordinates, nine steps; each epoch, coordinate and step has a curve of its own."""
  document = copy.deepcopy(tiny_results.visualization())
  gradients = 0.5 * np.linspace(-1, 1, 21) ** 3
  for c, entry in enumerate(document["coordinates"].values()):
    entry["swept_gradients"] = gradients.tolist()
    for k in range(9):
      scale = 0.1 * (1 + k) * (1 + c) / epoch
      entry["swept_updates"]["learned"][k] = (-scale * np.tanh(40 * gradients)).tolist()
    entry["swept_updates"]["adam"] = [(0.01 * k - 0.2 * gradients).tolist() for k in range(9)]
    entry["swept_updates"]["sgd"] = [(-gradients).tolist()] * 9
  curves = {"learned": np.geomspace(2, 1 / epoch, 21), "adam": np.geomspace(2, 0.3, 21)}
  return sweep_files.make(epoch, document, curves)


def place(gradient: float, p: int) -> float:
  """Where a gradient stands on the symmetric-log axis that is linear within e^-p."""
  size = abs(gradient) * math.exp(p)
  return math.copysign(size if size <= 1 else 1 + math.log(size), gradient)


def points(document: dict[str, Any], coordinate: str, k: int, p: int, name: str) -> np.ndarray:
  """The line of an optimizer, `[V, 2]`; the learned one's goes through what really happened."""
  entry, step = document["coordinates"][coordinate], document["steps"][k]
  found = [*zip(entry["swept_gradients"], entry["swept_updates"][name][k])]
  if name == "learned":
    found.append((entry["gradients"][step - 1], entry["updates"]["learned"][step - 1]))
    found.sort(key=lambda pair: pair[0])
  return np.array([(place(gradient, p), update) for gradient, update in found])
