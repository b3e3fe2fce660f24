"""Tests of optimizers named as module:factory: training, resuming, loading, errors."""

import json
import os
import shutil
import sys

import keras
import numpy as np
import pytest

import l2l_tf
from l2l_tf import optimizers
from l2l_tf.config import presets
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.user_code import UserCodeError
from l2l_tf.config.user_optimizer import UserOptimizer
from l2l_tf.storage.files import CheckpointError
from tests import programs
from tests import tiny_training

NAME = "my_optimizers:plain"
MODULE = """
import tensorflow as tf
from l2l_tf import optimizers

class Plain(optimizers.Optimizer):
  def __init__(self, start, dtype=tf.float32):
    super().__init__("plain")
    self.rate = tf.Variable(tf.cast(start, dtype), name="rate")

  def initial_state(self, params):
    return {name: tf.zeros_like(x) for name, x in params.items()}

  def __call__(self, gradients, state, params=None):
    averages = {name: 0.5 * state[name] + 0.5 * g for name, g in gradients.items()}
    return {name: -self.rate * m for name, m in averages.items()}, averages

def plain(seed):
  return Plain(0.01 * (1 + seed))

def nothing(seed):
  pass

def adam(seed):
  return optimizers.Adam(0.1)

def double(seed):
  return Plain(0.1, tf.float64)

def twins(seed):
  made = Plain(0.1)
  made.again = tf.Variable(0.1, name="plain/rate")
  return made

class Sums(Plain):
  def __call__(self, gradients, state, params=None):
    return tf.add_n([tf.reduce_sum(g) for g in gradients.values()]), state

def sums(seed):
  return Sums(0.1)

class Grows(Plain):
  def __call__(self, gradients, state, params=None):
    return gradients, {name: x[:, :1] for name, x in state.items()}

def grows(seed):
  return Grows(0.1)

class Branches(Plain):
  def __call__(self, gradients, state, params=None):
    return (gradients if gradients["bias"][0, 0] > 0 else {}), state

def branches(seed):
  return Branches(0.1)

def divides(seed):
  return 1 / 0
"""


