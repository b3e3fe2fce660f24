"""kill -9 of bin/train.py and bin/evaluate.py, at operations on files and at any other moment."""

import os
import random
import signal
import subprocess
import time

import pytest

from l2l_tf.evaluation import results
from tests.faults import table
from tests.faults import victims

KILLS = table.trials(0, 30)
FEWER = table.trials(0, 12)  # of the other estimators
EVALUATE = ["--problem=bowl", "--dimensions=3", "--num_steps=4", "--num_runs=3", "--tuning_runs=1"]
pytestmark = [table.thorough, victims.needs_compiler]


@pytest.fixture(name="library", scope="module")
def _library(tmp_path_factory):
  return victims.preload(tmp_path_factory.mktemp("preload"))


def undisturbed(directory, library, estimator):
  """The final state of a run never killed, its operations on files, and its seconds."""
  began = time.monotonic()
  operations = victims.operations(
    "train", *victims.train_args(directory, estimator), directory=directory, library=library
  )
  assert operations > 50
  return victims.final_state(directory), operations, time.monotonic() - began


def kill(process, seconds):
  """Kills a process after so long, unless it ends before; returns whether it was killed."""
  try:
    process.communicate(timeout=seconds)
  except subprocess.TimeoutExpired:
    process.kill()
    process.communicate()
  return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("estimator, total", [("backprop", KILLS), ("es", FEWER), ("pes", FEWER)])
def test_kill_9_of_train(tmp_path, library, estimator, total):
  """Runs are killed again and again till they end; every second kill is at an operation."""
  expected, operations, seconds = undisturbed(str(tmp_path / "undisturbed"), library, estimator)
  dice, kills, runs = random.Random(0), 0, 0
  while kills < total:
    runs, before = runs + 1, kills
    directory = str(tmp_path / f"run_{runs}")
    while True:
      args = victims.train_args(directory, estimator)
      at_operation = kills % 2 == 0 and kills < total
      number = dice.randint(1, operations // 2)
      fault = f"kill:{number}:{directory}" if at_operation else ""
      process = victims.start("train", *args, fault=fault, library=library)
      limit = 300 if at_operation or kills >= total else dice.uniform(0.2, 1.0) * seconds
      if not kill(process, limit):
        break
      kills += 1
      victims.assert_nothing_half_written(directory)
    assert process.returncode == 0
    with table.trial(f"kill -9 of bin/train.py, {estimator}", kills - before):
      victims.assert_same_state(directory, expected)


def test_kill_9_of_evaluate(tmp_path, library):
  expected = str(tmp_path / "expected.json")
  args = [*EVALUATE, "--optimizer=quadratic_lstm", "--transfer"]
  operations = victims.operations(
    "evaluate", *args, f"--out={expected}", directory=str(tmp_path), library=library
  )
  dice, kills, runs = random.Random(1), 0, 0
  with table.trial("kill -9 of bin/evaluate.py", KILLS):
    while kills < KILLS:
      runs += 1
      out, done = str(tmp_path / f"out_{runs}.json"), {}
      while True:
        number = dice.randint(2, operations // 3) if kills < KILLS else 0
        fault = f"kill:{number}:{tmp_path}"
        process = victims.start("evaluate", *args, f"--out={out}", fault=fault, library=library)
        if not kill(process, 300):
          break
        kills += 1
        done = finished_parts(out, done)
      assert process.returncode == 0
      first, second = results.read(expected), results.read(out)
      assert {**first, "command": ""} == {**second, "command": ""}


def finished_parts(out, before):
  """Names and times of the parts after a kill; those that were there before must be among them."""
  if os.path.exists(out):  # the results are there: it died while it removed the parts
    return {}
  parts = f"{out}.work"
  names = os.listdir(parts) if os.path.isdir(parts) else []
  now = {n: os.stat(os.path.join(parts, n)).st_mtime_ns for n in names if n.endswith(".npz")}
  assert before.items() <= now.items(), "a finished part was lost or made again"
  return now
