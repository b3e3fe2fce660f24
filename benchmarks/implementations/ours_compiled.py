"""Ours with the cell compiled for this machine, as after bin/compile.py."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks.implementations import ours
from benchmarks.implementations import worker
from l2l_tf.optimizers import lstm_kernel


class OursCompiled(ours.Ours):
  """The same meta-step; compiles the cell if that was not done."""

  def __init__(self, case):
    lstm_kernel.build()
    assert lstm_kernel.load() and lstm_kernel.version()
    super().__init__(case)


if __name__ == "__main__":
  worker.serve(OursCompiled, packages=("tensorflow", "numpy"))
