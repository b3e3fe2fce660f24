"""Tests of meta-training on several devices and processes: the same phi as on one."""

import contextlib
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from l2l_tf.training import distribution
from tests import distributed_training
from tests import sources

SEVEN_DIGITS = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(scope="module")
def alone():
  return distributed_training.train(distribution.Distribution())


def start(strategy, out, *others, tf_config=None):
  """The program of `distributed_training` in a process of its own."""
  env = os.environ | ({"TF_CONFIG": json.dumps(tf_config)} if tf_config else {})
  command = [sys.executable, "-m", "tests.distributed_training", strategy, str(out)]
  return subprocess.Popen(
    [*command, *others],
    cwd=sources.ROOT,
    env=env,
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(process, seconds=300):
  """Returns its standard error, and its exit status; none is left behind."""
  try:
    _, err = process.communicate(timeout=seconds)
  finally:
    process.kill()
  return err, process.returncode


def assert_same(path, expected, **about):
  with np.load(path) as arrays:
    values = dict(arrays)
  assert about == {name: values.pop(name) for name in about}
  for name, value in expected.items():
    np.testing.assert_allclose(values[name], value, err_msg=name, **SEVEN_DIGITS)


OTHERS = {"es": {"estimator": "es"}, "xla": {"jit_compile": True}, "three": {"num_tasks": 3}}


@pytest.fixture(name="mirrored", scope="module")
def _mirrored(tmp_path_factory):
  """The folder of what two devices have trained: a process for plain options and `OTHERS`."""
  folder = tmp_path_factory.mktemp("mirrored")
  others = [f"{name}={json.dumps(options)}" for name, options in OTHERS.items()]
  err, status = finish(start("mirrored", folder / "out", *others))
  assert status == 0, err
  return folder


@pytest.mark.slow
def test_two_devices_train_the_same_phi(mirrored, alone):
  """And see the same instances, in the same order, and the same validation."""
  assert_same(mirrored / "out.npz", alone, replicas=2, chief=True)


@pytest.mark.slow
def test_two_devices_evolve_the_same_phi(mirrored):
  """Pairs are split; their differences have one unit over all of them."""
  expected = distributed_training.train(distribution.Distribution(), **OTHERS["es"])
  with np.load(mirrored / "out_es.npz") as arrays:
    for name, value in expected.items():
      np.testing.assert_allclose(arrays[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_two_devices_with_xla(mirrored, alone):
  """XLA rounds otherwise, and Adam's steps are as large for small gradients."""
  with np.load(mirrored / "out_xla.npz") as arrays:
    for name, value in alone.items():
      np.testing.assert_allclose(arrays[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_instances_that_two_devices_cannot_share(mirrored):
  error = (mirrored / "out_three.txt").read_text()
  assert "num_tasks must be a multiple of the number of replicas" in error
  assert "got 3 and 2 replicas" in error and not (mirrored / "out_three.npz").exists()


def free_ports(count):
  """Ports of loopback that nobody listens on."""
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    for s in sockets:
      s.bind(("127.0.0.1", 0))
    return [s.getsockname()[1] for s in sockets]


@pytest.mark.slow
def test_two_processes_train_the_same_phi(tmp_path, alone):
  cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
  outs = [tmp_path / f"{i}" for i in range(2)]
  processes = []
  for i, out in enumerate(outs):
    config = {"cluster": cluster, "task": {"type": "worker", "index": i}}
    processes.append(start("multi_worker", out, tf_config=config))
  try:
    ends = [finish(process) for process in processes]
  finally:
    for process in processes:
      process.kill()
  for i, (err, status) in enumerate(ends):
    assert status == 0, err
    assert_same(f"{outs[i]}.npz", alone, replicas=2, chief=i == 0)


CLUSTER = {"worker": ["a:1", "b:2"]}


@pytest.mark.parametrize(
  "config, words",
  [
    (None, "needs the environment variable TF_CONFIG"),
    ("", "needs the environment variable TF_CONFIG"),
    ("{", "malformed"),
    ("[1]", "malformed"),
    ({"cluster": CLUSTER}, "malformed.*'task'"),
    ({"cluster": {}, "task": {"type": "worker", "index": 0}}, "malformed.*'worker'"),
    ({"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}, "host:port"),
    ({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}, "host:port"),
    ({"cluster": CLUSTER | {"ps": ["c:3"]}, "task": {"type": "worker", "index": 0}}, "nothing but"),
    ({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}, "nothing but workers"),
    ({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}, "must be of 0..1.*got 2"),
    ({"cluster": CLUSTER, "task": {"type": "worker", "index": "1"}}, "must be of 0..1"),
  ],
  ids=str,
)
def test_bad_tf_config(monkeypatch, config, words):
  text = config if isinstance(config, str) else json.dumps(config)
  monkeypatch.setenv("TF_CONFIG", text)
  if config is None:
    monkeypatch.delenv("TF_CONFIG")
  with pytest.raises(distribution.DistributionError, match=words):
    distribution.make("multi_worker")


def test_the_index_of_a_worker(monkeypatch):
  config = {"cluster": CLUSTER, "task": {"type": "worker", "index": 1}}
  monkeypatch.setenv("TF_CONFIG", json.dumps(config))
  assert distribution.worker_index() == 1


def test_the_example_in_the_errors_is_one(monkeypatch):
  monkeypatch.setenv("TF_CONFIG", distribution.EXAMPLE)
  assert distribution.worker_index() == 0


def test_one_device_shares_with_nobody():
  one = distribution.make("single")
  assert one.num_replicas == 1 and one.is_chief and one.highest(15) == 15
  (share,) = one.shares(np.arange(5), "num_tasks")
  np.testing.assert_array_equal(one.collect(one.scatter([share]))[0], np.arange(5))
