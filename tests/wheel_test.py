"""A wheel, built and installed in an environment of its own: used from a folder without a checkout.

What l2l_tf needs is taken from the environment of the tests, so no network is needed.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests import sources

pytestmark = pytest.mark.slow
FIT = """
import keras, numpy as np, l2l_tf, problems
from problems.base import Stream
assert "site-packages" in l2l_tf.__file__, l2l_tf.__file__
assert Stream is l2l_tf.problems.base.Stream and problems.base is l2l_tf.problems.base
keras.utils.set_random_seed(0)
model = keras.Sequential([
  keras.layers.Dense(20, activation="sigmoid"), keras.layers.Dense(3, activation="softmax")
])
loss = "sparse_categorical_crossentropy"
model.compile(optimizer=l2l_tf.LearnedOptimizer("mnist_lstm"), loss=loss)
x = np.random.default_rng(0).uniform(size=(640, 30)).astype("float32")
losses = model.fit(x, x[:, :3].argmax(1), epochs=5, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
print("It fits.")
"""


def _run(*command, cwd) -> str:
  """Runs a command away from the checkout; returns what it prints."""
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  environment |= {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
  run = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
  assert run.returncode == 0, (command, run.stdout[-2000:], run.stderr[-3000:])
  return run.stdout


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory):
  folder = tmp_path_factory.mktemp("wheel")
  for name in ("l2l_tf", "problems"):
    shutil.copytree(sources.ROOT / name, folder / "source" / name)
  for name in ("setup.py", "pyproject.toml", "LICENSE"):
    shutil.copy(sources.ROOT / name, folder / "source")
  pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
  _run(*pip, f"--wheel-dir={folder}", folder / "source", cwd=folder)
  (path,) = folder.glob("*.whl")
  return path


@pytest.fixture(name="programs", scope="module")
def _programs(wheel, tmp_path_factory):
  """The folder of the programs of an environment that has the wheel."""
  folder = tmp_path_factory.mktemp("environment")
  _run(sys.executable, "-m", "venv", folder, cwd=folder)
  programs = folder / ("Scripts" if os.name == "nt" else "bin")
  own = _run(programs / "python", "-c", "import site; print(site.getsitepackages()[0])", cwd=folder)
  with open(os.path.join(own.strip(), "tests.pth"), "w", encoding="utf-8") as file:
    file.write(sysconfig.get_path("purelib"))
  install = ("install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel)
  _run(programs / "python", "-m", "pip", *install, cwd=folder)
  return programs


def test_the_wheel_holds_the_problems_once(wheel):
  names = zipfile.ZipFile(wheel).namelist()
  assert "l2l_tf/problems/base.py" in names and "l2l_tf/cli/train.py" in names
  assert [n for n in names if n.startswith("problems/")] == ["problems/__init__.py"]
  assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "bin/"))]


def test_a_learned_optimizer_fits(programs, tmp_path):
  assert "It fits." in _run(programs / "python", "-c", FIT, cwd=tmp_path)


def test_a_console_script_trains(programs, tmp_path):
  tiny = ["--num_epochs=1", "--episodes_per_epoch=1", "--num_steps=4", "--unroll_length=2"]
  tiny += ["--num_tasks=2", "--validation_runs=2", "--tuning_runs=0", "--test_runs=2"]
  out = _run(programs / "l2l-train", "--problem=bowl", "--run_dir=run", *tiny, cwd=tmp_path)
  assert "Trained 1 of at most 1 epochs" in out
  assert (tmp_path / "run" / "best" / "optimizer.safetensors").is_file()


@pytest.mark.parametrize("name", sorted(path.stem for path in (sources.ROOT / "bin").glob("*.py")))
def test_every_program_has_a_console_script(programs, name):
  assert (programs / f"l2l-{name}").is_file()
