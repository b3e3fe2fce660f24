"""Tests of l2l_tf/storage/provenance.py: our commit, or none, never that of a user around us."""

import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import l2l_tf
from l2l_tf.storage import provenance
from tests import sources

INSTALLED = ("l2l_tf/__init__.py", "problems/__init__.py")
CHECKOUT = (*INSTALLED, "setup.py", "bin/train.py", "problems/base.py")

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def _git(folder, *words):
  identity = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always"]
  command = ["git", "-C", str(folder), *identity, *words]
  return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _write(folder, names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"# {name}\n")
  return folder


def _repository(folder, names):
  """A repository with one commit."""
  _write(folder, names)
  _git(folder, "init", "-q")
  _git(folder, "add", "-A")
  _git(folder, "commit", "-qm", folder.name)
  return folder


@pytest.fixture(name="theirs")
def _theirs(tmp_path):
  return _repository(tmp_path / "theirs", ["analysis.py", "bin/train.py"])


@pytest.fixture(name="ours")
def _ours(tmp_path):
  return _repository(tmp_path / "ours", CHECKOUT)


def _commit(monkeypatch, root):
  monkeypatch.setattr(provenance, "_ROOT", str(root))
  return provenance.versions()["commit"]


def _head(folder):
  return _git(folder, "rev-parse", "HEAD")[:12]


def test_a_checkout_has_its_commit_and_says_what_is_not_committed(ours, monkeypatch):
  assert _commit(monkeypatch, ours) == _head(ours)
  (ours / "setup.py").write_text("changed")
  assert _commit(monkeypatch, ours) == f"{_head(ours)}-dirty"


@pytest.mark.parametrize("place", ["ours", "a b/ours", "venv/src/l2l"])
def test_a_clone_or_a_submodule_in_their_repository_has_its_own(place, theirs, ours, monkeypatch):
  """As of `pip install --editable` of it from their environment."""
  _git(theirs, "submodule", "add", "-q", str(ours), f"{place}-submodule")
  _git(theirs, "commit", "-qm", "submodule")
  _git(theirs, "clone", "-q", str(ours), place)
  for inside in (place, f"{place}-submodule"):
    assert _commit(monkeypatch, theirs / inside) == _head(ours) != _head(theirs)


@pytest.mark.parametrize(
  "place, names",
  [
    ("venv/lib/python3.11/site-packages", INSTALLED),
    (".", INSTALLED),  # pip install --target=.
    ("vendored", CHECKOUT),  # an archive of the source
    ("third_party/l2l_tf", CHECKOUT),
  ],
)
@pytest.mark.parametrize("committed", [True, False])
def test_what_lies_in_their_repository_has_none(place, names, committed, theirs, monkeypatch):
  root = _write(theirs / place, names)
  if committed:
    _git(theirs, "add", "-A")
    _git(theirs, "commit", "-qm", "with l2l_tf")
  assert _commit(monkeypatch, root) is None


def test_their_variables_of_git_are_not_ours(theirs, ours, tmp_path, monkeypatch):
  """As in a hook of theirs."""
  head = _head(ours)
  monkeypatch.setenv("GIT_DIR", str(theirs / ".git"))
  monkeypatch.setenv("GIT_WORK_TREE", str(theirs))
  monkeypatch.setenv("GIT_INDEX_FILE", str(theirs / ".git" / "index"))
  assert _commit(monkeypatch, ours) == head
  assert _commit(monkeypatch, _write(tmp_path / "alone", CHECKOUT)) is None


def test_without_git_or_a_repository_there_is_none(ours, tmp_path, monkeypatch):
  assert _commit(monkeypatch, _write(tmp_path / "alone", CHECKOUT)) is None
  monkeypatch.setenv("PATH", "/nowhere")
  assert _commit(monkeypatch, ours) is None


def test_the_versions():
  found = provenance.versions()
  assert found["l2l_tf"] == l2l_tf.__version__ == provenance.VERSION
  assert (found["tensorflow"], found["keras"]) == (tf.__version__, keras.__version__)
  assert (found["sonnet"], found["numpy"]) == (snt.__version__, np.__version__)
  module = (sources.ROOT / "MODULE.bazel").read_text()
  assert re.search(r'name = "l2l_tf", version = "(.+)"', module)[1] == provenance.VERSION
  setup = (sources.ROOT / "setup.py").read_text()
  assert "version=re.search" in setup and provenance.VERSION not in setup
