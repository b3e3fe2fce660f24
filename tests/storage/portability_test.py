"""What only POSIX has is not needed to read; where locks need it, a line says so."""

import ast
import importlib
import os
import sys

import pytest

import l2l_tf
from l2l_tf.config import presets
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import kernel_lock
from l2l_tf.runs import search
from l2l_tf.storage import files
from tests import sources

POSIX = ("O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY")  # of os, not on Windows
MODULES = {"fcntl", "grp", "pwd", "pty", "resource", "termios", "tty", "syslog"}


@pytest.fixture(name="windows")
def _windows(monkeypatch):
  """Without the flags, and without fcntl."""
  for name in POSIX:
    monkeypatch.delattr(os, name)
  monkeypatch.setitem(sys.modules, "fcntl", None)
  importlib.reload(kernel_lock)
  yield
  monkeypatch.undo()
  importlib.reload(kernel_lock)


def test_a_trained_optimizer_is_read_and_written(windows, tmp_path):
  assert l2l_tf.LearnedOptimizer("mnist_lstm").horizon == 200
  optimizer, _ = l2l_tf.load_optimizer(l2l_tf.pretrained.find("quadratic_lstm"))
  l2l_tf.save_optimizer(str(tmp_path), optimizer, {})
  again, _ = l2l_tf.load_optimizer(str(tmp_path))
  assert again.config() == optimizer.config()


@pytest.mark.parametrize("content", [b"", b"a\r\nb\n\x1a\x00\xff", b"x" * 1000])
def test_bytes_are_read_as_they_are(windows, tmp_path, content):
  files.write_aside(str(tmp_path / "file"), content)
  assert files.read(str(tmp_path / "file"), 1000) == content
  files.sync(str(tmp_path))
  files.sync(str(tmp_path / "file"))


def test_a_training_without_locks_is_refused_in_one_line_and_leaves_nothing(windows, tmp_path):
  directory = str(tmp_path / "run")
  experiment = presets.PRESETS["quick"]["bowl"]
  expected = pytest.raises(run_directory.RunError, match="lacks the locks .* Train under Linux")
  with expected as info, run_directory.claimed(directory):
    pass
  assert directory in str(info.value) and "\n" not in str(info.value)
  assert not os.path.exists(directory)
  with pytest.raises(run_directory.RunError, match="lacks the locks .* Train under Linux"):
    search.search(directory, experiment, 1)


def test_nothing_else_imports_what_windows_lacks():
  users = {
    (name, other)
    for name, source in sources.read().items()
    if name.split(".")[0] in ("l2l_tf", "bin")
    for other in MODULES & set(source.others)
  }
  assert users == {("l2l_tf.runs.kernel_lock", "fcntl")}


def test_nothing_else_names_a_flag_that_windows_lacks():
  for name, source in sources.read().items():
    if name.split(".")[0] == "l2l_tf":
      tree = ast.parse((sources.ROOT / source.path).read_text(encoding="utf-8"))
      named = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
      assert not named & set(POSIX), name
