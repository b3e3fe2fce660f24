"""Tests of l2l_tf/storage/peers.py."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.storage import peers


@pytest.fixture(name="weights")
def _weights():
  rng = np.random.default_rng(0)
  return {k: rng.normal(0, 0.5, shape).astype(np.float32) for k, shape in peers.SHAPES.items()}


def _sigmoid(x):
  return 1 / (1 + np.exp(-x))


def _written_out(weights, gradients):
  """The updates `[T, n]` for gradients `[T, n]` as the other implementation computes them."""
  hidden = [np.zeros((gradients.shape[1], 20))] * 2
  cell = list(hidden)
  updates = []
  for g in gradients:
    log = np.maximum(np.log(np.abs(g)) / 5, -1)
    x = np.stack([log, np.clip(g * np.exp(5), -1, 1)], axis=1)
    for k in range(2):
      z = np.concatenate([x, hidden[k]], axis=1) @ weights[f"lstm_{k + 1}/w_gates"]
      i, j, f, o = np.split(z + weights[f"lstm_{k + 1}/b_gates"], 4, axis=1)
      cell[k] = cell[k] * _sigmoid(f + 1) + _sigmoid(i) * np.tanh(j)
      hidden[k] = x = np.tanh(cell[k]) * _sigmoid(o)
    updates.append(0.01 * (x @ weights["linear/w"] + weights["linear/b"])[:, 0])
  return np.array(updates)


def test_computes_what_the_other_implementation_does(tmp_path, weights):
  np.savez(tmp_path / "peer.npz", **weights)
  optimizer = peers.load(str(tmp_path / "peer.npz"))
  gradients = np.random.default_rng(1).normal(0, [1e-4, 1e-2, 1.0, 30.0], (5, 4))
  expected = _written_out(weights, gradients)
  state = optimizer.initial_state({"theta": tf.zeros([1, 4])})
  for g, update in zip(gradients.astype(np.float32), expected):
    received, state = optimizer({"theta": tf.constant(g[np.newaxis])}, state)
    np.testing.assert_allclose(received["theta"][0], update, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize(
  "change, message",
  [
    ({"linear/w": np.zeros((20, 2), np.float32)}, r"'linear/w' is float32 \[20, 2\], expected"),
    ({"linear/w": np.zeros((20, 1))}, r"'linear/w' is float64 \[20, 1\], expected float32"),
    ({"more": np.zeros(1)}, r"'more' is float64 \[1\], expected missing"),
    ({"linear/b": np.array([np.nan], np.float32)}, "not finite"),
    ({"linear/b": np.array([{}], object)}, "not a NumPy archive"),
  ],
)
def test_refuses_other_arrays(tmp_path, weights, change, message):
  np.savez(tmp_path / "peer.npz", **(weights | change))
  with pytest.raises(peers.PeerError, match=message):
    peers.load(str(tmp_path / "peer.npz"))


def test_refuses_a_missing_array(tmp_path, weights):
  del weights["lstm_2/b_gates"]
  np.savez(tmp_path / "peer.npz", **weights)
  with pytest.raises(peers.PeerError, match="'lstm_2/b_gates' is missing, expected float32"):
    peers.load(str(tmp_path / "peer.npz"))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half an archive"])
def test_refuses_other_files(tmp_path, content):
  path = tmp_path / "peer.npz"
  path.write_bytes(content)
  with pytest.raises(peers.PeerError, match="not a NumPy archive"):
    peers.load(str(path))


def test_refuses_large_and_missing_files(tmp_path):
  with pytest.raises(peers.PeerError, match="Cannot read .*No such file"):
    peers.load(str(tmp_path / "none.npz"))
  np.savez_compressed(tmp_path / "bomb.npz", zeros=np.zeros(10**6))
  with pytest.raises(peers.PeerError, match="unpacks to more than"):
    peers.load(str(tmp_path / "bomb.npz"))
