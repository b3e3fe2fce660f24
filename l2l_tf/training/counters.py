"""The counters of a meta-training, which its checkpoints hold as JSON."""

import dataclasses
import json
import math


@dataclasses.dataclass
class Progress:
  """Where training stands; plain JSON types, saved with every checkpoint."""

  epoch: int = 0  # epochs completed
  episode: int = 0  # episodes begun in this epoch
  window: int = 0  # windows done in the episode
  bad_steps: int = 0  # skipped meta-steps, all together
  bad_in_a_row: int = 0
  sum_loss: float = 0.0  # over this epoch's finite meta-steps
  sum_norm: float = 0.0
  finite_steps: int = 0
  best_loss: float = math.inf  # the best final validation loss
  best_epoch: int = 0
  history: list = dataclasses.field(default_factory=list)  # a row an epoch

  @classmethod
  def from_json(cls, text: str) -> "Progress":
    """The inverse of `to_json`.

    Raises:
      ValueError: for anything else.
    """
    values, fresh = json.loads(text), dataclasses.asdict(cls())
    if not isinstance(values, dict):
      raise ValueError(f"Progress must be an object, got {values!r:.200}.")
    if values.keys() != fresh.keys():
      odd = ", ".join(sorted(values.keys() ^ fresh.keys()))
      raise ValueError(f"Progress has the keys {', '.join(fresh)}; unknown or missing: {odd}.")
    for name, value in values.items():
      if type(value) is not type(fresh[name]):
        kind = type(fresh[name]).__name__
        raise ValueError(f"Progress: {name} must be of type {kind}, got {value!r:.200}.")
    return cls(**values)

  def to_json(self) -> str:
    return json.dumps(dataclasses.asdict(self))
