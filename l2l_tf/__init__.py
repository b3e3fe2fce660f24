"""Learned optimizers, that train other models in the place of Adam, and what trains them.

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent".

What is public is imported when it is first used: TensorFlow takes seconds.
"""

import importlib
import importlib.util
import typing

from l2l_tf import registration
from l2l_tf import surroundings  # noqa: F401  it looks around
from l2l_tf.version import VERSION as __version__  # noqa: F401

if typing.TYPE_CHECKING:
  from l2l_tf import optimizers
  from l2l_tf import pretrained
  from l2l_tf import unroll
  from l2l_tf.config.training import Training
  from l2l_tf.inspection.advice import advise
  from l2l_tf.inspection.diagnosis import diagnose
  from l2l_tf.keras.optimizer import LearnedOptimizer
  from l2l_tf.optimizers import preprocessing
  from l2l_tf.storage.files import CheckpointError
  from l2l_tf.storage.optimizer_files import load_optimizer
  from l2l_tf.storage.optimizer_files import save_optimizer
  from l2l_tf.training.meta_trainer import MetaTrainer
  from l2l_tf.training.trainer import Diverged

_HOMES = {  # of what is public: the module that has it, as above; a module of that name has itself
  "CheckpointError": "storage.files",
  "Diverged": "training.trainer",
  "LearnedOptimizer": "keras.optimizer",
  "MetaTrainer": "training.meta_trainer",
  "Training": "config.training",
  "advise": "inspection.advice",
  "diagnose": "inspection.diagnosis",
  "load_optimizer": "storage.optimizer_files",
  "optimizers": "optimizers",
  "preprocessing": "optimizers.preprocessing",
  "pretrained": "pretrained",
  "save_optimizer": "storage.optimizer_files",
  "unroll": "unroll",
}

__all__ = [
  "CheckpointError",
  "Diverged",
  "LearnedOptimizer",
  "MetaTrainer",
  "Training",
  "advise",
  "diagnose",
  "load_optimizer",
  "optimizers",
  "preprocessing",
  "pretrained",
  "save_optimizer",
  "unroll",
]


def __getattr__(name: str) -> typing.Any:
  """Imports what is public, or a room of the house (PEP 562)."""
  if name not in _HOMES:
    if name.startswith("_") or not importlib.util.find_spec(f"{__name__}.{name}"):
      raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
  module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
  is_module = _HOMES[name].split(".")[-1] == name
  value = globals()[name] = module if is_module else getattr(module, name)
  return value


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})


registration.register()
