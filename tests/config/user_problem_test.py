"""Tests of problems named as module:factory: training, resuming, evaluating, errors."""

import functools
import json
import os
import sys

import numpy as np
import pytest

from l2l_tf.cli import experiment_flags
from l2l_tf.config import presets
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.user_code import UserCodeError
from l2l_tf.config.user_problem import UserProblem
from l2l_tf.evaluation import results
from l2l_tf.evaluation.comparison import Comparison
from l2l_tf.storage import optimizer_files
from tests import programs
from tests import tiny_training

evaluate = programs.load("evaluate")
one_rival = functools.partial(Comparison, rivals=("sgd",))
MODULE = """
import numpy as np
import tensorflow as tf
from l2l_tf import problems

number = 3

def init(seed):
  return {"x": tf.random.stateless_normal([number], seed)}

def loss(params, task, seed):
  return tf.reduce_mean((params["x"] - 2.0) ** 2)

def parabola():
  return problems.from_function(init, loss)

def nothing():
  pass

def fails():
  return problems.from_function(init, lambda params, task, seed: params["x"])

def divides():
  return 1 / 0

def branches():
  return problems.Problem(lambda seed: (init(seed), {}), lambda params, task, seed: (
    params["x"][0] if params["x"][0] > 0 else params["x"][1]))

def vector():
  return problems.Problem(lambda seed: (init(seed), {}), lambda params, task, seed: params["x"])

def lifted(loss):
  values = lambda params, tasks, seeds: loss(params["x"])
  single = lambda params, task, seed: tf.reduce_sum(params["x"])
  return problems.Problem(lambda seed: (init(seed), {}), single, values)

def lifted_branches():
  return lifted(lambda x: x[0] if x[0] > 0 else x[1])

def lifted_scalar():
  return lifted(tf.reduce_sum)

def misses():
  def loss(params, task, seed):
    return (
      params["nothing"])
  return problems.from_function(init, loss)

def empty():
  return problems.Problem(lambda seed: ({}, {}), lambda params, task, seed: 0.0)

def doubles():
  return problems.from_function(
    lambda seed: {"x": np.zeros(3)}, lambda params, task, seed: tf.reduce_sum(params["x"] ** 2))

def labels():
  import keras
  make = lambda: keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  return problems.from_keras(make, loss, (np.zeros([9, 5], "f4"), np.arange(9) // 2))

def draws():
  return problems.from_function(
    init, lambda params, task, seed: tf.reduce_sum(params["x"] * np.random.normal()))
"""


