"""What holds in all tests, and in the processes that they start."""

import gc
import os
import shutil

import pytest

# PyTorch's threads wait for each other by spinning: on two cores, beside another worker of
# pytest-xdist, small steps take six times the processor time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Programs that XLA compiles run for less time here than LLVM would take to make them fast.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ["L2L_TF_KERNEL"] = ""  # whatever `bin/compile.py` left on this machine
gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def _collected_once():
  """What a module leaves, graphs and caches, is not gone through again and again in all others."""
  yield
  gc.collect()
  gc.freeze()


@pytest.fixture
def kernel(tmp_path_factory, monkeypatch):
  """The LSTM's cell as `bin/compile.py` leaves it, in this test and in what it starts."""
  from l2l_tf.optimizers import lstm_kernel  # TensorFlow, once the above is set

  if shutil.which(os.environ.get("CXX", "g++")) is None:
    pytest.skip("needs g++")
  cache = tmp_path_factory.getbasetemp()
  cache = cache.parent if "PYTEST_XDIST_WORKER" in os.environ else cache  # for all workers
  monkeypatch.setenv("L2L_TF_KERNEL", str(cache))
  monkeypatch.setattr(lstm_kernel, "_loaded", None)
  lstm_kernel.build()
  assert lstm_kernel.load()
