"""An experiment: a problem, an optimizer, its training, with every hyperparameter."""

from typing import TYPE_CHECKING, Any

import pydantic

from l2l_tf.config.optimizers import BEFORE
from l2l_tf.config.optimizers import INDEPENDENT
from l2l_tf.config.optimizers import AnyOptimizer
from l2l_tf.config.options import Options
from l2l_tf.config.problems import MIXTURES
from l2l_tf.config.problems import PROBLEMS
from l2l_tf.config.problems import AnyProblem
from l2l_tf.config.training import Training
from l2l_tf.config.user_code import is_name
from l2l_tf.config.user_problem import UserProblem

if TYPE_CHECKING:
  from collections.abc import Callable
  from typing import Self

  from l2l_tf.optimizers import Optimizer


class Experiment(Options):
  """All of a meta-training: what the flags set, what `config.json` holds."""

  problem: AnyProblem
  optimizer: AnyOptimizer
  training: Training

  def __init__(self, /, problem: Any, optimizer: Any, training: Any):
    """Takes models, or what is to become those; raises ValueError for what cannot go together."""
    super().__init__(problem=problem, optimizer=optimizer, training=training)

  @pydantic.model_validator(mode="after")
  def _the_parts_fit(self) -> "Self":
    if self.problem.name in MIXTURES and self.training.estimator == "backprop":
      raise ValueError(
        f"estimator must be es or pes for {', '.join(MIXTURES)}, a mixture of problems, got"
        f" {self.training.estimator}."
      )
    if type(self.optimizer) in INDEPENDENT:
      return self
    training = self.training
    for value, text in (
      (training.backprop_coordinates, "meta_gradient must not be sampled"),
      (training.imitation_rounds, "imitation_rounds must be 0"),
    ):
      if value:
        raise ValueError(
          f"{text} unless the optimizer's coordinates do not depend on each other, as those of lstm"
          f" and partition; got {self.optimizer.name}."
        )
    return self

  @property
  def users_problem(self) -> str | None:
    """The `module:factory` of a problem of the user's; None for one of ours."""
    return self.problem.name if is_name(self.problem.name) else None

  @property
  def users_optimizer(self) -> str | None:
    """The `module:factory` of an optimizer of the user's; None for one of ours."""
    return self.optimizer.name if is_name(self.optimizer.name) else None

  @property
  def users_factory(self) -> "Callable[[int], Optimizer] | None":
    """What builds an optimizer of the user's from a seed; None for one of ours."""
    return self.optimizer.build if self.users_optimizer else None

  @classmethod
  def from_dict(cls, values: Any) -> "Self":
    """The inverse of `to_dict`.

    Raises:
      ValueError: for an unknown name or a value that is not allowed.
    """
    if not isinstance(values, dict) or values.keys() != cls.model_fields.keys():
      parts = ", ".join(cls.model_fields)
      raise ValueError(f"An experiment has the parts {parts}, got {values!r:.200}.")
    optimizer = values["optimizer"]
    if isinstance(optimizer, dict) and optimizer.get("name") in list(BEFORE):
      optimizer = {**BEFORE[optimizer["name"]], **optimizer}
    return cls(**{**values, "optimizer": optimizer})


def describe(problem: Options, optimizer: Options, training: Options) -> dict[str, Any]:
  """Returns the options of a training of any kind in plain JSON types."""
  parts = {"problem": problem, "optimizer": optimizer, "training": training}
  return {part: options.to_dict() for part, options in parts.items()}


def problem(name: str) -> "AnyProblem":
  """The options of one of `PROBLEMS` at their defaults, or of a user's `module:factory`."""
  return UserProblem(name=name) if is_name(name) else PROBLEMS[name]()