@pytest.fixture(name="module", autouse=True)
def _module(tmp_path, monkeypatch):
  """A module of a user's in the current directory, imported anew in each test."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, "path", list(sys.path))
  (tmp_path / "my_problems.py").write_text(MODULE)
  yield tmp_path / "my_problems.py"
  for name in ("my_problems", "broken", "needs", "mine", "mine.inside", "helper"):
    sys.modules.pop(name, None)


def test_the_factory_is_called():
  problem, source = UserProblem(name="my_problems:parabola").build()
  params, _ = problem.init([1, 2])
  assert params["x"].shape == (3,)
  assert float(problem.loss({"x": params["x"] * 0}, {}, [1, 2])) == 4.0
  assert source.startswith("my_problems:parabola, my_problems.py sha256 ")


def test_a_changed_file_is_another_problem(module):
  _, before = UserProblem(name="my_problems:parabola").build()
  module.write_text(MODULE.replace("number = 3", "number = 4"))
  _, after = UserProblem(name="my_problems:parabola").build()
  assert before != after


IMPORTS = {  # what my_problems.py imports, and the user's files behind it
  "import helper": ["helper.py"],
  "from mine.inside import number as _": ["mine/inside.py", "mine/__init__.py", "helper.py"],
}


@pytest.mark.parametrize("line", IMPORTS)
def test_a_change_of_what_it_imports_is_another_problem(module, line):
  """Of the user's; a file that is not imported, and our own and others' modules, do not count."""
  (module.parent / "mine").mkdir()
  (module.parent / "mine" / "__init__.py").write_text("")
  (module.parent / "mine" / "inside.py").write_text("import helper\nnumber = 3\n")
  (module.parent / "helper.py").write_text("import numpy, l2l_tf\n")
  (module.parent / "other.py").write_text("")
  module.write_text(f"{line}\n{MODULE}")
  _, before = UserProblem(name="my_problems:parabola").build()
  (module.parent / "other.py").write_text("x = 1\n")
  assert UserProblem(name="my_problems:parabola").build()[1] == before
  for name in IMPORTS[line]:
    path = module.parent / name
    text = path.read_text()
    path.write_text(text + "x = 1\n")
    assert UserProblem(name="my_problems:parabola").build()[1] != before
    path.write_text(text)
  assert UserProblem(name="my_problems:parabola").build()[1] == before


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_an_experiment_survives_a_round_trip(preset):
  experiment = presets.preset(preset, "my_problems:parabola")
  values = json.loads(json.dumps(experiment.to_dict()))
  assert values["problem"] == {"name": "my_problems:parabola"}
  assert Experiment.from_dict(values) == experiment
  assert experiment.training == presets.PRESETS[preset]["mnist"].training


BAD = {
  "my_problems:": "module:factory expected, as in my_problems:mine, got 'my_problems:'",
  ":parabola": "module:factory expected",
  "my_problems:a b": "module:factory expected",
  "absent:parabola": "There is no module 'absent' in .* put that into PYTHONPATH",
  "os.absent:parabola": "There is no module 'os.absent'|'os' is not a package",
  "my_problems:absent": "my_problems.py has no function 'absent'; it has init, loss, parabola",
  "my_problems:number": "no function 'number'",
  "my_problems:nothing": "returned NoneType, not a Problem; .* problems.from_function",
  "my_problems:fails": r"raised ValueError: The loss must be a scalar .*my_problems.py, line 21",
  "my_problems:divides": r"raised ZeroDivisionError: division by zero \(.*my_problems.py, line 24",
  "my_problems:branches": r"raised Operator\w+: .*bool.*my_problems.py, line 28",
  "my_problems:vector": r"raised ValueError: The loss must be a scalar tensor, got shape \(3,\)",
  "my_problems:lifted_branches": r"raised Operator\w+: .*bool.*my_problems.py, line 39",
  "my_problems:lifted_scalar": r"ValueError: lifted_loss must return \[B\] of float32s, got",
  "my_problems:misses": r"raised KeyError: 'nothing' \(.*my_problems.py, line 4[67]\)",
  "my_problems:empty": "raised ValueError: There is nothing to optimize",
  "my_problems:labels": "raised ValueError: Keras cannot .* y: int64 .* 0 to 4.* label value of 4 ",
  "my_problems:draws": "raised ValueError: loss is another function each time it is traced",
  "my_problems:doubles": "must be of float32, got {'x': 'float64'}; use `np.float32`",
  "broken:parabola": "cannot be imported: SyntaxError: .*broken.py, line 1",
  "needs:parabola": "cannot be imported: ModuleNotFoundError: No module named 'absent'.*line 1",
}


@pytest.mark.parametrize("name, message", BAD.items(), ids=BAD)
def test_what_gives_no_problem_is_one_line(name, message, module):
  (module.parent / "broken.py").write_text("def parabola(\n")
  (module.parent / "needs.py").write_text("import absent\n")
  with pytest.raises(UserCodeError, match=message) as info:
    UserProblem(name=name).build()
  assert "\n" not in str(info.value)


def test_the_line_named_is_the_users_wherever_the_program_runs(module, monkeypatch):
  monkeypatch.syspath_prepend(module.parent)
  monkeypatch.chdir(programs.ROOT)
  with pytest.raises(UserCodeError, match=r"scalar .*\(.*my_problems.py, line 21\)"):
    UserProblem(name="my_problems:fails").build()


def test_the_command_line_takes_a_name_with_a_colon_only():
  flags = experiment_flags.Flags("What it does.")
  experiment_flags.add_experiment(flags)
  with pytest.raises(experiment_flags.UsageError, match="mnist.*MODULE:FACTORY"):
    flags.parse(["program", "--problem=my_problems"])
  flags.parse(["program", "--problem=my_problems:parabola", "--num_steps=200"])
  experiment = experiment_flags.experiment(flags)
  assert experiment.problem == UserProblem(name="my_problems:parabola")
  assert experiment.training.num_steps == 200
  flags.parse(["program", "--problem=my_problems:parabola", "--hidden=40"])
  with pytest.raises(experiment_flags.UsageError, match="--hidden does not apply"):
    experiment_flags.experiment(flags)


@pytest.mark.slow
def test_train_resume_and_evaluate(module, monkeypatch):
  monkeypatch.setattr(programs.work("evaluate"), "Comparison", one_rival)
  problem = "--problem=my_problems:parabola"
  status, out, _ = tiny_training.run_eagerly(problem, *tiny_training.TINY, "--num_epochs=1")
  assert status == 0 and "Data: my_problems:parabola, my_problems.py sha256" in out
  (directory,) = os.listdir("runs")
  assert directory.startswith("my_problems-parabola-")
  directory = os.path.join("runs", directory)
  with open(f"{directory}/config.json", encoding="utf-8") as file:
    assert json.load(file)["experiment"]["problem"] == {"name": "my_problems:parabola"}
  _, about = optimizer_files.load_optimizer(f"{directory}/best")
  assert about["experiment"]["problem"] == {"name": "my_problems:parabola"}
  status, _, err = tiny_training.run("--resume", f"--run_dir={directory}")
  assert status == 1 and "Add --problem=my_problems:parabola if you trust it" in err
  resume = ["--resume", f"--run_dir={directory}", problem, "--test_runs=2"]
  status, out, _ = tiny_training.run_eagerly(*resume)
  assert status == 0 and "  learned  " in out
  arguments = [problem, "--num_steps=4", "--num_runs=3", "--tuning_runs=1"]
  arguments.append(f"--optimizer=mine={directory}/best")
  assert programs.run(evaluate.main, *arguments) == 0
  written = results.read("runs/results/my_problems-parabola_4.json")
  assert written["problem"] == {"name": "my_problems:parabola"}
  assert np.all(np.isfinite(written["optimizers"]["mine"]["mean"]))
  module.write_text(MODULE.replace("number = 3", "number = 4"))
  status, _, err = tiny_training.run(*resume)
  assert status == 1 and "was trained on 'my_problems:parabola" in err


@pytest.mark.parametrize("program", ["train", "evaluate"])
def test_the_programs_end_in_one_line(program, capsys):
  module = tiny_training.train if program == "train" else evaluate
  assert programs.run(module.main, "--problem=my_problems:nothing") == 1
  lines = capsys.readouterr().err.strip().splitlines()  # evaluate.py has begun its progress bar
  assert lines[-1].startswith("program: my_problems:nothing returned NoneType, not a Problem")
