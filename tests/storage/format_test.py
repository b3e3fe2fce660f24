"""A reader of docs/format.md without TensorFlow: it must run what was saved as TensorFlow does."""

import hashlib
import json
import os
import struct

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.optimizers import preprocessing
from l2l_tf.storage import optimizer_files
from tests.storage.optimizer_files_test import gradient_sequence
from tests.storage.optimizer_files_test import tensorflow_updates


def read(directory):
  """Reads `directory`: the optimizer's config and its tensors by name."""
  with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
    config = json.load(file)
  with open(os.path.join(directory, "optimizer.safetensors"), "rb") as file:
    content = file.read()
  assert config["format"] == 1 and config["sha256"] == hashlib.sha256(content).hexdigest()
  (length,) = struct.unpack("<Q", content[:8])
  header, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
  header.pop("__metadata__", None)
  tensors = {}
  for name, entry in header.items():
    assert entry["dtype"] == "F32"
    begin, end = entry["data_offsets"]
    tensors[name] = np.frombuffer(numbers[begin:end], "<f4").reshape(entry["shape"])
  return config["optimizer"], tensors


def sigmoid(z):
  return 1 / (1 + np.exp(-z))


def preprocess(config, g):
  """Gradients `[n]` to features `[n, U_0]`."""
  if config["name"] == "rescale":
    return config["factor"] * g[:, np.newaxis]
  assert config["name"] == "log_and_sign"
  p = config["p"]
  large = np.abs(g) >= np.exp(-p)
  log = np.log(np.where(large, np.abs(g), 1.0)) / p
  return np.stack([np.where(large, log, -1), np.where(large, np.sign(g), np.exp(p) * g)], axis=1)


def run_groups(config, tensors, gradients, groups):
  """`run` of a partition whose coordinates are of these groups, `[n]` names."""
  updates = np.zeros(gradients.shape)
  for name, options in config["groups"].items():
    own = {n.removeprefix(name + "/"): t for n, t in tensors.items() if n.startswith(name + "/")}
    updates[:, groups == name] = run(options, own, gradients[:, groups == name])
  return updates


def run(config, tensors, gradients):
  """Runs a trained optimizer over gradients `[T, n]`: updates `[T, n]`."""
  if config["kind"] == "odd_part":
    plus, minus = (run(config["optimizer"], tensors, sign * gradients) for sign in (1, -1))
    met = np.cumsum(gradients != 0, axis=0) > 0
    return np.where(met, (plus - minus) / 2, 0)
  n, num_gacs = gradients.shape[1], config.get("num_gacs", 0)
  ntm = config["kind"].startswith("ntm")
  head = lambda name: h @ tensors[f"{name}/w"] + tensors[f"{name}/b"]  # noqa: E731
  states = [[np.zeros((n, units))] * 2 for units in config["layer_sizes"]]
  results, writes = [], []
  read_results = np.zeros((n, config["num_read_heads"])) if ntm else np.zeros((n, 0))
  for g in gradients:
    x = np.concatenate([preprocess(config["preprocessing"], g), read_results], axis=1)
    for k, (h, c) in enumerate(states):
      w, b = (tensors[f"lstm_{k + 1}/{name}"] for name in ("w_gates", "b_gates"))
      i, f, candidate, o = np.split(np.concatenate([x, h], axis=1) @ w + b, 4, axis=1)
      c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(candidate)
      h = sigmoid(o) * np.tanh(c)
      own = h.shape[1] - num_gacs
      h[:, own:] = h[:, own:].mean(axis=0)
      states[k], x = [h, c], h
    results.append(config["output_scale"] * head("linear")[:, 0])
    if ntm:
      left, right = np.split(head("write_heads"), 2, axis=1)  # [n, W] each
      writes.append(left @ right.T)
      kept = writes[-config["history"] :] if config["kind"] == "ntm_lbfgs" else writes
      read_results = (np.eye(n) + sum(kept)) @ head("read_heads")
  return np.stack(results)


NTM = {"num_gacs": 2, "num_read_heads": 2, "num_write_heads": 3}
OPTIONS = {
  "lstm": {},
  "lstm_gac": {"num_gacs": 2},
  "ntm_bfgs": NTM,
  "ntm_lbfgs": {**NTM, "history": 4},
}
HEADS = ["read_heads/b", "read_heads/w", "write_heads/b", "write_heads/w"]


