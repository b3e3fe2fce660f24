"""What all contestants are given: phi, theta_0, the minibatches, in one file. Needs NumPy alone."""

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
  """One window of T steps of a one-instance MLP with sigmoid units by a coordinatewise LSTM."""

  phi: dict[
    str, np.ndarray
  ]  # "lstm_1/w_gates", ..., "linear/b", as storage.optimizer_files names them
  theta: dict[str, np.ndarray]  # theta_0: "hidden_1/w", "hidden_1/b", ..., "output/b"
  images: np.ndarray  # float [T + 1, batch, pixels], the minibatch of each step
  labels: np.ndarray  # int32 [T + 1, batch]
  p: float  # of the preprocessing, Appendix A
  output_scale: float
  learning_rate: float  # of Adam on phi

  @property
  def num_steps(self) -> int:
    """T."""
    return self.images.shape[0] - 1

  @property
  def num_layers(self) -> int:
    """LSTM layers of the optimizer."""
    return sum(name.endswith("/w_gates") for name in self.phi)


def save(path: str, case: Case):
  """Writes `case` to an .npz file."""
  arrays = {name: value for name, value in case._asdict().items() if not isinstance(value, dict)}
  for group in ("phi", "theta"):
    arrays |= {f"{group}:{name}": value for name, value in getattr(case, group).items()}
  np.savez(path, **arrays)


def load(path: str) -> Case:
  """The inverse of `save`."""
  groups, rest = {"phi": {}, "theta": {}}, {}
  with np.load(path) as arrays:
    for key, value in arrays.items():
      group, _, name = key.partition(":")
      if name:
        groups[group][name] = value
      else:
        rest[key] = value if value.ndim else float(value)
  return Case(**groups, **rest)


def forget_bias(units: int) -> np.ndarray:
  """The 1 that our cell adds to b_gates and other libraries' cells do not: `[4 units]`."""
  return np.repeat(np.array([0, 1, 0, 0], np.float32), units)
