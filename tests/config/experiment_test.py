"""Tests of the experiments: the paper's numbers, round trips, and bad values."""

import copy
import json
from typing import get_args

import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import presets
from l2l_tf.config import problems as problem_options
from l2l_tf.config.experiment import Experiment
from l2l_tf.optimizers import preprocessing
from l2l_tf.problems import vgg
from l2l_tf.problems.base import instances
from l2l_tf.problems.base import make_seeds
from l2l_tf.storage import phi_files

CASES = [(preset, name) for preset, table in presets.PRESETS.items() for name in table]


@pytest.mark.parametrize("preset, name", CASES)
def test_every_preset_survives_a_round_trip(preset, name):
  experiment = presets.PRESETS[preset][name]
  values = json.loads(json.dumps(experiment.to_dict()))
  assert Experiment.from_dict(values) == experiment
  assert values["problem"]["name"] == name


def test_every_problem_has_every_preset():
  for table in presets.PRESETS.values():
    assert table.keys() == problem_options.PROBLEMS.keys()


def test_the_papers_mnist_experiment():
  """Section 3.2: what the flags' defaults stand for."""
  experiment = presets.PRESETS["paper"]["mnist"]
  problem, optimizer, training = experiment.problem, experiment.optimizer, experiment.training
  assert (problem.hidden, problem.activation, problem.batch_size) == ((20,), "sigmoid", 128)
  assert optimizer.layer_sizes == (20, 20) and optimizer.output_scale == 0.1
  assert (optimizer.preprocessing, optimizer.preprocessing_constant) == ("log_and_sign", 10.0)
  assert (training.num_steps, training.unroll_length) == (100, 20)
  assert training.meta_gradient == "full"


def test_the_papers_cifar10_experiment():
  """Section 3.3: three convolutions, 32 units, minibatches of 128, two LSTMs, Appendix A."""
  experiment = presets.PRESETS["paper"]["cifar10"]
  problem, optimizer, training = experiment.problem, experiment.optimizer, experiment.training
  assert (len(problem.filters), problem.units, problem.batch_size) == (3, 32, 128)
  assert (problem.pooling, problem.split) == (1, "train")
  assert type(optimizer) is optimizer_options.Partition and optimizer.layer_sizes == (20, 20)
  assert (optimizer.preprocessing, optimizer.preprocessing_constant) == ("log_and_sign", 10.0)
  assert (training.num_steps, training.unroll_length) == (1000, 20)
  assert training.meta_gradient == "full"


def test_the_papers_neural_art_experiment():
  """Section 3.4: 64 x 64, 128 steps, unrolls of 32, Appendix A, no postprocessing."""
  experiment = presets.PRESETS["paper"]["neural_art"]
  optimizer, training = experiment.optimizer, experiment.training
  assert experiment.problem.size == 64
  assert type(optimizer) is optimizer_options.LSTM and optimizer.layer_sizes == (20, 20)
  assert (optimizer.preprocessing, optimizer.preprocessing_constant) == ("log_and_sign", 10.0)
  assert optimizer.output_scale == 1.0
  assert (training.num_steps, training.unroll_length) == (128, 32)
  assert training.validation_runs == 20 and training.meta_gradient == "full"


def test_the_papers_quadratics_have_no_pre_or_postprocessing():
  experiment = presets.PRESETS["paper"]["quadratic"]
  assert experiment.problem.dimensions == 10
  assert experiment.optimizer.preprocessing == "rescale"
  assert experiment.optimizer.preprocessing_constant == experiment.optimizer.output_scale == 1.0


@pytest.mark.parametrize("name", ["quadratic", "bowl"])
def test_problems_build(name):
  problem, source = problem_options.PROBLEMS[name](dimensions=3).build()
  params, _ = instances(problem, make_seeds(0, count=2))
  assert params["theta"].shape == (2, 3) and source == "generated"


def test_mnist_builds_what_its_options_say():
  options = problem_options.Mnist(hidden=(6, 5), init_scale=0.5, data="bundled")
  problem, source = options.build()
  params, _ = instances(problem, make_seeds(0, count=1))
  shapes = [tuple(p.shape[1:]) for p in params.values()]
  assert shapes == [(784, 6), (6,), (6, 5), (5,), (5, 10), (10,)]
  assert np.std(params["hidden_1/w"]) == pytest.approx(0.5, rel=0.05)
  assert source.startswith("bundled")


@pytest.mark.parametrize("name", optimizer_options.OPTIMIZERS)
def test_optimizers_build_what_their_options_say(name):
  if name == "general":
    whole = optimizer_options.General(controller_sizes=(6, 7)).build(seed=1).config()
    assert whole == {"kind": "general", "hidden": [6, 7], "orthogonal": True}
    return
  options = optimizer_options.OPTIMIZERS[name](
    layer_sizes=(6, 7), preprocessing="rescale", preprocessing_constant=2.0, output_scale=0.3
  )
  whole = options.build(seed=1).config()
  assert whole["kind"] == name
  whole = whole["optimizer"] if name == "odd_part" else whole
  assert list(whole.get("groups", {})) == (["conv", "fc"] if name == "partition" else [])
  for config in whole.get("groups", {"": whole}).values():
    assert config["preprocessing"] == {"name": "rescale", "factor": 2.0}
    for option, value in options.to_dict().items():  # those of this kind alone
      apart = ("name", "preprocessing", "preprocessing_constant")
      assert option in apart or config[option] == value