@pytest.fixture(name="module", autouse=True)
def _module(tmp_path, monkeypatch):
  """A module of a user's in the current directory, imported anew in each test."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, "path", list(sys.path))
  (tmp_path / "my_optimizers.py").write_text(MODULE)
  yield tmp_path / "my_optimizers.py"
  sys.modules.pop("my_optimizers", None)


BOWL = [
  f"--optimizer={NAME}",
  "--problem=bowl",
  "--dimensions=3",
  "--num_tasks=2",
  "--nojit_compile",
]
BOWL += [word for word in tiny_training.TINY if "layer_sizes" not in word]


@pytest.fixture(name="trained", scope="module")
def _trained(tmp_path_factory):
  """The folder of a run `run` that was trained for a moment."""
  folder = tmp_path_factory.mktemp("trained")
  (folder / "my_optimizers.py").write_text(MODULE)
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(folder)
    patch.setattr(sys, "path", list(sys.path))
    status, out, err = tiny_training.run(*BOWL, "--run_dir=run")
  sys.modules.pop("my_optimizers", None)
  assert status == 0, err
  assert "load_optimizer('run/best', 'my_optimizers:plain')" in out
  assert "--optimizer=run/best --user_optimizer=my_optimizers:plain" in out
  return folder


@pytest.fixture(name="best")
def _best(trained, module):
  """The directory of its optimizer, in the current directory."""
  shutil.copytree(trained / "run", module.parent / "run")
  return "run/best"


def test_the_factory_gets_the_seed_and_the_config_is_its_name():
  made = UserOptimizer(name=NAME).build(4)
  (rate,) = made.trainable_variables
  assert float(rate) == np.float32(0.05)
  assert made.config().keys() == {"kind", "sha256"} and made.config()["kind"] == NAME
  assert made.config() == UserOptimizer(name=NAME).build(5).config()


BAD = {
  "my_optimizers:": "module:factory expected, as in my_optimizers:mine, got 'my_optimizers:'",
  "absent:plain": r"no module 'absent' in .* \(for `optimizer`=absent:plain\)",
  "my_optimizers:absent": "my_optimizers.py has no function 'absent'; it has Plain, plain, nothing",
  "my_optimizers:nothing": "returned NoneType, not an Optimizer; let it return",
  "my_optimizers:adam": "has no variables: nothing to learn",
  "my_optimizers:double": "must be of float32, got {'plain/rate:0': 'float64'}",
  "my_optimizers:twins": "need a name each, got plain/",
  "my_optimizers:sums": r"names and shapes of the gradients, {'matrix': \(1, 3, 2\)",
  "my_optimizers:grows": r"a step turns a state \(1, 2\) into one of \(1, 1\)",
  "my_optimizers:branches": r"raised Operator\w+: .*bool.*my_optimizers.py, line 50",
  "my_optimizers:divides": r"ZeroDivisionError: division by zero \(.*my_optimizers.py, line 56\)",
}


@pytest.mark.parametrize("name, message", BAD.items(), ids=BAD)
def test_what_gives_no_optimizer_is_one_line(name, message):
  with pytest.raises(UserCodeError, match=message) as info:
    UserOptimizer(name=name).build(0)
  assert "\n" not in str(info.value)


@pytest.mark.parametrize("problem", ["mnist", "quadratic"])
def test_an_experiment_with_one_survives_a_round_trip(problem):
  """Without what needs independent coordinates, of which nothing is known."""
  experiment = presets.with_optimizer(presets.preset("quick", problem), NAME)
  values = json.loads(json.dumps(experiment.to_dict()))
  assert values["optimizer"] == {"name": NAME}
  assert Experiment.from_dict(values) == experiment
  assert experiment.training.meta_gradient == "full"
  assert experiment.training.imitation_rounds == 0 and experiment.users_optimizer == NAME


@pytest.mark.slow
def test_a_run_is_resumed_with_its_name_and_its_code_alone(best, module):
  status, _, err = tiny_training.run("--resume", "--run_dir=run")
  assert status == 1 and f"was trained on the code {NAME}. Add --optimizer={NAME} if" in err
  resume = ["--resume", "--run_dir=run", f"--optimizer={NAME}", "--test_runs=2"]
  resume.append("--tuning_runs=0")
  status, out, _ = tiny_training.run_eagerly(*resume)
  assert status == 0 and "  learned  " in out
  module.write_text(MODULE.replace("0.5 * state[name] + 0.5", "0.4 * state[name] + 0.6"))
  status, _, err = tiny_training.run(*resume)
  assert status == 1 and "was trained on another version of the optimizer's code" in err
  started = [*BOWL, "--tuning_runs=0", f"--init_from={best}", "--run_dir=next"]
  assert tiny_training.run_eagerly(*started)[0] == 0  # which keeps phi
  assert tiny_training.run(*started, "--run_dir=x", "--optimizer=lstm")[0] == 1


@pytest.mark.slow
def test_its_files_are_loaded_by_those_who_name_the_code(best, module):
  with open(f"{best}/config.json", encoding="utf-8") as file:
    assert json.load(file)["optimizer"]["kind"] == NAME
  for given in (None, "os:getcwd"):
    with pytest.raises(CheckpointError, match=f"{NAME} builds. Add `user_optimizer`={NAME} if"):
      l2l_tf.load_optimizer(best, given)
  optimizer, about = l2l_tf.load_optimizer(best, NAME)
  (rate,) = optimizer.trainable_variables
  assert float(rate) != np.float32(0.01)  # it was trained
  assert about["experiment"]["optimizer"] == {"name": NAME}
  module.write_text(f"{MODULE}# another version\n")
  with pytest.raises(CheckpointError, match=f"another version of the code of {NAME}"):
    l2l_tf.load_optimizer(best, NAME)
  again, _ = l2l_tf.load_optimizer(best, sys.modules["my_optimizers"].plain)
  assert float(again.trainable_variables[0]) == float(rate)
  with pytest.raises(CheckpointError, match="but its config calls for"):
    l2l_tf.load_optimizer(best, lambda seed: optimizers.CoordinatewiseLSTM((2,), seed=seed))


@pytest.mark.slow
@pytest.mark.parametrize("program", ["evaluate", "visualize", "diagnose"])
def test_programs_take_one_with_its_code(program, best, monkeypatch):
  main = programs.load(program).main
  arguments = [f"--optimizer={best}", "--problem=bowl", "--dimensions=3", "--num_steps=4"]
  arguments += {
    "evaluate": ["--num_runs=2", "--tuning_runs=1"],
    "visualize": ["--tuning_runs=1"],
  }.get(program, ["--num_runs=1"])
  assert programs.run(main, *arguments) == 1
  assert programs.run(main, *arguments, f"--user_optimizer={NAME}") == 0


@pytest.mark.slow
def test_in_keras_it_trains_and_a_saved_model_says_what_is_missing(best, tmp_path):
  optimizer, _ = l2l_tf.load_optimizer(best, NAME)
  model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
  model.compile(optimizer=l2l_tf.LearnedOptimizer(optimizer), loss="mse", jit_compile=False)
  x = np.ones((8, 2), np.float32)
  losses = model.fit(x, 3 * x[:, :1], epochs=20, verbose=0).history["loss"]
  assert losses[-1] < losses[0]
  path = os.path.join(tmp_path, "m.keras")
  model.save(path)
  with pytest.raises(CheckpointError, match=f"which the code {NAME} builds; load it with"):
    keras.models.load_model(path)
  model.save_weights(path := os.path.join(tmp_path, "m.weights.h5"))
  model.load_weights(path)
