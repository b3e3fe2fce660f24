"""Optimizers, learned and hand-designed, behind one interface."""

from l2l_tf import keras_backend  # noqa: F401  first
from l2l_tf import surroundings

with surroundings.extra("tensorflow"):
  import sonnet  # noqa: F401
  import tensorflow  # noqa: F401

from l2l_tf.optimizers.base import Optimizer
from l2l_tf.optimizers.coordinatewise import CoordinatewiseLSTM
from l2l_tf.optimizers.general import General
from l2l_tf.optimizers.global_averaging import GlobalAveragingLSTM
from l2l_tf.optimizers.hand_designed import Adadelta
from l2l_tf.optimizers.hand_designed import Adagrad
from l2l_tf.optimizers.hand_designed import Adam
from l2l_tf.optimizers.hand_designed import RMSprop
from l2l_tf.optimizers.hand_designed import Rprop
from l2l_tf.optimizers.hand_designed import SGD
from l2l_tf.optimizers.ntm_bfgs import NTMBFGS
from l2l_tf.optimizers.ntm_bfgs import NTMLBFGS
from l2l_tf.optimizers.odd_part import OddPart
from l2l_tf.optimizers.partition import Partition

HAND_DESIGNED = {
  "adam": Adam,
  "rmsprop": RMSprop,
  "sgd": SGD,
  "adadelta": Adadelta,
  "adagrad": Adagrad,
  "rprop": Rprop,
}
"""The rivals of the paper by name."""

LEARNED = {
  "lstm": CoordinatewiseLSTM,
  "lstm_gac": GlobalAveragingLSTM,
  "ntm_bfgs": NTMBFGS,
  "ntm_lbfgs": NTMLBFGS,
  "partition": Partition,
  "general": General,
  "odd_part": OddPart,
}
"""Learned optimizers by the name in flags and files: a closed table, nothing else is ever built."""

__all__ = [
  "HAND_DESIGNED",
  "LEARNED",
  "NTMBFGS",
  "NTMLBFGS",
  "SGD",
  "Adadelta",
  "Adagrad",
  "Adam",
  "CoordinatewiseLSTM",
  "General",
  "GlobalAveragingLSTM",
  "OddPart",
  "Optimizer",
  "Partition",
  "RMSprop",
  "Rprop",
]
