"""The hyperparameters of meta-training."""

from typing import Literal

import pydantic

from l2l_tf.config.options import option
from l2l_tf.config.options import Options

STRATEGIES = ("single", "mirrored", "multi_worker")
"""Devices that share the instances: see `training.distribution`."""


def check_windows(num_steps: int, unroll_length: int):
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
  perturbation: float = option(0.03, "of phi, its standard deviation, with es, pes", 1e-9, 1e3)
  shortest: int = option(
    0,
    "with es, pes: lengths of runs are log-uniform from this to num_steps; 0: all num_steps",
    0,
    10**6,
  )
  num_tasks: int = option(1, "instances side by side, averaged in the meta-loss", 1, 10**5)
  num_epochs: int = option(100, "epochs at most", 1, 10**6)
  episodes_per_epoch: int = option(20, "episodes between two validations", 1, 10**6)
  learning_rate: float = option(1e-3, "of Adam on phi; by random search in the paper", 0.0, 100.0)
  final_learning_rate: float = option(
    1e-4, "reached along a cosine at the last epoch; at most the first", 0.0, 100.0
  )
  max_gradient_norm: float = option(0.0, "clip the meta-gradient to this norm; 0: never", 0.0, 1e30)
  backprop_coordinates: int = option(
    0, "backpropagate through a sample of so many coordinates a parameter; 0: all (paper)", 0, 10**6
  )
  loss_weight_power: float = option(
    0.0, "p of the weights (p + 1) (t / num_steps)^p in Eq. 3: above 0, the end counts more", 0, 10
  )
  imitation_rounds: int = option(
    0, "rounds of imitating a tuned hand-designed teacher first; 0: none (paper)", 0, 1000
  )
  second_derivatives: bool = option(
    False, "keep the dashed edges of Figure 2 (slow); switches sampled coordinates off"
  )
  segment_length: int = option(
    0, "keep activations of so many steps, recompute the others: less memory; 0: keep all", 0, 10**5
  )
  jit_compile: bool = option(
    False, "compile the meta-step with XLA: twice as fast on quadratics, slower on MNIST (CPU)"
  )
  validation_runs: int = option(10, "held-out instances that rate phi after an epoch", 1, 10**5)
  patience: int = option(0, "stop after so many epochs without a better phi; 0: never", 0, 10**6)
  max_bad_steps: int = option(20, "stop after so many non-finite meta-steps in a row", 1, 10**6)
  seed: int = option(0, "of phi and of all instances", 0, 2**31 - 1)

  @pydantic.model_validator(mode="after")
  def _options_go_together(self):
    if self.estimator != "es":
      check_windows(self.num_steps, self.unroll_length)
    if self.estimator != "backprop":
      self._check_evolution()
    if self.backprop_coordinates and self.second_derivatives:
      raise ValueError(
        "backprop_coordinates cannot be combined with second_derivatives: leave one of them out, or"
        " set backprop_coordinates to 0."
      )
    if self.segment_length and self.unroll_length % self.segment_length:
      raise ValueError(
        f"unroll_length must be a multiple of segment_length, got {self.unroll_length} and"
        f" {self.segment_length}."
      )
    if self.segment_length and self.backprop_coordinates:
      raise ValueError(
        "segment_length is of no use with backprop_coordinates: set one of them to 0."
      )
    if self.final_learning_rate > self.learning_rate:
      raise ValueError(
        f"final_learning_rate must be at most learning_rate, got {self.final_learning_rate:g} and"
        f" {self.learning_rate:g}; give both, as a preset has its own."
      )
    return self

  def _check_evolution(self):
    """Raises ValueError for options that do not go with evolution strategies."""
    for name in ("backprop_coordinates", "second_derivatives", "segment_length"):
      if getattr(self, name):
        raise ValueError(
          f"{name} is of backpropagation and cannot go with estimator {self.estimator}."
        )
    if self.shortest > self.num_steps:
      raise ValueError(
        f"shortest must be at most num_steps, got {self.shortest} and {self.num_steps}."
      )

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
  def _windows_fit(self):
    check_windows(self.num_steps, self.unroll_length)
    return self