def test_a_general_rule_of_before_is_what_it_was():
  """In a run that knows no orthogonal updates, and in the files of an optimizer."""
  values = presets.PRESETS["quick"]["general"].to_dict()
  assert values["optimizer"].pop("orthogonal") is True
  assert Experiment.from_dict(values).optimizer.orthogonal is False
  assert Experiment.from_dict(values).optimizer.build(0).config()["kind"] == "general"
  stored = optimizer_options.of_file({"kind": "general", "hidden": [6, 7]})
  assert stored.build(0).config() == {"kind": "general", "hidden": [6, 7]}


def test_options_and_optimizers_have_the_same_names():
  assert optimizer_options.OPTIMIZERS.keys() == optimizers.LEARNED.keys()
  for table in (optimizer_options.OPTIMIZERS, problem_options.PROBLEMS):
    assert all(kind().name == name for name, kind in table.items())


def test_choices_and_bounds_are_those_of_the_modules_that_build():
  """They are written in both, as these need TensorFlow and the options do not."""
  assert get_args(problem_options.DataSource) == problems.datasets.SOURCES
  assert get_args(problem_options.NeuralArt.model_fields["vgg"].annotation) == vgg.SOURCES
  assert (optimizer_options.MAX_P, 1e30) == (preprocessing.MAX_P, preprocessing.MAX_FACTOR)
  for name, (constant, default) in optimizer_options.CONSTANTS.items():
    assert preprocessing.to_config(preprocessing.BY_NAME[name]()) == {
      "name": name,
      constant: default,
    }
  dtypes = get_args(optimizer_options.LSTM.model_fields["dtype"].annotation)
  assert list(dtypes) == [*phi_files.FLOATS.values()]


def changed(path, value):
  """The quick MNIST experiment with one value put in or (KeyError) taken out."""
  values = copy.deepcopy(presets.PRESETS["quick"]["mnist"].to_dict())
  *parents, key = path
  target = values
  for parent in parents:
    target = target[parent]
  if value is KeyError:
    del target[key]
  else:
    target[key] = value
  return values


@pytest.mark.parametrize(
  "values, message",
  [
    (None, "has the parts problem, optimizer, training, got None"),
    ([], "has the parts"),
    (changed(["training"], KeyError), "has the parts"),
    (changed(["extra"], {}), "has the parts"),
    (changed(["problem"], "mnist"), "problem must be an object, got str"),
    (changed(["problem", "name"], "cifar"), "Unknown problem 'cifar'; known: mnist"),
    (changed(["problem", "name"], ["mnist"]), r"Unknown problem \['mnist'\]; known: mnist"),
    (changed(["problem", "dimensions"], 3), "Unknown option 'dimensions' for Mnist"),
    (changed(["optimizer", "name"], "gru"), "Unknown optimizer 'gru'; known: lstm"),
    (changed(["optimizer", "layer_sizes"], [0]), "layer_sizes must be at least 1"),
    (changed(["optimizer", "preprocessing"], "log"), "must be one of log_and_sign, rescale; got"),
    (changed(["training"], 3), "training must be an object, got int"),
    (changed(["training", "num_steps"], 90.5), "num_steps must be of type int, got 90.5"),
    (changed(["training", "num_steps"], 90), "multiple of unroll_length, got 90 and 100"),
    (changed(["training", "step"], 1), "Unknown option 'step' for Training"),
  ],
)
def test_bad_experiments_are_named(values, message):
  with pytest.raises(ValueError, match=message) as info:
    Experiment.from_dict(values)
  assert "\n" not in str(info.value) and len(str(info.value)) < 1000


def test_sampled_coordinates_and_imitation_need_independent_ones():
  preset = presets.PRESETS["quick"]["mnist"]
  assert preset.training.backprop_coordinates > 0
  other = presets.with_optimizer(preset, "lstm_gac")
  assert other.training.backprop_coordinates == 0
  assert other.training.imitation_rounds == 0 < preset.training.imitation_rounds
  message = "do not depend on each other, as those of lstm and partition; got lstm_gac"
  with pytest.raises(ValueError, match=message):
    preset.replace(optimizer=other.optimizer)
  two = presets.with_optimizer(preset, "partition")
  assert two.training.backprop_coordinates == preset.training.backprop_coordinates


@pytest.mark.parametrize("name, shape", [("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))])
def test_instances_draw_from_the_split_that_is_named(monkeypatch, name, shape):
  asked = []

  def load(*arguments):
    asked.append(arguments[:2])
    return problems.Dataset(np.zeros([4, *shape], np.uint8), np.zeros(4, np.int64), 10, "made up")

  monkeypatch.setattr(problems, "load", load)
  for split in ("train", "test"):
    problem_options.PROBLEMS[name](split=split, batch_size=2).build()
  assert asked == [(name, "train"), (name, "test")]


def test_the_bundled_digits_have_no_held_out_ones():
  with pytest.raises(problems.DataError, match="split 'train' only, got 'test'"):
    problem_options.Mnist(split="test", data="bundled").build()
