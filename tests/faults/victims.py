"""Programs of bin/ in processes of their own, on a file system that can break (preload.c)."""

import glob
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from l2l_tf.storage import files
from tests import programs
from tests.tiny_training import BOWL

TRAIN = [*BOWL, "--num_epochs=4", "--tuning_runs=0"]  # 8 meta-steps, tuning has nothing to lose
COMPILER = shutil.which("cc") or shutil.which("gcc")
NOISE = re.compile(
  r"WARNING: All log messages before absl|[IWE]0000 |\s*$"
  r"|Epoch \d|(Tuning|Running|Testing) |\d+ of \d+ \w+s, "  # what reports say
)


def preload(directory) -> str:
  """Compiles preload.c; returns the library."""
  library = os.path.join(directory, "preload.so")
  source = os.path.join(os.path.dirname(__file__), "preload.c")
  subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
  return library


def start(program: str, *args: str, fault: str = "", library: str = "", cwd=None):
  """Starts bin/PROGRAM.py, with a fault as preload.c reads it."""
  environment = {**os.environ, "PYTHONPATH": str(programs.ROOT), "CUDA_VISIBLE_DEVICES": ""}
  if fault:
    environment |= {"LD_PRELOAD": library, "FAULT": fault}
  return subprocess.Popen(
    [sys.executable, programs.ROOT / "bin" / f"{program}.py", *args],
    env=environment,
    cwd=cwd,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def run(program: str, *args: str, **options):
  """Runs one to its end: status, stdout, and stderr without reports and TensorFlow's messages."""
  process = start(program, *args, **options)
  out, err = process.communicate(timeout=300)
  return process.returncode, out, said(err)


def operations(program: str, *args: str, directory: str, library: str, kind: str = "kill") -> int:
  """Runs one undisturbed; returns how many operations under `directory` a `kind` could hit."""
  counts = f"{directory}.counts"
  fault = f"{kind}:0:{directory}:{counts}"
  status, _, err = run(program, *args, fault=fault, library=library)
  assert status == 0, err
  with open(counts, encoding="utf-8") as file:
    return int(file.read())


def said(err: str) -> str:
  """What stderr says, without what reports say and TensorFlow's messages."""
  return "\n".join(line for line in err.splitlines() if not NOISE.match(line))


def train_args(directory: str, estimator: str = "backprop") -> list[str]:
  """What begins the run in `directory`, or takes it up."""
  if os.path.exists(os.path.join(directory, "config.json")):
    return ["--resume", f"--run_dir={directory}", "--tuning_runs=0", "--test_runs=2"]
  return [*TRAIN, f"--estimator={estimator}", f"--run_dir={directory}"]


def final_state(directory: str) -> dict[str, np.ndarray]:
  """All tensors of the newest checkpoint, phi, Adam's slots and counters, and best/'s weights."""
  paths = glob.glob(os.path.join(directory, "checkpoints", "*.index"))
  newest = max(paths, key=lambda path: int(re.search(r"ckpt-(\d+)", path)[1]))
  reader = tf.train.load_checkpoint(newest.removesuffix(".index"))
  names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
  state = {name: reader.get_tensor(name) for name in names}
  with open(os.path.join(directory, "best", "optimizer.safetensors"), "rb") as file:
    return state | {"best": np.frombuffer(file.read(), np.uint8)}


def assert_same_state(directory: str, expected: dict[str, np.ndarray]):
  """Raises AssertionError unless a run ended bit for bit as `expected`."""
  state = final_state(directory)
  assert state.keys() == expected.keys()
  for name, value in state.items():
    np.testing.assert_array_equal(value, expected[name], err_msg=name)


def assert_nothing_half_written(directory: str):
  """Raises AssertionError if a file of best/ or config.json is under its name but not whole."""
  if os.path.exists(os.path.join(directory, "config.json")):
    files.read_json(os.path.join(directory, "config.json"))
  weights = os.path.join(directory, "best", "optimizer.safetensors")
  if os.path.exists(weights):
    with open(weights, "rb") as file:
      safetensors.numpy.load(file.read())


needs_compiler = pytest.mark.skipif(not COMPILER, reason="needs a C compiler")
