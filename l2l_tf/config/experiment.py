"""Experiments: a problem, an optimizer and every hyperparameter, with its source in the paper."""

import dataclasses
from typing import Any

from l2l_tf import optimizers
from l2l_tf.config.options import option
from l2l_tf.config.options import Options
from l2l_tf.config.problems import Bowl
from l2l_tf.config.problems import Cifar10
from l2l_tf.config.problems import Mnist
from l2l_tf.config.problems import NeuralArt
from l2l_tf.config.problems import PROBLEMS
from l2l_tf.config.problems import Quadratic
from l2l_tf.config.training import Training
from l2l_tf.config.user_problem import is_name
from l2l_tf.config.user_problem import UserProblem
from l2l_tf.optimizers import global_averaging
from l2l_tf.optimizers import Optimizer
from l2l_tf.optimizers import preprocessing as preprocessing_lib


@dataclasses.dataclass(frozen=True)
class LSTM(Options):
  """The coordinatewise LSTM (section 2.1)."""

  layer_sizes: tuple[int, ...] = option(
    (20, 20), "units of each LSTM layer (section 3: 20,20)", 1, 1024
  )
  preprocessing: str = option(
    "log_and_sign",
    "of gradients: Appendix A, or a constant factor",
    choices=("log_and_sign", "rescale"),
  )
  preprocessing_constant: float = option(
    10.0, "p of log_and_sign, at most 80 (10), or the factor", 1e-6, preprocessing_lib.MAX_FACTOR
  )
  output_scale: float = option(0.1, "constant on the updates (section 3.2: 0.1)", 1e-9, 1e9)

  def __post_init__(self):
    super().__post_init__()
    p = self.preprocessing_constant
    if self.preprocessing == "log_and_sign" and p > preprocessing_lib.MAX_P:
      raise ValueError(
        f"preprocessing_constant must be at most {preprocessing_lib.MAX_P:g} for log_and_sign,"
        f" got {p:g}."
      )

  def build(self, seed: int) -> Optimizer:
    """Returns the optimizer with a fresh phi."""
    return optimizers.CoordinatewiseLSTM(**self._arguments(seed))

  def _arguments(self, seed: int) -> dict[str, Any]:
    """The arguments of the optimizer's constructor."""
    arguments = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    constant = arguments.pop("preprocessing_constant")
    arguments["preprocessing"] = preprocessing_lib.BY_NAME[self.preprocessing](constant)
    return {**arguments, "seed": seed}


@dataclasses.dataclass(frozen=True)
class Partition(LSTM):
  """Two LSTMs, for convolutional and for fully connected parameters (section 3.3)."""

  def build(self, seed: int) -> Optimizer:
    # Seeds of experiments are not negative, so the complement is one that no LSTM has elsewhere.
    groups = {"conv": super().build(seed), "fc": super().build(~seed)}
    return optimizers.Partition(groups)


@dataclasses.dataclass(frozen=True)
class LSTMGAC(LSTM):
  """The LSTM with global averaging cells (section 2.2)."""

  num_gacs: int = option(5, "units of each layer that are averaged (section 3.1: 5)", 0, 1024)

  def __post_init__(self):
    super().__post_init__()
    global_averaging.check_num_gacs(self.num_gacs, self.layer_sizes)

  def build(self, seed: int) -> Optimizer:
    return optimizers.GlobalAveragingLSTM(**self._arguments(seed))


@dataclasses.dataclass(frozen=True)
class NTMBFGS(LSTMGAC):
  """LSTM+GAC with an n x n memory (appendix B)."""

  num_read_heads: int = option(1, "vectors read a step (section 3.1: 1)", 1, 1024)
  num_write_heads: int = option(3, "outer products written a step (section 3.1: 3)", 1, 1024)

  def build(self, seed: int) -> Optimizer:
    return optimizers.NTMBFGS(**self._arguments(seed))


@dataclasses.dataclass(frozen=True)
class NTMLBFGS(NTMBFGS):
  """NTM-BFGS with a memory of the last writes only (appendix B)."""

  history: int = option(10, "steps whose writes are kept (not given)", 1, 10**4)

  def build(self, seed: int) -> Optimizer:
    return optimizers.NTMLBFGS(**self._arguments(seed))


OPTIMIZERS = {
  "lstm": LSTM,
  "lstm_gac": LSTMGAC,
  "ntm_bfgs": NTMBFGS,
  "ntm_lbfgs": NTMLBFGS,
  "partition": Partition,
}
INDEPENDENT = (LSTM, Partition)  # whose coordinates do not depend on each other


