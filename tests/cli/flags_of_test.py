"""The flags of an experiment make it again, and they are few."""

import itertools

import pytest

from l2l_tf.cli import experiment_flags
from l2l_tf.cli.flags import Flags
from l2l_tf.config import presets
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.optimizers import OPTIMIZERS
from l2l_tf.config.problems import PROBLEMS
from l2l_tf.config.problems import Mnist

CHANGES = {
  "mnist": {"hidden": (20, 20), "data_dir": "a b", "activation": "relu", "pooling": 2},
  "cifar10": {"split": "test", "filters": (3, 2)},
  "quadratic": {"dimensions": 5, "init_scale": 0.1},
  "neural_art": {"size": 48, "style": "it's.jpg"},
  "bowl": {"dimensions": 3},
  "general": {"pictures": False, "data": "bundled"},
}
SIZES = {"layer_sizes": (7, 5), "output_scale": 0.123}
TRAINING = {"learning_rate": 1 / 3, "num_epochs": 3, "seed": 7, "jit_compile": True}


def made(words):
  """The experiment that a command line makes."""
  experiment_flags.add_experiment(flags := Flags(""))
  return experiment_flags.experiment(flags.parse(["train.py", *words]))


@pytest.mark.parametrize("kind, name", [*itertools.product(presets.PRESETS, PROBLEMS)])
def test_a_preset_takes_two_flags_at_most(kind, name):
  experiment = presets.PRESETS[kind][name]
  words = experiment_flags.flags_of(experiment)
  assert words[0] == f"--problem={name}" and len(words) <= 2
  assert made(words) == experiment


@pytest.mark.parametrize("name, optimizer", [*itertools.product(PROBLEMS, OPTIMIZERS)])
def test_changed_options_and_other_optimizers(name, optimizer):
  preset = presets.with_optimizer(presets.PRESETS["quick"][name], optimizer)
  experiment = Experiment(
    preset.problem.replace(**CHANGES[name]),
    preset.optimizer.replace(**({"controller_sizes": (7, 5)} if optimizer == "general" else SIZES)),
    preset.training.replace(**TRAINING),
  )
  words = experiment_flags.flags_of(experiment)
  assert made(words) == experiment
  assert len(words) <= 3 + len(CHANGES[name]) + 2 + len(TRAINING)


@pytest.mark.parametrize(
  "changes",
  [{"meta_gradient": "sampled:300"}, {"jit_compile": False}, {"estimator": "pes"}],
)
def test_other_meta_gradients_and_flags_that_are_off(changes):
  preset = presets.PRESETS["quick"]["quadratic"]
  training = preset.training.replace(**changes)
  experiment = preset.replace(training=training)
  words = experiment_flags.flags_of(experiment)
  assert made(words) == experiment and len(words) == 2


def test_a_problem_of_the_users():
  experiment = presets.preset("paper", "my_problems:digits")
  words = experiment_flags.flags_of(experiment)
  assert words == ["--problem=my_problems:digits", "--preset=paper"]
  assert made(words) == experiment
  words = experiment_flags.problem_flags("my_problems:digits", experiment.problem)
  assert words == ["--problem=my_problems:digits"]


def test_flags_of_a_problem():
  options = Mnist(**CHANGES["mnist"])
  flags = Flags("")
  experiment_flags.add_problem(flags, "")
  flags.parse(["visualize.py", *experiment_flags.problem_flags("mnist", options)])
  assert experiment_flags.problem(flags) == options
