"""An experiment: a problem, an optimizer, its training, with every hyperparameter."""

import dataclasses
from typing import Any

from l2l_tf.config.optimizers import INDEPENDENT
from l2l_tf.config.optimizers import OPTIMIZERS
from l2l_tf.config.options import Options
from l2l_tf.config.problems import MIXTURES
from l2l_tf.config.problems import PROBLEMS
from l2l_tf.config.training import Training
from l2l_tf.config.user_problem import is_name
from l2l_tf.config.user_problem import UserProblem


@dataclasses.dataclass(frozen=True)
class Experiment:
  """All of a meta-training: what the flags set, what `config.json` holds."""

  problem: Options
  optimizer: Options
  training: Training

  def __post_init__(self):
    if _problem_name(self.problem) in MIXTURES and self.training.estimator == "backprop":
      raise ValueError(
        f"estimator must be es or pes for {', '.join(MIXTURES)}, a mixture of problems, got"
        f" {self.training.estimator}."
      )
    if type(self.optimizer) in INDEPENDENT:
      return
    for name in ("backprop_coordinates", "imitation_rounds"):
      if getattr(self.training, name):
        raise ValueError(
          f"{name} must be 0 unless the optimizer's coordinates do not depend on each other, as"
          f" those of lstm and partition; got {_name_of(self.optimizer, OPTIMIZERS)}."
        )

  def to_dict(self) -> dict[str, Any]:
    """Returns plain JSON types."""
    return describe(self.problem, self.optimizer, self.training)

  @classmethod
  def from_dict(cls, values: dict[str, Any]) -> "Experiment":
    """The inverse of `to_dict`.

    Raises:
      ValueError: for an unknown name or a value that is not allowed.
    """
    groups = ("problem", "optimizer", "training")
    if not isinstance(values, dict) or sorted(values) != sorted(groups):
      raise ValueError(f"An experiment has the parts {', '.join(groups)}, got {values!r:.200}.")
    return cls(
      _problem(values["problem"]),
      _named(values["optimizer"], OPTIMIZERS, "optimizer"),
      Training.from_dict(values["training"]),
    )


def describe(problem: Options, optimizer: Options, training: Options) -> dict[str, Any]:
  """Returns the options of a training of any kind in plain JSON types."""
  return {
    "problem": {"name": _problem_name(problem), **problem.to_dict()},
    "optimizer": {"name": _name_of(optimizer, OPTIMIZERS), **optimizer.to_dict()},
    "training": training.to_dict(),
  }


def problem(name: str) -> Options:
  """The options of one of `PROBLEMS` at their defaults, or of a user's `module:factory`."""
  return UserProblem(name) if is_name(name) else PROBLEMS[name]()


def _problem_name(options: Options) -> str:
  return options.name if isinstance(options, UserProblem) else _name_of(options, PROBLEMS)


def _problem(values: Any) -> Options:
  if isinstance(values, dict) and is_name(values.get("name")):
    return UserProblem.from_dict(values)
  return _named(values, PROBLEMS, "problem")


def _name_of(options: Options, table: dict[str, type[Options]]) -> str:
  return next(name for name, kind in table.items() if type(options) is kind)


def _named(values: Any, table: dict[str, type[Options]], what: str) -> Options:
  name = values.get("name") if isinstance(values, dict) else None
  if name not in list(table):  # a list, as `name` may not be hashable
    raise ValueError(f"Unknown {what} {name!r}; known: {', '.join(table)}.")
  return table[name].from_dict({k: v for k, v in values.items() if k != "name"})
