"""The hyperparameters of the learned optimizers, and what builds each.

The same models are what flags set, what the config of a run holds, and what the files of a trained
optimizer are checked against, whose names (docs/format.md) are read too.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from pydantic import Field

from l2l_tf.config.options import Options
from l2l_tf.config.options import at_most
from l2l_tf.config.options import explained
from l2l_tf.config.options import one_of
from l2l_tf.config.options import option
from l2l_tf.config.options import sizes
from l2l_tf.config.user_optimizer import UserOptimizer

if TYPE_CHECKING:
  from typing import Self

  from l2l_tf.optimizers import Optimizer

  _LayerSizes = tuple[int, ...]
  _ControllerSizes = tuple[int, ...]
else:
  _LayerSizes, _ControllerSizes = sizes(1024), sizes(256, 4)

MAX_P = 80.0  # e^p and e^-p are normal numbers of float32
MAX_GROUPS = 16  # of a partition
BEFORE = {"general": {"orthogonal": False}}  # what options were before files and runs had them
CONSTANTS = {"log_and_sign": ("p", 10.0), "rescale": ("factor", 1.0)}  # names in files, defaults


class _Learned(Options):
  """What all have: a name, which files call a kind."""

  name: str

  @pydantic.model_validator(mode="before")
  @classmethod
  def _kind_is_the_name(cls, values: Any) -> Any:
    if isinstance(values, dict) and "kind" in values:
      values = {"name": values["kind"], **{k: v for k, v in values.items() if k != "kind"}}
    return values


class _Layers(_Learned):
  """What is made of LSTM layers."""

  layer_sizes: _LayerSizes = option((20, 20), "units of each LSTM layer (section 3: 20,20)")
  preprocessing: Literal["log_and_sign", "rescale"] = option(
    "log_and_sign", "of gradients: Appendix A, or a constant factor"
  )
  preprocessing_constant: float = option(
    10.0, "p of log_and_sign, at most 80 (10), or the factor", 1e-30, 1e30
  )
  output_scale: float = option(0.1, "constant on the updates (section 3.2: 0.1)", -1e30, 1e30)
  dtype: Literal["float16", "bfloat16", "float32", "float64"] = Field(
    default="float32", exclude_if=lambda dtype: dtype == "float32"
  )

  @pydantic.model_validator(mode="before")
  @classmethod
  def _preprocessing_of_files(cls, values: Any) -> Any:
    """Takes `{"name": "rescale", "factor": 1.0}` for the two options."""
    given = values.get("preprocessing") if isinstance(values, dict) else None
    if not isinstance(given, dict):
      return values
    name = given.get("name")
    constant, default = CONSTANTS[name] if name in list(CONSTANTS) else ("", 1.0)
    if constant and not given.keys() <= {"name", constant}:
      raise ValueError(f"preprocessing must have name and {constant} alone, got {given!r:.200}.")
    value = given.get(constant, default)
    return {**values, "preprocessing": name, "preprocessing_constant": value}

  @pydantic.model_validator(mode="after")
  def _constants_work(self) -> "Self":
    p = self.preprocessing_constant
    if self.preprocessing == "log_and_sign" and p > MAX_P:
      raise ValueError(
        f"preprocessing_constant must be at most {MAX_P:g} for log_and_sign, got {p:g}."
      )
    if not self.output_scale:
      raise ValueError("output_scale must not be 0, as then every update is.")
    return self

  def build(self, seed: int) -> "Optimizer":
    """Returns the optimizer with a fresh phi."""
    from l2l_tf import optimizers
    from l2l_tf.optimizers import preprocessing

    arguments = dict(self)
    kind, constant = arguments.pop("name"), arguments.pop("preprocessing_constant")
    arguments["preprocessing"] = preprocessing.BY_NAME[self.preprocessing](constant)
    return optimizers.LEARNED[kind](**arguments, seed=seed)


class _Averaging(_Layers):
  """What has global averaging cells."""

  num_gacs: int = option(5, "units of each layer that are averaged (section 3.1: 5)", 0, 1024)

  @pydantic.model_validator(mode="after")
  def _every_layer_has_as_many(self) -> "Self":
    if self.num_gacs > (most := min(self.layer_sizes)):
      raise ValueError(
        f"num_gacs must be an integer of 0..{most}, the units of the smallest layer, got"
        f" {self.num_gacs}."
      )
    return self


class _Memory(_Averaging):
  """What reads and writes an n x n memory."""

  num_read_heads: int = option(1, "vectors read a step (section 3.1: 1)", 1, 1024)
  num_write_heads: int = option(3, "outer products written a step (section 3.1: 3)", 1, 1024)


class LSTM(_Layers):
  """The coordinatewise LSTM (section 2.1)."""

  name: Literal["lstm"] = "lstm"


class LSTMGAC(_Averaging):
  """The LSTM with global averaging cells (section 2.2)."""

  name: Literal["lstm_gac"] = "lstm_gac"


class NTMBFGS(_Memory):
  """LSTM+GAC with an n x n memory (appendix B)."""

  name: Literal["ntm_bfgs"] = "ntm_bfgs"


class NTMLBFGS(_Memory):
  """NTM-BFGS with a memory of the last writes only (appendix B)."""

  name: Literal["ntm_lbfgs"] = "ntm_lbfgs"
  history: int = option(10, "steps whose writes are kept (not given)", 1, 2**16)


class General(_Learned):
  """Adam directions and a learned controller of the step: for any model, without a setting."""

  name: Literal["general"] = "general"
  controller_sizes: _ControllerSizes = option(
    (24, 24), "units of the layers of the network that sets the steps, at most 4"
  )
  orthogonal: bool = option(True, "give updates of small matrices singular values that are alike")

  @pydantic.model_validator(mode="before")
  @classmethod
  def _hidden_of_files(cls, values: Any) -> Any:
    if isinstance(values, dict) and "hidden" in values:
      values = {**BEFORE["general"], **values, "controller_sizes": values["hidden"]}
      del values["hidden"]
    return values

  def build(self, seed: int) -> "Optimizer":
    """Returns the optimizer with a fresh phi."""
    from l2l_tf import optimizers

    return optimizers.General(self.controller_sizes, self.orthogonal, seed)


class Partition(_Layers):
  """Two LSTMs, for convolutional and for fully connected parameters (section 3.3)."""

  name: Literal["partition"] = "partition"

  def build(self, seed: int) -> "Optimizer":
    """Returns the optimizer with a fresh phi."""
    # Seeds of experiments are not negative, so the complement is one that no LSTM has elsewhere.
    from l2l_tf import optimizers

    one = LSTM(**{**dict(self), "name": "lstm"})
    return optimizers.Partition({"conv": one.build(seed), "fc": one.build(~seed)})


class OddPart(_Layers):
  """The odd part of the coordinatewise LSTM: its updates turn with the gradients."""

  name: Literal["odd_part"] = "odd_part"

  def build(self, seed: int) -> "Optimizer":
    """Returns the optimizer with a fresh phi."""
    from l2l_tf import optimizers

    return optimizers.OddPart(LSTM(**{**dict(self), "name": "lstm"}).build(seed))


_SINGLE = (LSTM, LSTMGAC, NTMBFGS, NTMLBFGS, General)
if TYPE_CHECKING:
  _Single = LSTM | LSTMGAC | NTMBFGS | NTMLBFGS | General
else:
  _Single = one_of(*_SINGLE)


class OddPartOf(_Learned):
  """The odd part of any optimizer, as files hold it."""

  name: Literal["odd_part"] = "odd_part"
  optimizer: _Single

  def build(self, seed: int) -> "Optimizer":
    """Returns the optimizer with a fresh phi."""
    from l2l_tf import optimizers

    return optimizers.OddPart(self.optimizer.build(seed))


if TYPE_CHECKING:
  _Group = _Single | OddPartOf
else:
  _Group = one_of(*_SINGLE, OddPartOf)


class PartitionOf(_Learned):
  """A partition into groups of any optimizers, as files hold it."""

  name: Literal["partition"] = "partition"
  label: Literal["conv_or_fc"] = "conv_or_fc"
  groups: Annotated[dict[str, _Group], at_most(MAX_GROUPS)] = Field(min_length=1)

  def build(self, seed: int) -> "Optimizer":
    """Returns the optimizer with a fresh phi."""
    from l2l_tf import optimizers

    groups = {name: group.build(seed) for name, group in self.groups.items()}
    return optimizers.Partition(groups, self.label)


def of_file(config: Any) -> "_Group | PartitionOf":
  """The model of what an optimizer's `config()` returned.

  Raises:
    ValueError: for an unknown kind, option or value.
  """
  try:
    return _STORED.validate_python(config)
  except pydantic.ValidationError as error:
    raise ValueError(explained(error)) from error


_STORED = pydantic.TypeAdapter(one_of(*_SINGLE, OddPartOf, PartitionOf))
_KINDS = (LSTM, LSTMGAC, NTMBFGS, NTMLBFGS, Partition, General, OddPart)
if TYPE_CHECKING:
  AnyOptimizer = _Single | Partition | OddPart | UserOptimizer
else:
  AnyOptimizer = one_of(*_KINDS, UserOptimizer)
OPTIMIZERS = {kind.model_fields["name"].default: kind for kind in _KINDS}
INDEPENDENT = (LSTM, Partition, OddPart)  # whose coordinates do not depend on each other
