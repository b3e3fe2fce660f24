"""Learned optimizers: LSTMs trained by gradient descent to train other models.

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent".
"""

from l2l_tf import surroundings  # noqa: F401  first, as it says what is wrong with the imports below
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
from l2l_tf.storage.provenance import VERSION as __version__  # noqa: F401
from l2l_tf.training.trainer import Diverged
from l2l_tf.training.meta_trainer import MetaTrainer

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
