"""Tests of bin/train.py: one clear line for every bad input, damaged file and error of the disk."""

import glob
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from l2l_tf.runs import run as training_run
from l2l_tf.training.counters import Progress
from tests import programs
from tests.tiny_training import BOWL
from tests.tiny_training import run
from tests.tiny_training import run_eagerly
from tests.tiny_training import train


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
  """The directory of a run that has just begun."""
  directory = str(tmp_path_factory.mktemp("runs") / "bowl")
  flags = train.make_flags().parse(["train.py", *BOWL])
  training_run.TrainingRun.new(directory, train.experiment_flags.experiment(flags))
  return directory


def assert_one_line(status, err, *words):
  lines = [line for line in err.splitlines() if line.strip()]
  assert status in (1, 2) and len(lines) == 1 and "Traceback" not in err, err
  assert len(lines[0]) < 1000
  for word in words:
    assert word in lines[0], lines[0]


def contents(directory):
  """Every file under a directory with its hash, but that which tells who was there last."""
  files = [f for f in glob.glob(f"{directory}/**", recursive=True) if os.path.isfile(f)]
  files = [f for f in files if os.path.basename(f) != "lock"]
  return {f: hashlib.sha256(open(f, "rb").read()).hexdigest() for f in files}


def edit_config(directory, change):
  path = os.path.join(directory, "config.json")
  with open(path, encoding="utf-8") as file:
    config = json.load(file)
  change(config)
  with open(path, "w", encoding="utf-8") as file:
    json.dump(config, file)


def write(name, content):
  """Returns a change of a run directory: one file's content."""
  return lambda d: open(os.path.join(d, name), "wb").write(content)


