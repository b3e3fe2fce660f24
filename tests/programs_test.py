"""The start of programs is quiet, unless something fails.

Most tests have a stand-in for TensorFlow that greets, and looks for devices, as that does.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests import programs

TENSORFLOW = """
import os, sys
os.write(2, b"greeting from C\\n")
print("greeting from Python", file=sys.stderr)
{import_}

class config:
  def list_physical_devices():
    os.write(2, b"no GPU\\n")
"""
PROGRAM = """
from l2l_tf.cli import startup

startup.load("work").run()
"""
WORK = """
import sys
from absl import logging
import tensorflow
import tensorflow_datasets

def run():
  print("out")
  print("our own words", file=sys.stderr)
  logging.warning("our own warning")
  tensorflow_datasets.warn()
  {main}
"""
DATASETS = """
from absl import logging

def warn():
  logging.warning("a folder lacks a file")
"""
HELD = ["greeting from C", "greeting from Python", "no GPU"]
OURS = ["our own words", "our own warning"]


@pytest.fixture(name="start")
def _start(tmp_path):
  """Starts a program with the stand-in: `start(main, import_)`, what both do at their ends."""

  def start(main="", import_="", **environment):
    folder = tmp_path / "stand_ins"
    folder.mkdir(exist_ok=True)
    (folder / "tensorflow.py").write_text(TENSORFLOW.format(import_=import_))
    (folder / "tensorflow_datasets.py").write_text(DATASETS)
    (folder / "work.py").write_text(WORK.format(main=main or "pass"))
    (tmp_path / "program.py").write_text(PROGRAM)
    inherited = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    path = os.pathsep.join(map(str, (folder, programs.ROOT)))
    environment = {**inherited, "PYTHONPATH": path, **environment}
    command = [sys.executable, str(tmp_path / "program.py")]
    return subprocess.Popen(
      command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

  return start


def ended(process):
  """Its status and stderr."""
  err = process.communicate(timeout=60)[1]
  return process.returncode, err


def assert_said(err, words, silent=()):
  places = [err.find(word) for word in words]
  assert -1 not in places and places == sorted(places), err
  assert not [word for word in silent if word in err], err


def test_only_we_are_heard_where_all_goes_well(start):
  status, err = ended(start())
  assert status == 0
  assert_said(err, OURS, [*HELD, "lacks a file"])
  assert len(err.splitlines()) == len(OURS)


def test_an_exception_shows_what_was_held_back_before_its_traceback(start):
  status, err = ended(start(main="raise RuntimeError('oh')"))
  assert status == 1
  assert_said(err, [*OURS, "held back", *HELD, "WARNING: a folder lacks a file", "Traceback", "oh"])
  assert err.count("greeting from C") == 1


@pytest.mark.parametrize(
  "import_, words",
  [
    ("raise ImportError('no library')", ["Traceback", "ImportError: no library"]),
    ("sys.exit('no such processor')", ["no such processor"]),
    ("os._exit = None; import ctypes; os.abort()", ["Fatal Python error: Aborted"]),
  ],
)
def test_an_import_that_fails(start, import_, words):
  """A crash cannot be followed by what was held back, but says where it was."""
  status, err = ended(start(import_=import_))
  assert status != 0
  held = [] if "abort" in import_ else HELD[:2]
  assert_said(err, [*held, *words], ["our own", "no GPU"])


def test_a_program_that_ends_by_itself_shows_nothing(start):
  status, err = ended(start(main="sys.exit(3)"))
  assert status == 3
  assert_said(err, OURS, HELD)


def test_users_who_want_to_hear_all_of_it(start):
  status, err = ended(start(TF_CPP_MIN_LOG_LEVEL="0"))
  assert status == 0
  assert_said(err, [*HELD, *OURS, "lacks a file"])


def test_what_tensorflow_would_import_for_others_is_not_there_for_it_alone(start, tmp_path):
  (tmp_path / "stand_ins").mkdir()
  (tmp_path / "stand_ins" / "sklearn.py").write_text("number = 3")
  import_ = """
try:
  import sklearn
except ImportError:
  sklearn = None
assert sklearn is None
"""
  status, err = ended(start(import_=import_, main="import sklearn; assert sklearn.number == 3"))
  assert status == 0, err


def test_that_tensorflow_is_missing_is_one_line(start):
  status, err = ended(start(import_="raise ModuleNotFoundError(name='tensorflow')"))
  assert status != 0
  assert_said(err, ["The package tensorflow is not installed", 'pip install "l2l_tf[train]"'])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_amid_the_imports_ends_it_without_a_word(start, tmp_path, signum):
  """And nothing stays behind in the folder for temporary files."""
  import_ = "open('here', 'w').close(); import time; time.sleep(60)".replace(
    "here", str(tmp_path / "here")
  )
  (tmp_path / "temporary").mkdir()
  process = start(import_=import_, TMPDIR=str(tmp_path / "temporary"))
  deadline = time.monotonic() + 60
  while not (tmp_path / "here").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
  process.send_signal(signum)
  assert ended(process) == (-signum, "")
  assert not list((tmp_path / "temporary").iterdir())


def test_without_a_place_to_hold_it_everything_is_said(start):
  status, err = ended(start(TMPDIR="/nowhere", main="", import_=""))
  assert status == 0 and OURS[0] in err


@pytest.mark.slow
def test_the_real_tensorflow(tmp_path):
  """It greets three times and more; here a trained optimizer is missing, told in one line."""
  program = programs.ROOT / "bin" / "visualize.py"
  environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
  process = subprocess.Popen(
    [sys.executable, program, "--optimizer=none"],
    env={**environment, "PYTHONPATH": str(programs.ROOT)},
    cwd=tmp_path,
    stderr=subprocess.PIPE,
    text=True,
  )
  status, err = ended(process)
  assert status == 1 and "none" in err and err.count("\n") == 1, err


@pytest.mark.parametrize("path", sorted((programs.ROOT / "bin").glob("*.py")), ids=lambda p: p.stem)
def test_every_program_starts_so(path):
  """And does nothing before."""
  rest = path.read_text().partition('"""\n\n')[2]
  start = f'if __name__ == "__main__":\n  {path.stem}.run()\n'
  assert rest == f"from l2l_tf.cli import {path.stem}\n\n{start}"


DOORS = """
import importlib, sys
import l2l_tf
for name in sys.argv[1].split(","):
  program = importlib.import_module(f"l2l_tf.cli.{name}")
  for words in (["--help"], ["-h"], ["--nonsense=1"], ["--seed=-1"], ["--problem=mnsit"]):
    try:
      program.main([name, *words])
    except SystemExit as stop:
      assert stop.code == 0 and words[0].startswith("-h") or words == ["--help"], (name, words)
    except Exception as error:
      assert type(error).__name__ == "UsageError", (name, words, error)
    else:
      raise AssertionError((name, words))
heavy = {"tensorflow", "keras", "sonnet", "matplotlib", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_and_usage_errors_need_no_tensorflow(tmp_path):
  names = ",".join(sorted(path.stem for path in (programs.ROOT / "bin").glob("*.py")))
  environment = {**os.environ, "PYTHONPATH": str(programs.ROOT)}
  command = [sys.executable, "-c", DOORS, names]
  run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
  assert run.returncode == 0, run.stderr[-3000:]
