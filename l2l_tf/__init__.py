"""Learned optimizers: LSTMs trained by gradient descent to train other models.

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent".
"""

from l2l_tf import optimizers
from l2l_tf import preprocessing
from l2l_tf import pretrained
from l2l_tf import unroll
from l2l_tf.advice import advise
from l2l_tf.checkpoint import CheckpointError
from l2l_tf.checkpoint import load_optimizer
from l2l_tf.checkpoint import save_optimizer
from l2l_tf.diagnosis import diagnose
from l2l_tf.keras_optimizer import LearnedOptimizer
from l2l_tf.meta_training import Diverged
from l2l_tf.meta_training import MetaTrainer
from l2l_tf.training_options import Training

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