def truncate_checkpoint(directory):
  for path in glob.glob(os.path.join(directory, "checkpoints", "*.data-*")):
    os.truncate(path, os.path.getsize(path) // 2)


def edit(*path, value):
  """Returns a change of a run directory: one value of config.json."""

  def change(config):
    for key in path[:-1]:
      config = config[key]
    config[path[-1]] = value

  return lambda d: edit_config(d, change)


def save_progress(text):
  """Returns a change of a run directory: a newer checkpoint with other counters."""
  return lambda d: training_run.TrainingRun.resume(d)._checkpoint.save(text)


PROGRESS = json.loads(Progress().to_json())
DAMAGED_RUNS = {
  "empty config": (write("config.json", b""), ["config.json is not valid JSON"]),
  "truncated config": (write("config.json", b'{"exper'), ["config.json is not valid JSON"]),
  "binary config": (write("config.json", b"\x80\x81"), ["config.json is not valid JSON"]),
  "foreign config": (write("config.json", b'{"name": "x"}'), ["not the config of a run", "parts"]),
  "list": (write("config.json", b"[]"), ["is not the config of a run"]),
  "no config": (
    lambda d: os.remove(f"{d}/config.json"),
    ["no run to resume", "no config.json", "No such file"],
  ),
  "unknown problem": (edit("experiment", "problem", "name", value="x"), ["Unknown problem 'x'"]),
  "bad value": (edit("experiment", "training", "num_steps", value=-4), ["num_steps", "-4"]),
  "other data": (edit("data", value="tfds mnist"), ["trained on 'tfds mnist'", "generated"]),
  "other sizes": (
    edit("experiment", "optimizer", "layer_sizes", value=[4]),
    ["does not fit this training"],
  ),
  "no checkpoints": (lambda d: shutil.rmtree(f"{d}/checkpoints"), ["no checkpoint in"]),
  "truncated checkpoint": (truncate_checkpoint, ["is damaged or does not fit"]),
  "unknown counter": (
    save_progress(json.dumps(PROGRESS | {"episodes": 1})),
    ["does not fit this training", "episodes"],
  ),
  "missing counter": (save_progress('{"epoch": 1}'), ["does not fit this training", "best_loss"]),
  "odd counter": (
    save_progress(json.dumps(PROGRESS | {"epoch": "1"})),
    ["does not fit this training", "epoch", "'1'"],
  ),
  "pipe": (
    lambda d: (os.remove(f"{d}/config.json"), os.mkfifo(f"{d}/config.json")),
    ["config.json is no regular file"],
  ),
  "somebody's code": (
    edit("experiment", "problem", value={"name": "os:abort"}),
    ["trained on the code os:abort", "Add --problem=os:abort if you trust it"],
  ),
  "link": (lambda d: os.symlink("nowhere", f"{d}/best"), ["best is a symbolic link"]),
  "list of counters": (save_progress("[1]"), ["does not fit this training", "[1]"]),
  "no counters": (save_progress("{"), ["does not fit this training"]),
}


@pytest.mark.parametrize("damage", DAMAGED_RUNS)
def test_a_damaged_run_is_not_resumed_and_nothing_is_overwritten(begun, tmp_path, damage):
  directory = str(tmp_path / "run")
  shutil.copytree(begun, directory)
  change, words = DAMAGED_RUNS[damage]
  change(directory)
  before = contents(directory)
  status, _, err = run("--resume", f"--run_dir={directory}")
  assert_one_line(status, err, *words, directory)
  assert contents(directory) == before


BAD_ARGUMENTS = [
  (["--problem=imagenet"], ["imagenet", "mnist"]),
  (["--preset=huge"], ["huge", "quick", "paper"]),
  (["--optimizer=gru"], ["gru", "lstm"]),
  (["--num_steps=0"], ["--num_steps", "at least 1", "0"]),
  (["--learning_rate=x"], ["learning_rate", "x"]),
  (["--data=web"], ["web", "auto", "bundled"]),
  (["--data=tfds", "--data_dir={}"], ["no prepared TFDS copy", "{}", "--data=bundled"]),
  (["--tuning_runs=-1"], ["--tuning_runs must be an integer of 0..10000, got -1"]),
  (["--test_runs=1"], ["--test_runs must be an integer of 2..", "got 1"]),
  ([f"--test_runs={10**12}"], ["--test_runs must be", f"got {10**12}"]),
  (["--search=0"], ["--search must be an integer of 1..10000, got 0"]),
  ([f"--search={10**12}"], [f"--search must be an integer of 1..10000, got {10**12}"]),
  (["--epochs=3"], ["Unknown command line flag 'epochs'"]),
  (["--resume"], ["--resume needs the --run_dir"]),
  (["--resume", "--run_dir={}"], ["no run to resume in {}"]),
  (["--resume", "--run_dir={}/x", "--seed=3"], ["--seed cannot be given with --resume"]),
  (["--problem=bowl", "--run_dir={}"], ["{} is not empty", "--resume"]),
  (["--problem=bowl", "--run_dir={}/file"], ["Cannot make the directory {}/file"]),
  (["--problem=bowl", "--search=2", "--run_dir={}/file"], ["Cannot make the directory {}/file"]),
  (["--problem=bowl", "--run_dir={}/file/x"], ["Cannot make the directory {}/file/x"]),
]


@pytest.mark.parametrize("args, words", BAD_ARGUMENTS, ids=lambda x: x[0][2:20])
def test_bad_arguments(tmp_path, monkeypatch, args, words):
  """In a folder that holds a file of somebody else."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / "file").write_text("mine")
  before = contents(tmp_path)
  status, _, err = run(*(arg.format(tmp_path) for arg in args))
  assert_one_line(status, err, *(word.format(tmp_path) for word in words))
  assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(
  "args, words",
  [(["--problem=imagenet"], ["imagenet"]), (["--resume", "--run_dir=no"], ["no run"])],
)
def test_bad_arguments_of_the_real_program(tmp_path, args, words):
  program = programs.ROOT / "bin" / "train.py"
  done = subprocess.run(
    [sys.executable, program, *args], cwd=tmp_path, capture_output=True, text=True, check=False
  )
  assert_one_line(done.returncode, done.stderr, *words)  # and nothing of TensorFlow's greetings
  assert not list(tmp_path.iterdir())


def test_a_run_without_data_leaves_no_directory(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  status, _, err = run("--data=tfds", f"--data_dir={tmp_path}", "--run_dir=a")
  assert_one_line(status, err, "no prepared TFDS copy")
  (tmp_path / "b").mkdir()
  status, _, err = run("--data=tfds", f"--data_dir={tmp_path}", "--run_dir=b")
  assert os.listdir(tmp_path) == ["b"] and os.listdir(tmp_path / "b") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sweeps", "best"])
def test_an_error_of_the_disk_is_one_line(begun, tmp_path, name):
  """Here: a file where the run needs a directory."""
  directory = str(tmp_path / "bowl")
  shutil.copytree(begun, directory)
  write(name, b"mine")(directory)
  status, _, err = run_eagerly("--resume", f"--run_dir={directory}", "--tuning_runs=1")
  assert status == 1 and f"\nprogram: Cannot write to {directory}" in f"\n{err}", err
  assert "Traceback" not in err


def test_a_full_disk_is_one_line_and_the_run_goes_on_from_what_was_saved(begun, tmp_path):
  """Files of the run can have no more than 100 bytes: TensorFlow's errors, and Python's."""
  directory = str(tmp_path / "bowl")
  shutil.copytree(begun, directory)
  again = ["--resume", f"--run_dir={directory}", "--test_runs=2", "--tuning_runs=0"]
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
  try:
    status, _, err = run_eagerly(*again)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert status == 1 and "Cannot write to" in err and "--resume goes on" in err, err
  assert not glob.glob(f"{directory}/**/*.tmp", recursive=True)
  status, out, _ = run_eagerly(*again)
  assert status == 0 and "  learned  " in out
