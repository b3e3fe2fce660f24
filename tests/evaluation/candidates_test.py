"""Tests of how the command line names trained optimizers."""

import hashlib

from l2l_tf import optimizers
from l2l_tf.evaluation import candidates
from l2l_tf.storage import optimizer_files


def test_a_contender_comes_with_the_digest_of_its_weights(tmp_path, monkeypatch):
  """On Python 3.10 too, which has no hashlib.file_digest."""
  monkeypatch.delattr(hashlib, "file_digest", raising=False)
  optimizer_files.save_optimizer(str(tmp_path), optimizers.CoordinatewiseLSTM((3,)), {})
  (contender,) = candidates.load([f"mine={tmp_path}"], [], "mnist", transfer=False)
  content = (tmp_path / "optimizer.safetensors").read_bytes()
  assert contender.name == "mine" and contender.sha256 == hashlib.sha256(content).hexdigest()
