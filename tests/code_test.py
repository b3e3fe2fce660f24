"""Tests of l2l_tf/code.py: which files decide what a module computes."""

import importlib
import os
import sys

import pytest

from l2l_tf import code
from tests import sources

FILES = {  # of a package; what reaches the main module in any way
  "top/__init__.py": "",
  "top/main.py": "import top.plain\nfrom top import named\nfrom .sibling import value\n",
  "top/plain.py": "def f():\n  from .. import nothing\n  import top.inside.function\n",
  "top/named.py": "if True:\n  from . import late as other\n",
  "top/sibling.py": "value = 1\n",
  "top/late.py": "import math, top.main\n",  # a circle
  "top/inside/__init__.py": "",
  "top/inside/function.py": "import numpy, top.broken\n",
  "top/broken.py": "no python\n",
}


@pytest.fixture(name="package")
def _package(tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(str(tmp_path))
  for path, text in FILES.items() | {("top/unused.py", "")}:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
  importlib.invalidate_caches()
  yield tmp_path
  for name in [name for name in sys.modules if name.partition(".")[0] == "top"]:
    del sys.modules[name]


def _followed(folder):
  found = code.followed(["top.main"], lambda name, path: path.startswith(str(folder)))
  return {os.path.relpath(path, folder) for path in found.values()}


def test_imports_are_followed_wherever_they_stand(package):
  assert _followed(package) == FILES.keys()
  assert "top.late" not in sys.modules  # none of them is run, but the packages


def _digest():
  return code.digest_of(list(code.followed(["top.main"], lambda n, p: n[:3] == "top").values()))


@pytest.mark.parametrize("path", FILES)
def test_each_of_them_changes_the_digest_and_no_other_does(package, path):
  before = _digest()
  (package / "top" / "unused.py").write_text("x = 1\n")
  assert _digest() == before
  (package / path).write_text(FILES[path] + "x = 1\n")
  assert _digest() != before


def test_a_module_that_is_not_there_is_an_error():
  with pytest.raises(ValueError, match="no source file of a module l2l_tf.absent"):
    code.digest("l2l_tf.absent")
  with pytest.raises(ValueError, match="no source file of a module sys"):
    code.digest("sys")


@pytest.mark.parametrize(
  "roots, inside, outside",
  [
    (
      ("l2l_tf.evaluation.comparison", "l2l_tf.config.problems"),
      "evaluation.protocol unroll problems.vgg optimizers.lstm problems.general config.problems",
      "keras.optimizer training.trainer plotting.curves cli.train zoo.tasks",
    ),
    (
      ("l2l_tf.training.imitation", "l2l_tf.config.problems"),
      "optimizers.axes training.sampled_backprop unroll problems.datasets optimizers.general",
      "keras.optimizer training.trainer evaluation.protocol",
    ),
  ],
)
def test_what_decides_the_parts_that_are_kept(roots, inside, outside):
  """As the sources read without running anything say, and by some names."""
  found = set(code.followed(roots, lambda name, path: name.startswith("l2l_tf.")))
  assert {f"l2l_tf.{name}" for name in inside.split()} <= found
  assert not {f"l2l_tf.{name}" for name in outside.split()} & found
  read, expected, waiting = sources.read(), set(), list(roots)
  while waiting:
    name = waiting.pop()
    if name not in expected and name != "l2l_tf":
      expected.add(name)
      waiting += read[name].ours
  assert expected <= found
  assert found - expected <= {name for name in read if "__init__" in read[name].path}
