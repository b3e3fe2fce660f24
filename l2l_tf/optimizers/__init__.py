"""Optimizers, learned and hand-designed, behind one interface."""

from l2l_tf.optimizers.base import Optimizer
from l2l_tf.optimizers.coordinatewise import CoordinatewiseLSTM
from l2l_tf.optimizers.hand_designed import Adadelta
from l2l_tf.optimizers.hand_designed import Adagrad
from l2l_tf.optimizers.hand_designed import Adam
from l2l_tf.optimizers.hand_designed import RMSprop
from l2l_tf.optimizers.hand_designed import Rprop
from l2l_tf.optimizers.hand_designed import SGD

HAND_DESIGNED = {
  "adam": Adam,
  "rmsprop": RMSprop,
  "sgd": SGD,
  "adadelta": Adadelta,
  "adagrad": Adagrad,
  "rprop": Rprop,
}
"""The rivals of the paper by name."""

LEARNED = {"lstm": CoordinatewiseLSTM}
"""Learned optimizers by the name in flags and files: a closed table, nothing else is ever built."""

__all__ = [
  "Adadelta",
  "Adagrad",
  "Adam",
  "CoordinatewiseLSTM",
  "HAND_DESIGNED",
  "LEARNED",
  "Optimizer",
  "RMSprop",
  "Rprop",
  "SGD",
]
