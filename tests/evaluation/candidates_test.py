"""Tests of how the command line names trained optimizers."""

import hashlib

from l2l_tf import optimizers
from l2l_tf.evaluation import candidates as contenders
from l2l_tf.storage import optimizer_files as checkpoint


def test_a_contender_comes_with_the_digest_of_its_weights(tmp_path, monkeypatch):
  """On Python 3.10 too, which has no hashlib.file_digest."""
  monkeypatch.delattr(hashlib, "file_digest", raising=False)
  checkpoint.save_optimizer(str(tmp_path), optimizers.CoordinatewiseLSTM((3,)), {})
  (contender,) = contenders.load([f"mine={tmp_path}"], [], "mnist", transfer=False)
  content = (tmp_path / "optimizer.safetensors").read_bytes()
  assert contender.name == "mine" and contender.sha256 == hashlib.sha256(content).hexdigest()
