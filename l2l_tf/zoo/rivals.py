"""The rivals by name: Keras's optimizers at their defaults or at a rate, ports, learned ones."""

from collections.abc import Callable
import hashlib
import os
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from l2l_tf import pretrained
from l2l_tf.keras.optimizer import LearnedOptimizer
from l2l_tf.storage.phi_files import CONFIG_FILE
from l2l_tf.zoo.ports.celo import Celo
from l2l_tf.zoo.ports.celo import CeloAdam
from l2l_tf.zoo.ports.d_adaptation import DAdaptAdamW
from l2l_tf.zoo.ports.dog import DoG
from l2l_tf.zoo.ports.momo import MoMoAdam
from l2l_tf.zoo.ports.prodigy import Prodigy
from l2l_tf.zoo.ports.schedule_free import ScheduleFreeAdamW

WARM_UP = 0.05  # of the horizon
PEAK_RATE = 1e-3  # of the schedule, Keras's default
WEIGHT_DECAY = 0.004  # that of Keras's AdamW


class UnknownOptimizer(ValueError):
  """Nothing is known by this name."""


class Rival(NamedTuple):
  """An optimizer as it is entered.

  Attributes:
    name: as given on the command line, a directory's as it is.
    build: makes it anew, from the number of steps that it is to make.
    knows_horizon: whether that number matters: then a short run is no beginning of a long one.
    averaged: whether it has the method `averaged`, weights to be evaluated in place of the model's.
    digest: of what the name does not tell: the files of a trained optimizer; else empty.
    max_parameters: of a model that it can train; 0 for any.
  """

  name: str
  build: Callable[[int], keras.optimizers.Optimizer]
  knows_horizon: bool = False
  averaged: bool = False
  digest: str = ""
  max_parameters: int = 0


def nadamw_cosine(horizon: int) -> keras.optimizers.Optimizer:
  """Nadam with decoupled decay, 5 % of linear warm-up to 1e-3, then a cosine to 0."""
  warm_up = max(1, round(WARM_UP * horizon))
  schedule = keras.optimizers.schedules.CosineDecay(
    0.0, horizon - warm_up, warmup_target=PEAK_RATE, warmup_steps=warm_up
  )
  return keras.optimizers.Nadam(schedule, weight_decay=WEIGHT_DECAY)


# Without a setting, in the order of the tables. Those of Keras are at their defaults.
KERAS = ("Adam", "AdamW", "Nadam", "RMSprop", "Lion", "Adafactor", "Muon")
PORTS = {
  "SGDMomentum": Rival("SGDMomentum", lambda _: keras.optimizers.SGD(momentum=0.9)),
  "ScheduleFreeAdamW": Rival("ScheduleFreeAdamW", lambda _: ScheduleFreeAdamW(), averaged=True),
  "Prodigy": Rival("Prodigy", lambda _: Prodigy()),
  "DAdaptAdamW": Rival("DAdaptAdamW", lambda _: DAdaptAdamW()),
  "DoG": Rival("DoG", lambda _: DoG()),
  "MoMoAdam": Rival("MoMoAdam", lambda _: MoMoAdam()),
  "NAdamWCosine": Rival("NAdamWCosine", nadamw_cosine, knows_horizon=True),
  "Celo": Rival("Celo", Celo, knows_horizon=True),
  "CeloAdam": Rival("CeloAdam", CeloAdam, knows_horizon=True),
}
"""What is not Keras's own, or not at its defaults."""

MAX_PARAMETERS = {"quadratic_ntm_bfgs": 6000}
"""Of those whose state has the square of the number of parameters: 144 MB here."""

ODD, EMA = "@odd", "@ema"  # after a trained optimizer's name or directory
EMA_MOMENTUM = 0.99  # Keras's default

RATES = (*(float(f"{m}e{k}") for k in range(-7, 0) for m in (1, 3)), 1.0)
TUNED = tuple(f"Adam@{rate:g}" for rate in RATES)
"""Adam at half decades from 1e-7 to 1, of which the best are picked for each task and horizon."""


class _Averaging(LearnedOptimizer):
  """A trained optimizer that is judged by Keras's moving average of the weights."""

  def averaged(self):
    """The averages, in the order of the variables that it was built for; the weights at first."""
    first = self.iterations.value == 0
    pairs = zip(self._trainable_variables, self._model_variables_moving_average)
    return [tf.where(first, own.value, average.value) for own, average in pairs]


def standard() -> tuple[str, ...]:
  """The names of all rivals without a setting, ours last."""
  return (*KERAS, *PORTS, *pretrained.list())


def find(name: str) -> Rival:
  """The rival of a name.

  Args:
    name: one of `PORTS`, a class of `keras.optimizers` such as "Adamax", one at a rate such as
      "Adam@0.003", one of `l2l_tf.pretrained.list()`, a directory of a trained optimizer; of one of
      these two the odd part, "mnist_lstm@odd", or the moving average of the weights, "general@ema".

  Raises:
    UnknownOptimizer: if it is none of these.
  """
  if name in PORTS:
    return PORTS[name]
  odd, ema = (name.endswith(end) and not os.path.isdir(name) for end in (ODD, EMA))
  learned = name.removesuffix(ODD if odd else EMA) if odd or ema else name
  if learned in pretrained.list() or os.path.isdir(learned):
    return Rival(
      name,
      lambda _: _learned(learned, odd, ema),
      averaged=ema,
      digest=_files_digest(learned),
      max_parameters=MAX_PARAMETERS.get(learned, 0),
    )
  kind, at, rate = name.partition("@")
  keras_class: Any = getattr(keras.optimizers, kind, None)
  known = isinstance(keras_class, type) and issubclass(keras_class, keras.optimizers.Optimizer)
  if not known or keras_class is keras.optimizers.Optimizer:
    raise UnknownOptimizer(
      f"Unknown optimizer {name!r}; known: {', '.join(standard())}, each optimizer of Keras by its"
      " class, one at a rate like Adam@0.003, directories of trained optimizers, and of a"
      " trained one the odd part, mnist_lstm@odd, or averaged weights, general@ema."
    )
  if not at:
    return Rival(name, lambda _: keras_class())
  try:
    learning_rate = float(rate)
  except ValueError as error:
    raise UnknownOptimizer(f"The rate of {name!r} is no number; write Adam@0.003.") from error
  if not 0 < learning_rate < float("inf"):
    raise UnknownOptimizer(f"The rate of {name!r} must be above 0 and finite.")
  return Rival(name, lambda _: keras_class(learning_rate))


def _learned(name: str, odd: bool, ema: bool) -> LearnedOptimizer:
  if ema:
    return _Averaging(name, use_ema=True, ema_momentum=EMA_MOMENTUM)
  return LearnedOptimizer(name, odd=odd)


def _files_digest(name: str) -> str:
  """SHA-256, in hex, of the config, which holds that of the weights."""
  with open(os.path.join(pretrained.find(name), CONFIG_FILE), "rb") as file:
    return hashlib.sha256(file.read()).hexdigest()
