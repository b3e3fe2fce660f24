"""LearnedOptimizer under every strategy of TensorFlow is LearnedOptimizer without one."""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests import keras_models as models
from tests import sources
from tests.training import distribution_test

pytestmark = pytest.mark.slow

# One of each kind of optimizer, and Adam.
SHIPPED = ["mnist_lstm", "cifar10_conv_fc", "quadratic_lstm_gac", "quadratic_ntm_bfgs"]
SHIPPED += ["quadratic_ntm_lbfgs", "general", "quadratic_lstm_gac@odd", "adam"]
FEW = ["quadratic_lstm_gac", "general"]  # where replicas share nothing; and in `apply_gradients`
# Ways and names.
FAST = ((("fit",), ("mnist_lstm", "lstm_gac")), (("eager",), ("lstm_gac",)))
SLOW = (
  *((("fit", "apply"), tuple(SHIPPED)), (("apply_gradients",), tuple(FEW))),
  (("eager",), ("mnist_lstm",)),
)


def start(kind, cases, out, tf_config=None):
  """`tests.keras.strategies` in a process of its own, `cases` being [(ways, names), ...]."""
  env = os.environ | ({"TF_CONFIG": json.dumps(tf_config)} if tf_config else {})
  command = [sys.executable, "-m", "tests.keras.strategies", kind]
  words = [",".join(words) for case in cases for words in case]
  return subprocess.Popen(
    [*command, str(out), *words],
    cwd=sources.ROOT,
    env=env,
    stderr=subprocess.PIPE,
    text=True,
  )


def weights(process, out):
  """What it wrote, `{"name/way/k": array}`."""
  err, status = distribution_test.finish(process, seconds=1500)
  assert status == 0, err[-3000:]
  with np.load(f"{out}.npz") as arrays:
    return dict(arrays)


def assert_same(received, expected):
  """All names and ways; and something has been learned."""
  assert received.keys() == expected.keys()
  for key, value in expected.items():
    scale = max(1.0, np.abs(value).max())
    np.testing.assert_allclose(received[key] / scale, value / scale, atol=2e-5, err_msg=key)
  first = models.model().get_weights()[0]
  for key, value in received.items():
    assert not key.endswith("/0") or np.abs(value - first).max() > 1e-4, key


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """A function of cases to the weights without a strategy, computed once."""

  @functools.cache
  def run(*cases):
    out = tmp_path_factory.mktemp("alone") / "weights"
    return weights(start("none", cases, out), out)

  def get(cases):
    whole = run(*(FAST if cases is FAST else SLOW))
    keys = {f"{name}/{way}" for ways, names in cases for name in names for way in ways}
    return {key: value for key, value in whole.items() if key.rpartition("/")[0] in keys}

  return get


def assert_as_alone(kind, cases, folder, alone):
  """Under a strategy, and without: the same weights."""
  process = start(kind, cases, folder / kind)
  expected = alone(cases)
  assert_same(weights(process, folder / kind), expected)


def test_fit_and_an_eager_loop_on_two_devices(tmp_path, alone):
  """With a horizon that ends within the run, and the shipped one of the report."""
  assert_as_alone("mirrored", FAST, tmp_path, alone)


@pytest.mark.parametrize("kind", ["one_device", "mirrored_one", "mirrored", "central"])
def test_every_kind_of_optimizer_in_every_way(kind, tmp_path, alone):
  other = "apply" if kind == "central" else "apply_gradients"
  names = SHIPPED if kind == "mirrored" else FEW
  cases = [(("fit",), names), ((other,), FEW), (("apply", "eager"), ("mnist_lstm",))]
  assert_as_alone(kind, cases, tmp_path, alone)


def test_two_workers(tmp_path, alone):
  """In loops: `fit` of Keras 3.15 fails on two workers with any optimizer, its own Adam too."""
  cluster = {"worker": [f"127.0.0.1:{port}" for port in distribution_test.free_ports(2)]}
  cases = [(("apply",), SHIPPED), (("apply_gradients",), FEW)]
  outs = [tmp_path / f"{i}" for i in range(2)]
  processes = []
  for i, out in enumerate(outs):
    config = {"cluster": cluster, "task": {"type": "worker", "index": i}}
    processes.append(start("multi_worker", cases, out, config))
  try:
    for process, out in zip(processes, outs):
      assert_same(weights(process, out), alone(cases))
  finally:
    for process in processes:
      process.kill()
