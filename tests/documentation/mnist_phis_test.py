"""results/mnist_phis/train.sh trains as the card of `mnist_lstm` says."""

import os
import re
import shlex
import signal
import subprocess
import time

from tests import sources

SCRIPT = sources.ROOT / "results" / "mnist_phis" / "train.sh"
CARD = sources.ROOT / "l2l_tf" / "pretrained" / "mnist_lstm" / "README.md"
PYTHON = """#!/bin/sh
echo "$@" >>"$CALLS"
for epoch in $(seq 60); do
  echo "Epoch $epoch of 60: loss 1"
done
exec sleep 60
"""


def phases(lines):
  """The flags of each training by name."""
  words = [[w for w in shlex.split(line) if w.startswith("--")] for line in lines]
  return [dict(word[2:].split("=", 1) for word in of) for of in words]


def begin(folder, *arguments, program=PYTHON):
  python = folder / "python"
  python.write_text(program)
  python.chmod(0o755)
  names = {"PYTHON": python, "RUNS": folder / "runs", "CALLS": folder / "calls"}
  environment = {"PATH": os.environ["PATH"]} | {key: str(path) for key, path in names.items()}
  command, pipe = ["sh", str(SCRIPT), *arguments], subprocess.PIPE
  return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def train(folder, *arguments, **more):
  child = begin(folder, *arguments, **more)
  out, err = child.communicate(timeout=120)
  return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def test_its_phases_are_those_of_the_card(tmp_path):
  card = CARD.read_text()
  described = phases(re.findall(r"^ *python bin/train.py (.*)$", card, re.MULTILINE))
  done = train(tmp_path, "2")
  assert done.returncode == 0, done.stderr
  found = phases((tmp_path / "calls").read_text().splitlines())
  assert len(found) == len(described) == 7
  before = None
  for phase, flags in zip(described, found):
    assert flags.pop("tuning_runs") == "0"
    run = flags.pop("run_dir")
    assert run == str(tmp_path / "runs" / "2" / os.path.basename(phase.pop("run_dir")))
    assert flags.pop("init_from", None) == (before and f"{before}/best")
    before, _ = run, phase.pop("init_from", None)
    assert flags.pop("seed") == f"2{phase.pop('seed', '0')}"
    assert flags == phase
  best = re.findall(r"best epochs were ([\d, ]*\d)", card)[0].split(", ")
  assert re.findall(r"^Epoch (\d+) of", done.stdout, re.MULTILINE) == best


def test_what_is_done_is_not_trained_again(tmp_path):
  for name in map(str, range(1, 8)):
    (tmp_path / "runs" / "1" / name).mkdir(parents=True)
    (tmp_path / "runs" / "1" / f"{name}.done").touch()
  (tmp_path / "runs" / "1" / "7" / "config.json").touch()
  (tmp_path / "runs" / "1" / "7.done").unlink()
  assert train(tmp_path, "1").returncode == 0
  (flags,) = (tmp_path / "calls").read_text().splitlines()
  assert flags == f"bin/train.py --run_dir={tmp_path}/runs/1/7 --tuning_runs=0 --resume"


def test_another_name_is_refused(tmp_path):
  done = train(tmp_path, "x")
  assert done.returncode == 2 and "Name the training, 1 to 9, got 'x'" in done.stderr
  assert not (tmp_path / "runs").exists()


def test_a_training_that_fails_is_named(tmp_path):
  done = train(tmp_path, "1", program="#!/bin/sh\necho no digits here\nexit 1\n")
  run = tmp_path / "runs" / "1" / "1"
  assert done.returncode == 1
  assert done.stderr == f"{run} ended before epoch 12: {run}.log says why.\n"
  assert (tmp_path / "runs/1/1.log").read_text() == "no digits here\n"


def test_what_stops_it_stops_the_training(tmp_path):
  program = """#!/bin/sh
trap 'touch "$CALLS.stopped"; exit 143' TERM
touch "$CALLS"
for second in $(seq 60); do sleep 1; done
"""
  child = begin(tmp_path, "1", program=program)
  while not (tmp_path / "calls").exists():
    time.sleep(0.1)
  child.send_signal(signal.SIGINT)
  child.communicate(timeout=30)
  assert child.returncode == 130 and (tmp_path / "calls.stopped").exists()
  assert not list(tmp_path.glob("runs/1/*.done"))
