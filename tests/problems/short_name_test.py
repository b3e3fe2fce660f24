"""Tests of the two names of the package problems: one set of modules, whoever imports it how."""

import os
import subprocess
import sys

import pytest

from tests import sources

SAME = """
assert problems is l2l_tf.problems
assert problems.base is l2l_tf.problems.base and problems.vgg is l2l_tf.problems.vgg
assert sys.modules["problems.base"] is sys.modules["l2l_tf.problems.base"]
assert Stream is l2l_tf.problems.base.Stream and datasets is l2l_tf.problems.datasets
assert isinstance(problems.quadratic(), l2l_tf.problems.base.Problem)
assert problems.__name__ == datasets.__package__ == "l2l_tf.problems"
"""
SHORT = "import problems\nfrom problems.base import Stream\nfrom problems import datasets\n"
LONG = "import sys, l2l_tf\nimport l2l_tf.problems.base\n"


def python(code: str, folder) -> subprocess.CompletedProcess:
  """Runs a program in `folder`, to whose modules a user would expect `import` to go first."""
  (folder / "program.py").write_text(code)
  environment = {**os.environ, "PYTHONPATH": str(sources.ROOT), "CUDA_VISIBLE_DEVICES": ""}
  command = [sys.executable, "program.py"]
  return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("imports", [SHORT + LONG, LONG + SHORT], ids=["short_first", "long_first"])
def test_both_names_give_the_same_modules(imports, tmp_path):
  run = python(imports + SAME, tmp_path)
  assert run.returncode == 0, run.stderr[-2000:]


def test_a_module_that_is_not_there_is_said_to_be_missing(tmp_path):
  run = python("import problems\nimport problems.absent\n", tmp_path)
  assert "No module named 'l2l_tf.problems.absent'" in run.stderr.splitlines()[-1]


def test_a_users_own_problems_stays_the_users(tmp_path):
  (tmp_path / "problems.py").write_text("import l2l_tf\nname = 'mine'\n")
  code = "import problems, l2l_tf\nprint(problems.name, l2l_tf.problems.base.Stream.TEST.name)\n"
  run = python(code, tmp_path)
  assert run.returncode == 0 and run.stdout == "mine TEST\n", run.stderr[-2000:]
