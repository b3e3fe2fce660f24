"""Tests of bin/train.py --strategy: two processes on loopback, Ctrl-C, and going on."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from tests import programs
from tests.tiny_training import run
from tests.training import distribution_test

ARGS = ["--problem=quadratic", "--dimensions=3", "--num_tasks=2", "--layer_sizes=3"]
ARGS += ["--num_steps=4", "--unroll_length=2", "--episodes_per_epoch=20", "--validation_runs=2"]
ARGS += ["--test_runs=2", "--tuning_runs=0"]


def start(index, cluster, directory, *args):
  """Worker `index` of bin/train.py in a process of its own."""
  config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
  program = programs.ROOT / "bin" / "train.py"
  return subprocess.Popen(
    [sys.executable, program, "--strategy=multi_worker", f"--run_dir={directory}", *args],
    env=os.environ | {"TF_CONFIG": json.dumps(config)},
    cwd=directory.parent,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    bufsize=1,
  )


def two(directory, *args, interrupt=False):
  """Runs two workers, and with `interrupt` stops the second one: their outputs and statuses."""
  cluster = {"worker": [f"127.0.0.1:{p}" for p in distribution_test.free_ports(2)]}
  processes = [start(i, cluster, directory, *args) for i in range(2)]
  try:
    if interrupt:
      err = ""
      while not re.search(r"^(\d+ of \d+ windows,|Epoch 1 of )", err, re.M):  # training is on
        err += processes[1].stderr.read(1)
        assert processes[1].poll() is None, err
      processes[1].send_signal(signal.SIGINT)
    ends = [process.communicate(timeout=240) for process in processes]
  finally:
    for process in processes:
      process.kill()
  return [(out, err, p.returncode) for (out, err), p in zip(ends, processes)]


@pytest.mark.slow
def test_two_workers_train_what_one_does_and_go_on_after_ctrl_c(tmp_path):
  """Ctrl-C reaches one worker; both stop, and the chief has saved."""
  run_dir = tmp_path / "run"
  args = [*ARGS, "--num_epochs=8"]
  ends = two(run_dir, *args, interrupt=True)
  assert [status for *_, status in ends] == [128 + signal.SIGINT] * 2, ends
  assert "--resume --run_dir=" in ends[0][0] and ends[0][0].endswith(
    " --strategy=multi_worker --tuning_runs=0 --test_runs=2\n"
  )
  assert ends[1][0] == "" and sorted(os.listdir(tmp_path)) == ["run"]
  config = files.read_json(str(run_dir / "config.json"))
  assert config["replicas"] == 2
  before = len([*run_dir.glob("*tfevents*")])
  ends = two(run_dir, "--resume", "--test_runs=2", "--tuning_runs=0")
  assert [status for *_, status in ends] == [0, 0], ends
  assert "  learned  " in ends[0][0] and ends[1][0] == ""
  assert len([*run_dir.glob("*tfevents*")]) == before + 1
  status, _, _ = run(*args, f"--run_dir={tmp_path / 'alone'}")
  assert status == 0
  two_workers, about = optimizer_files.load_optimizer(str(run_dir / "best"))
  alone, about_alone = optimizer_files.load_optimizer(str(tmp_path / "alone" / "best"))
  for a, b in zip(two_workers.trainable_variables, alone.trainable_variables, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
  assert about["epoch"] == about_alone["epoch"]


@pytest.mark.slow
def test_a_run_keeps_its_number_of_replicas(tmp_path):
  directory = tmp_path / "run"
  assert run(*ARGS, "--num_epochs=1", f"--run_dir={directory}")[0] == 0
  path = str(directory / "config.json")
  config = files.read_json(path)
  assert config["replicas"] == 1
  files.write_json(path, config | {"replicas": 2})
  status, _, err = run("--resume", f"--run_dir={directory}", "--strategy=mirrored")
  assert status == 1 and "was trained on 2 replicas, now there are 1" in err


@pytest.mark.parametrize(
  "args, words",
  [
    (["--strategy=tpu"], "single|mirrored|multi_worker"),
    (["--strategy=multi_worker"], "needs the environment variable TF_CONFIG"),
    (["--strategy=mirrored", "--search=2"], "--strategy cannot be given with --search"),
  ],
)
def test_bad_arguments(tmp_path, monkeypatch, args, words):
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv("TF_CONFIG", raising=False)
  status, _, err = run(*args)
  assert status in (1, 2) and re.search(words, err) and not list(tmp_path.iterdir())
