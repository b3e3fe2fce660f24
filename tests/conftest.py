"""What holds in all tests, and in the processes that they start."""

import gc
import os

import pytest

# PyTorch's threads wait for each other by spinning: on two cores, beside another worker of
# pytest-xdist, small steps take six times the processor time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Programs that XLA compiles run for less time here than LLVM would take to make them fast.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def _collected_once():
  """What a module leaves, graphs and caches, is not gone through again and again in all others."""
  yield
  gc.collect()
  gc.freeze()
