"""The hyperparameters of meta-training."""

import re
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from l2l_tf.config.options import Options
from l2l_tf.config.options import option

if TYPE_CHECKING:
  from typing import Self

STRATEGIES = ("single", "mirrored", "multi_worker")
"""Devices that share the instances: see `training.distribution`."""
_NUMBER = r":(1000000|[1-9]\d{0,5})"
META_GRADIENT = re.compile(
  rf"full|second_derivatives({_NUMBER})?|sampled{_NUMBER}|segments{_NUMBER}", re.ASCII
)


def check_windows(num_steps: int, unroll_length: int) -> None:
  """Raises ValueError unless an episode is a whole number of windows."""
  if num_steps % unroll_length:
    raise ValueError(
      f"num_steps must be a multiple of unroll_length, got {num_steps} and {unroll_length}."
    )


class Training(Options):
  """How phi is trained."""

  num_steps: int = option(100, "optimization steps an episode (section 3: 100)", 1, 10**6)
  unroll_length: int = option(20, "steps of a window of truncated BPTT (20)", 1, 10**5)
  estimator: Literal["backprop", "es", "pes"] = option(
    "backprop",
    "of the meta-gradient: backprop through windows (paper), es: evolution strategies"
    " over whole episodes, pes: over windows, persistent",
  )
  perturbation: float = option(0.03, "of phi, its standard deviation, with es, pes", 1e-6, 1e3)
  shortest: int = option(
    0,
    "with es, pes: lengths of runs are log-uniform from this to num_steps; 0: all num_steps",
    0,
    10**6,
  )
  num_tasks: int = option(1, "instances side by side, averaged in the meta-loss", 1, 10**5)
  num_epochs: int = option(100, "epochs at most", 1, 10**6)
  episodes_per_epoch: int = option(20, "episodes between two validations", 1, 10**6)
  learning_rate: float = option(1e-3, "of Adam on phi; by random search in the paper", 1e-9, 100.0)
  learning_rate_decay: float = option(
    0.1, "what is left of it at the last epoch, along a cosine", 0.0, 1.0
  )
  max_gradient_norm: float = option(0.0, "clip the meta-gradient to this norm; 0: never", 0.0, 1e30)
  meta_gradient: str = option(
    "full",
    "full: of a window (paper); second_derivatives: with the dashed edges of Figure 2 (slow);"
    " sampled:K: through K coordinates a parameter; segments:S: keeps activations of S steps,"
    " recomputes the others (less memory), as second_derivatives:S does",
  )
  loss_weight_power: float = option(
    0.0, "p of the weights (p + 1) (t / num_steps)^p in Eq. 3: above 0, the end counts more", 0, 10
  )
  imitation_rounds: int = option(
    0, "rounds of imitating a tuned hand-designed teacher first; 0: none (paper)", 0, 1000
  )
  jit_compile: bool = option(
    False, "compile the meta-step with XLA: twice as fast on quadratics, slower on MNIST (CPU)"
  )
  validation_runs: int = option(10, "held-out instances that rate phi after an epoch", 1, 10**5)
  patience: int = option(0, "stop after so many epochs without a better phi; 0: never", 0, 10**6)
  max_bad_steps: int = option(20, "stop after so many non-finite meta-steps in a row", 1, 10**6)
  seed: int = option(0, "of phi and of all instances", 0, 2**31 - 1)

  @pydantic.model_validator(mode="before")
  @classmethod
  def _older_names(cls, values: Any) -> Any:
    """Takes the three options that `meta_gradient` was, and the final learning rate."""
    if not isinstance(values, dict) or values.keys().isdisjoint(_Older.model_fields):
      return values
    return _renamed(values)

  @pydantic.model_validator(mode="after")
  def _options_go_together(self) -> "Self":
    if not META_GRADIENT.fullmatch(self.meta_gradient):
      raise ValueError(
        "meta_gradient must be full, second_derivatives, sampled:K or segments:S, with numbers of"
        f" 1..1000000, got {self.meta_gradient!r:.200}."
      )
    if self.estimator != "es":
      check_windows(self.num_steps, self.unroll_length)
    if self.estimator != "backprop":
      self._check_evolution()
    if self.segment_length and self.unroll_length % self.segment_length:
      raise ValueError(
        "unroll_length must be a multiple of the segments of meta_gradient, got"
        f" {self.unroll_length} and {self.segment_length}."
      )
    return self

  def _check_evolution(self) -> None:
    """Raises ValueError for options that do not go with evolution strategies."""
    if self.meta_gradient != "full":
      raise ValueError(
        f"meta_gradient is of backpropagation and cannot go with estimator {self.estimator}."
      )
    if self.shortest > self.num_steps:
      raise ValueError(
        f"shortest must be at most num_steps, got {self.shortest} and {self.num_steps}."
      )

  @property
  def second_derivatives(self) -> bool:
    """Whether the gradient of f is differentiated, too."""
    return self.meta_gradient.startswith("second_derivatives")

  @property
  def backprop_coordinates(self) -> int:
    """Coordinates of each parameter that are backpropagated through; 0: all."""
    return self._number_of("sampled")

  @property
  def segment_length(self) -> int:
    """Steps whose activations are kept; 0: those of the whole window."""
    return self._number_of("segments") or self._number_of("second_derivatives")

  def _number_of(self, name: str) -> int:
    kind, _, number = self.meta_gradient.partition(":")
    return int(number or 0) if kind == name else 0

  @property
  def final_learning_rate(self) -> float:
    """Adam's, at the last epoch."""
    return self.learning_rate * self.learning_rate_decay

  @property
  def window_length(self) -> int:
    """Steps of the optimizee that a meta-step sees."""
    return self.num_steps if self.estimator == "es" else self.unroll_length

  @property
  def windows(self) -> int:
    """Meta-steps an episode."""
    return self.num_steps // self.window_length

  @property
  def steps_per_epoch(self) -> int:
    """Meta-steps an epoch."""
    return self.windows * self.episodes_per_epoch