def test_all_kinds_are_here():
  others = {"partition", "general", "odd_part"}  # below, and general_format_test.py
  assert OPTIONS.keys() | others == optimizers.LEARNED.keys()


def test_a_program_without_tensorflow_can_run_a_partition(tmp_path):
  rng = np.random.default_rng(0)
  parts = {
    "conv": optimizers.CoordinatewiseLSTM((5, 4), output_scale=0.3),
    "fc": optimizers.GlobalAveragingLSTM((4,), 2, preprocessing.Rescale(0.03)),
  }
  optimizer = optimizers.Partition(parts)
  for variable in optimizer.trainable_variables:
    variable.assign(rng.normal(size=variable.shape, scale=0.5))
  optimizer_files.save_optimizer(str(tmp_path), optimizer, {})
  config, tensors = read(str(tmp_path))
  assert (config["kind"], config["label"]) == ("partition", "conv_or_fc")
  assert {"conv/lstm_2/w_gates", "fc/linear/b"} < tensors.keys() and len(tensors) == 10
  gradients = gradient_sequence()  # [T, 6]: a filter of 4 coordinates and a matrix of 2
  shapes = {"filter": (1, 2, 2, 1, 1), "matrix": (1, 1, 2)}
  state, updates = optimizer.initial_state({n: tf.zeros(s) for n, s in shapes.items()}), []
  for g in gradients:
    values = {"filter": g[:4], "matrix": g[4:]}
    values = {n: tf.reshape(values[n], shape) for n, shape in shapes.items()}
    results, state = optimizer(values, state)
    updates.append(np.concatenate([np.ravel(u) for u in results.values()]))
  groups = np.array(["conv"] * 4 + ["fc"] * 2)
  expected = run_groups(config, tensors, gradients.astype(np.float64), groups)
  np.testing.assert_allclose(updates, expected, rtol=0, atol=1e-5)
  assert np.abs(expected).max() > 1e-2


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_program_without_tensorflow_can_run_an_odd_part(tmp_path, kind):
  """Some coordinates have no gradient for some steps, one for all."""
  inner = optimizers.LEARNED[kind](layer_sizes=(5, 4), output_scale=0.3, **OPTIONS[kind])
  rng = np.random.default_rng(0)
  for variable in inner.trainable_variables:
    variable.assign(rng.normal(size=variable.shape, scale=0.5))
  optimizer_files.save_optimizer(str(tmp_path), optimizers.OddPart(inner), {})
  config, tensors = read(str(tmp_path))
  assert config == {"kind": "odd_part", "optimizer": inner.config()}
  gradients = gradient_sequence()
  gradients[:, 2], gradients[:5, 3], gradients[7:, 4] = 0, 0, 0
  state, updates = optimizers.OddPart(inner).initial_state({"x": tf.zeros([1, 6])}), []
  for g in gradients:
    results, state = optimizers.OddPart(inner)({"x": tf.constant(g[np.newaxis])}, state)
    updates.append(results["x"][0].numpy())
  expected = run(config, tensors, gradients.astype(np.float64))
  np.testing.assert_allclose(updates, expected, rtol=0, atol=1e-5)
  assert np.abs(expected).max() > 1e-3 and not np.any(np.stack(updates)[:, 2])


@pytest.mark.parametrize("features", [preprocessing.LogAndSign(8.0), preprocessing.Rescale(0.03)])
@pytest.mark.parametrize("kind", OPTIONS)
def test_a_program_without_tensorflow_can_run_it(tmp_path, kind, features):
  """Phi is random everywhere, the biases too."""
  options = {"layer_sizes": (5, 4), "preprocessing": features, "output_scale": 0.3}
  optimizer = optimizers.LEARNED[kind](**options, **OPTIONS[kind])
  rng = np.random.default_rng(0)
  for variable in optimizer.trainable_variables:
    variable.assign(rng.normal(size=variable.shape, scale=0.5))
  optimizer_files.save_optimizer(str(tmp_path), optimizer, {})
  config, tensors = read(str(tmp_path))
  plain = ["linear/b", "linear/w", "lstm_1/b_gates", "lstm_1/w_gates", "lstm_2/b_gates"]
  plain.append("lstm_2/w_gates")
  assert sorted(tensors) == plain + (HEADS if "ntm" in kind else [])
  expected = run(config, tensors, gradient_sequence().astype(np.float64))
  np.testing.assert_allclose(tensorflow_updates(optimizer), expected, rtol=0, atol=1e-5)
  assert np.abs(expected).max() > 1e-2