@dataclasses.dataclass(frozen=True)
class Experiment:
  """All of a meta-training: what the flags set, what `config.json` holds."""

  problem: Options
  optimizer: Options
  training: Training

  def __post_init__(self):
    if self.training.backprop_coordinates and type(self.optimizer) not in INDEPENDENT:
      raise ValueError(
        "backprop_coordinates samples coordinates that must not depend on each other; it needs"
        " --optimizer=lstm or --optimizer=partition, got"
        f" {_name_of(self.optimizer, OPTIMIZERS)}."
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


def preset(kind: str, name: str) -> Experiment:
  """The experiment of `PRESETS[kind]` for a problem; a user's is trained as MNIST is."""
  if is_name(name):
    return dataclasses.replace(PRESETS[kind]["mnist"], problem=UserProblem(name))
  return PRESETS[kind][name]


def with_optimizer(experiment: Experiment, name: str) -> Experiment:
  """Puts another optimizer into an experiment.

  Options that both optimizers have keep their values, preprocessing and output scale among them;
  options that only the new one has get its defaults. Backpropagation through sampled coordinates
  is given up for optimizers whose coordinates depend on each other.

  Args:
    experiment: to take the rest from.
    name: one of `OPTIMIZERS`.
  """
  kind = OPTIMIZERS[name]
  old = experiment.optimizer
  shared = {f.name: getattr(old, f.name) for f in dataclasses.fields(kind) if hasattr(old, f.name)}
  training = experiment.training
  if kind not in INDEPENDENT:
    training = dataclasses.replace(training, backprop_coordinates=0)
  return dataclasses.replace(experiment, optimizer=kind(**shared), training=training)


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


_PLAIN = LSTM(preprocessing="rescale", preprocessing_constant=1.0, output_scale=1.0)  # section 3.1
# Clipped, these rates collapsed after a few hundred episodes or learned slowly (docs/training.md).
_MNIST = Training(learning_rate=3e-3, final_learning_rate=1e-4)
_MANY = Training(
  num_tasks=64,
  episodes_per_epoch=20,
  validation_runs=500,
  learning_rate=3e-3,
  max_gradient_norm=1.0,
  jit_compile=True,
)
# Windows late in an episode have gradients a thousand times smaller than the first: clipped to one
# norm, all of them count: in three of four pairs of short trials that ended better.
_QUADRATIC = dataclasses.replace(_MANY, learning_rate=1e-2, final_learning_rate=6e-5)

# The paper gives neither the horizon that it trained for nor any other number.
_CIFAR10 = Training(
  num_steps=100, episodes_per_epoch=10, learning_rate=3e-3, final_learning_rate=1e-4
)

# No postprocessing: the network's output is the update (section 3.4).
_NEURAL_ART = Training(
  num_steps=128,
  unroll_length=32,
  episodes_per_epoch=10,
  validation_runs=20,
  learning_rate=3e-3,
  final_learning_rate=1e-4,
)

PRESETS = {
  "quick": {
    "mnist": Experiment(
      Mnist(),
      LSTM(),
      # In windows of 20 steps the final loss stops falling sooner (docs/training.md).
      dataclasses.replace(_MNIST, num_epochs=30, unroll_length=50, backprop_coordinates=300),
    ),
    "cifar10": Experiment(
      Cifar10(),
      Partition(),
      dataclasses.replace(_CIFAR10, num_epochs=20, backprop_coordinates=300, validation_runs=5),
    ),
    "neural_art": Experiment(
      NeuralArt(size=32),
      LSTM(output_scale=1.0),
      dataclasses.replace(_NEURAL_ART, num_epochs=20, backprop_coordinates=1000, validation_runs=4),
    ),
    "quadratic": Experiment(Quadratic(), _PLAIN, dataclasses.replace(_QUADRATIC, num_epochs=25)),
    "bowl": Experiment(Bowl(), _PLAIN, dataclasses.replace(_MANY, num_epochs=5)),
  },
  "paper": {
    "mnist": Experiment(Mnist(), LSTM(), dataclasses.replace(_MNIST, num_epochs=500)),
    "cifar10": Experiment(
      Cifar10(), Partition(), dataclasses.replace(_CIFAR10, num_steps=1000, num_epochs=200)
    ),
    "neural_art": Experiment(
      NeuralArt(), LSTM(output_scale=1.0), dataclasses.replace(_NEURAL_ART, num_epochs=200)
    ),
    "quadratic": Experiment(
      Quadratic(), _PLAIN, dataclasses.replace(_QUADRATIC, num_epochs=200, learning_rate=3e-3)
    ),
    "bowl": Experiment(Bowl(), _PLAIN, dataclasses.replace(_MANY, num_epochs=20)),
  },
}
"""Complete experiments by preset and problem: quick takes minutes on two cores, paper hours."""