class Imitation(Options):
  """How phi is fitted to a teacher."""

  num_steps: int = option(1000, "steps of a trajectory, and of the teacher's schedule", 2, 10**6)
  teacher_rate: float = option(0.02, "the teacher's highest learning rate", 1e-9, 100.0)
  warmup_steps: int = option(20, "until the teacher has reached it, linearly", 1, 10**6)
  rounds: int = option(
    10, "the first on the teacher's trajectories, later on the student's", 1, 1000
  )
  trajectories: int = option(2, "new ones a round; a fit uses those of all rounds", 1, 1000)
  coordinates: int = option(100, "of each parameter that are recorded, at most", 1, 10**5)
  fit_steps: int = option(60, "times that a batch of coordinates is followed, a round", 1, 10**6)
  batch_size: int = option(600, "coordinates that are followed together", 1, 10**6)
  unroll_length: int = option(100, "steps of a window of truncated BPTT", 1, 10**5)
  learning_rate: float = option(2e-3, "of Adam on phi, falling to 0 in every round", 1e-9, 100.0)
  seed: int = option(0, "of phi, trajectories and batches", 0, 2**31 - 1)

  @pydantic.model_validator(mode="after")
  def _windows_fit(self) -> "Self":
    check_windows(self.num_steps, self.unroll_length)
    return self


class _Older(Options):
  """Options of before, which configs of runs hold."""

  final_learning_rate: float | None = None
  second_derivatives: bool = False
  backprop_coordinates: int = 0
  segment_length: int = 0


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
  """The options of `Training` by their names of today."""
  given = {name: values[name] for name in _Older.model_fields if name in values}
  new, old = {k: v for k, v in values.items() if k not in given}, _Older(**given)
  final, rate = old.final_learning_rate, new.get("learning_rate", 1e-3)
  if final is not None:
    if type(rate) not in (int, float) or not 0 <= final <= rate < 1e300:
      raise ValueError(
        f"final_learning_rate must be at most learning_rate, got {final!r} and {rate!r:.200}."
      )
    _put(new, "learning_rate_decay", float(f"{final / rate:.15g}") if rate else 1.0)
  if given.keys() > {"final_learning_rate"} or final is None:
    _put(new, "meta_gradient", _meta_gradient(*list(dict(old).values())[1:]))
  return new


def _put(values: dict[str, Any], name: str, value: Any) -> None:
  if name in values:
    raise ValueError(f"{name} cannot be given beside the older options that it stands for.")
  values[name] = value


def _meta_gradient(second: bool, sampled: int, length: int) -> str:
  if sampled and (second or length):
    raise ValueError("backprop_coordinates go with neither second_derivatives nor segment_length.")
  kind, number = "second_derivatives" if second else "full", sampled or length
  if number and not second:
    kind = "sampled" if sampled else "segments"
  return f"{kind}:{number}" if number else kind
