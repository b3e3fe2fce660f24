"""Tests of the two names of the package problems: one set of modules, whoever imports it how."""

import os
import subprocess
import sys

import pytest

from tests import sources

pytestmark = pytest.mark.slow

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


PROGRAMS = {
  "short_first": SHORT + LONG + SAME,
  "long_first": LONG + SHORT + SAME,
  "absent": "import problems\nimport problems.absent\n",
  "users": "import problems, l2l_tf\nprint(problems.name, l2l_tf.problems.base.Stream.TEST.name)\n",
}

# Each program in a process of its own that has TensorFlow, whose import takes most of the time, and
# nothing of ours, in a folder to whose modules a user would expect `import` to go first.
START = """
import os, runpy, sys
import tensorflow
assert not {"problems", "l2l_tf"} & {name.partition(".")[0] for name in sys.modules}
for folder in sys.argv[1:]:
  process = os.fork()
  if not process:
    os.chdir(folder)
    sys.path[0], sys.argv = folder, ["program.py"]
    for number, name in ((1, "out"), (2, "err")):
      os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY), number)
    runpy.run_path("program.py", run_name="__main__")
    sys.exit()
  _, status = os.waitpid(process, 0)
  with open(os.path.join(folder, "status"), "w") as file:
    file.write(str(os.waitstatus_to_exitcode(status)))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, subprocess.CompletedProcess]:
  """What became of each program."""
  root = tmp_path_factory.mktemp("programs")
  folders = {name: root / name for name in PROGRAMS}
  for name, folder in folders.items():
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAMS[name])
  (folders["users"] / "problems.py").write_text("import l2l_tf\nname = 'mine'\n")
  (root / "start.py").write_text(START)
  environment = {**os.environ, "PYTHONPATH": str(sources.ROOT), "CUDA_VISIBLE_DEVICES": ""}
  command = [sys.executable, "start.py", *map(str, folders.values())]
  subprocess.run(command, cwd=root, env=environment, check=True)
  found = {}
  for name, folder in folders.items():
    status, out, err = ((folder / file).read_text() for file in ("status", "out", "err"))
    found[name] = subprocess.CompletedProcess(name, int(status), out, err)
  return found


@pytest.mark.parametrize("name", ["short_first", "long_first"])
def test_both_names_give_the_same_modules(runs, name):
  assert runs[name].returncode == 0, runs[name].stderr[-2000:]


def test_a_module_that_is_not_there_is_said_to_be_missing(runs):
  assert runs["absent"].returncode == 1
  assert "No module named 'l2l_tf.problems.absent'" in runs["absent"].stderr.splitlines()[-1]


def test_a_users_own_problems_stays_the_users(runs):
  run = runs["users"]
  assert run.returncode == 0 and run.stdout == "mine TEST\n", run.stderr[-2000:]
