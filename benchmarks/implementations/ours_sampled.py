"""Ours with the option --meta_gradient=sampled:300, as the quick preset has it.

The same losses; of the meta-gradient an unbiased estimate, from a sample of coordinates.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks.implementations import ours
from benchmarks.implementations import worker


class OursSampled(ours.Ours):
  """Backpropagates through 300 coordinates a parameter."""

  def __init__(self, case):
    super().__init__(case, meta_gradient="sampled:300")


if __name__ == "__main__":
  worker.serve(OursSampled, packages=("tensorflow", "numpy"))
