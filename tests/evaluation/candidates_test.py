"""Tests of how the command line names trained optimizers."""

import hashlib

import pytest

from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import candidates
from l2l_tf.storage import optimizer_files


def test_a_contender_comes_with_the_digest_of_its_weights(tmp_path, monkeypatch):
  """On Python 3.10 too, which has no hashlib.file_digest."""
  monkeypatch.delattr(hashlib, "file_digest", raising=False)
  optimizer_files.save_optimizer(str(tmp_path), optimizers.CoordinatewiseLSTM((3,)), {})
  (contender,) = candidates.load([f"mine={tmp_path}"], [], "mnist", transfer=False)
  content = (tmp_path / "optimizer.safetensors").read_bytes()
  assert contender.name == "mine" and contender.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("text", ["runs/rate=0.1/best", "mine=runs/rate=0.1/best"])
def test_a_path_may_hold_an_equals_sign(tmp_path, monkeypatch, text):
  monkeypatch.chdir(tmp_path)
  optimizer_files.save_optimizer("runs/rate=0.1/best", optimizers.CoordinatewiseLSTM((3,)), {})
  (contender,) = candidates.load([text], [], "mnist", transfer=False)
  assert contender.name == ("mine" if text.startswith("mine") else "rate=0.1")
  assert contender.source == "runs/rate=0.1/best"


def test_commands_name_no_folders_of_this_machine(tmp_path, monkeypatch):
  """Paths from the root become relative, behind a label or not; others stay as they were given."""
  monkeypatch.chdir(tmp_path)
  flags = experiment_flags.Flags("A program.")
  flags.add(tuple[str, ...], "optimizer", None, "")
  flags.add(str, "out", None, "")
  paths = [f"{tmp_path}/a", f"b={tmp_path}/c", f"{tmp_path}/rate=1/d", "../x/e", "f=../x/g"]
  flags.parse(["p", f"--optimizer={','.join(paths)}", f"--out={tmp_path.parent}/h.json"])
  command = experiment_flags.command("bin/p.py", flags, ("optimizer", "out"), ())
  words = "--optimizer=a,b=c,rate=1/d,../x/e,f=../x/g --out=../h.json"
  assert command == f"python bin/p.py {words}"
