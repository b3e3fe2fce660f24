"""What to do with a trained optimizer: commands that `bin/train.py` prints at its end."""

import os
import shlex
import sys

from l2l_tf.cli import experiment_flags
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.problems import MIXTURES
from l2l_tf.runs.run import TrainingRun

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
KEPT = ("strategy", "tuning_runs", "test_runs")  # flags of the next training too


def python(*words: str) -> str:
  """A command line for this very interpreter, whether or not its environment is activated."""
  return shlex.join([sys.executable or "python3", *words])


def show(run: TrainingRun, flags: experiment_flags.Flags):
  """Prints commands that go on from a trained optimizer; they work from here as they are."""
  experiment, start = run.experiment, f"--init_from={run.best_directory}"
  described = experiment.to_dict()
  problem = described["problem"]["name"]
  example = os.path.join(ROOT, "examples", "pretrained_in_fit.py")
  user_optimizer = experiment.users_optimizer
  if user_optimizer:
    first = f"optimizer, _ = l2l_tf.load_optimizer({run.best_directory!r}, {user_optimizer!r})"
    line = "model.compile(optimizer=l2l_tf.LearnedOptimizer(optimizer), loss=...)"
    print(f"Use it in Keras:\n  {first}\n  {line}")
  elif not os.path.exists(example):  # of an installed wheel
    line = f"model.compile(optimizer=l2l_tf.LearnedOptimizer({run.best_directory!r}), loss=...)"
    print(f"Use it in Keras:\n  {line}")
  elif described["optimizer"]["name"] != "ntm_bfgs":  # which keeps n^2 numbers for n parameters
    new = "" if problem == "mnist" else ", which it was not trained on"
    print(f"Use it in Keras, on a small network and 5,000 digits{new}:")
    print(f"  {python(os.path.relpath(example), run.best_directory)}")
  look = [f"--optimizer={run.best_directory}"]
  look += [f"--user_optimizer={user_optimizer}"] if user_optimizer else []
  if problem not in MIXTURES:  # one of which is looked at on MNIST
    look += experiment_flags.problem_flags(problem, experiment.problem)
  look += [
    f"--num_steps={experiment.training.num_steps}",
    f"--tuning_runs={flags.tuning_runs or 1}",
  ]
  look += [f"--out={run.directory}/proposals.json", f"--html={run.directory}/proposals.html"]
  look += [f"--logdir={run.directory}/proposals"]
  print(f"Look at what it has learned:\n  {python(_program('visualize'), *look)}")
  more = experiment_flags.flags_of(_gentler(experiment))
  more = [word for word in more if not word.startswith("--imitation_rounds")]  # phi is there
  kept = [f"--{name}={value}" for name, value in flags.given().items() if name in KEPT]
  print("Train it on, on other instances and at a third of the learning rate:")
  print(f"  {python(_program('train'), start, *more, *kept)}")


def _gentler(experiment: Experiment) -> Experiment:
  """What goes on from a trained optimizer."""
  training = experiment.training
  rate = max(float(f"{training.learning_rate / 3:.1g}"), 1e-9)  # the least that the flag takes
  seed = (training.seed + 1) % 2**31
  return experiment.replace(training=training.replace(learning_rate=rate, seed=seed))


def _program(name: str) -> str:
  """The path from here to a program of ours: of a checkout, or a console script of the wheel."""
  path = os.path.join(ROOT, "bin", f"{name}.py")
  if not os.path.exists(path):
    path = os.path.join(os.path.dirname(sys.executable), f"l2l-{name}")
  return os.path.relpath(path)
