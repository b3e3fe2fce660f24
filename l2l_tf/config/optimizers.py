"""The hyperparameters of the learned optimizers, and what builds each."""

import dataclasses
from typing import Any

from l2l_tf import optimizers
from l2l_tf.config.options import option
from l2l_tf.config.options import Options
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
class OddPart(LSTM):
  """The odd part of the coordinatewise LSTM: its updates turn with the gradients."""

  def build(self, seed: int) -> Optimizer:
    return optimizers.OddPart(super().build(seed))


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


@dataclasses.dataclass(frozen=True)
class General(Options):
  """Adam directions and a learned controller of the step: for any model, without a setting."""

  controller_sizes: tuple[int, ...] = option(
    (24, 24), "units of the layers of the network that sets the steps, at most 4", 1, 256
  )

  def __post_init__(self):
    super().__post_init__()
    if len(self.controller_sizes) > 4:
      raise ValueError(
        f"controller_sizes must be 4 layers at most, got {len(self.controller_sizes)}."
      )

  def build(self, seed: int) -> Optimizer:
    return optimizers.General(self.controller_sizes, seed=seed)


OPTIMIZERS = {
  "lstm": LSTM,
  "lstm_gac": LSTMGAC,
  "ntm_bfgs": NTMBFGS,
  "ntm_lbfgs": NTMLBFGS,
  "partition": Partition,
  "general": General,
  "odd_part": OddPart,
}
INDEPENDENT = (LSTM, Partition, OddPart)  # whose coordinates do not depend on each other
