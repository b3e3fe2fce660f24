"""A wheel, built and installed in environments of its own: used from a folder without a checkout.

An environment has what the wheel or one of its extras requires, with what that requires in turn,
and nothing else. It is taken from the environment of the tests, so no network is needed.
"""

import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

from packaging.requirements import Requirement
import pytest

from l2l_tf.inspection import sweep_files
from tests import sources
from tests import tensorboard_server
from tests.view import documents

pytestmark = pytest.mark.slow
FIT = """
import keras, numpy as np, l2l_tf, problems
from problems.base import Stream
assert "site-packages" in l2l_tf.__file__, l2l_tf.__file__
assert Stream is l2l_tf.problems.base.Stream and problems.base is l2l_tf.problems.base
assert problems.load("mnist", source="bundled").images.shape == (5000, 28, 28, 1)
keras.utils.set_random_seed(0)
model = keras.Sequential([
  keras.layers.Dense(20, activation="sigmoid"), keras.layers.Dense(3, activation="softmax")
])
model.compile(optimizer=l2l_tf.LearnedOptimizer(), loss="sparse_categorical_crossentropy")
x = np.random.default_rng(0).uniform(size=(640, 30)).astype("float32")
losses = model.fit(x, x[:, :3].argmax(1), epochs=5, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
print("It fits.")
"""
ANYWHERE = """
import sys, keras, numpy as np, l2l_tf
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.layers.Dense(20, activation="relu"), keras.layers.Dense(1)])
model.compile(optimizer=l2l_tf.LearnedOptimizer(), loss="mse")
x = np.random.default_rng(0).uniform(size=(640, 5)).astype("float32")
losses = model.fit(x, x[:, :1] ** 2, epochs=5, verbose=0).history["loss"]
assert losses[-1] < 0.5 * losses[0], losses
assert not {"sonnet", "pydantic"} & sys.modules.keys()
assert ("tensorflow" in sys.modules) == (keras.config.backend() == "tensorflow")
print(keras.config.backend(), "fits.")
"""


def _try(*command, cwd, backend: str = "") -> subprocess.CompletedProcess:
  """Runs a command away from the checkout."""
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  environment |= {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
  environment |= {"KERAS_BACKEND": backend} if backend else {}
  return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def _run(*command, cwd, backend: str = "") -> str:
  """Runs a command that must do well; returns what it prints."""
  run = _try(*command, cwd=cwd, backend=backend)
  assert run.returncode == 0, (command, run.stdout[-2000:], run.stderr[-3000:])
  return run.stdout


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory):
  folder = tmp_path_factory.mktemp("wheel")
  for name in ("l2l_tf", "problems"):
    shutil.copytree(sources.ROOT / name, folder / "source" / name)
  for name in ("setup.py", "l2l_tf_tensorboard.py", "pyproject.toml", "LICENSE"):
    shutil.copy(sources.ROOT / name, folder / "source")
  pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
  _run(*pip, f"--wheel-dir={folder}", folder / "source", cwd=folder)
  (path,) = folder.glob("*.whl")
  return path


def _required(wheel, extra: str) -> list[importlib.metadata.Distribution]:
  """What the wheel with an extra ("" for none) requires, and what that requires in turn."""
  (info,) = (path for path in zipfile.Path(wheel).iterdir() if path.name.endswith(".dist-info"))
  found, waiting = {}, [(importlib.metadata.PathDistribution(info), {extra})]
  while waiting:
    distribution, extras = waiting.pop()
    for text in distribution.requires or []:
      needed = Requirement(text)
      wanted = [{"extra": e} for e in extras or {""}]
      key = (needed.name, *sorted(needed.extras))
      if key in found or (needed.marker and not any(map(needed.marker.evaluate, wanted))):
        continue
      found[key] = importlib.metadata.distribution(needed.name)
      waiting.append((found[key], needed.extras))
  return list(found.values())


def _install(wheel, extra: str, folder: pathlib.Path) -> pathlib.Path:
  """Makes an environment in `folder`; returns the folder of its programs."""
  others = folder / "others"
  others.mkdir()
  for distribution in _required(wheel, extra):
    for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
      if not (others / top).exists():
        (others / top).symlink_to(distribution.locate_file(top))
  _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
  programs = folder / ("Scripts" if os.name == "nt" else "bin")
  own = _run(programs / "python", "-c", "import site; print(site.getsitepackages()[0])", cwd=folder)
  pathlib.Path(own.strip(), "tests.pth").write_text(str(others), encoding="utf-8")
  install = ("install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel)
  _run(sys.executable, "-m", "pip", "--python", programs / "python", *install, cwd=folder)
  return programs


@pytest.fixture(name="bare", scope="module")
def _bare(wheel, tmp_path_factory):
  return _install(wheel, "", tmp_path_factory.mktemp("bare"))


@pytest.fixture(name="tensorflow", scope="module")
def _tensorflow(wheel, tmp_path_factory):
  return _install(wheel, "tensorflow", tmp_path_factory.mktemp("tensorflow"))


@pytest.fixture(name="train", scope="module")
def _train(wheel, tmp_path_factory):
  return _install(wheel, "train", tmp_path_factory.mktemp("train"))


def test_the_wheel_holds_the_problems_once(wheel):
  names = zipfile.ZipFile(wheel).namelist()
  assert "l2l_tf/problems/base.py" in names and "l2l_tf/cli/train.py" in names
  assert {"l2l_tf/problems/digits/LICENSE.txt", "l2l_tf/optimizers/lstm_kernel.cc"} < {*names}
  assert {"l2l_tf/view/assets/view.js", "l2l_tf/view/assets/page.html"} < {*names}
  assert [n for n in names if n.startswith("problems/")] == ["problems/__init__.py"]
  assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "bin/"))]


def test_an_extra_brings_what_its_name_says(wheel):
  bare, tensorflow, jax, torch, train, data, art, dev = (
    {distribution.name.lower() for distribution in _required(wheel, extra)}
    for extra in ("", "tensorflow", "jax", "torch", "train", "data", "art", "dev")
  )
  assert {"keras", "numpy", "safetensors"} < bare
  assert {"tensorflow", "dm-sonnet", "pydantic"} < tensorflow and {"jax", "optax"} < jax
  assert not bare & {"tensorflow", "dm-sonnet", "pydantic", "jax", "torch"} and "torch" in torch
  others = {"matplotlib", "scipy", "tensorboard", "tqdm", "pandas", "scikit-learn", "mlxtend"}
  others |= {"tensorflow-datasets", "scikit-image", "pillow", "pytest"}
  assert not bare & others and "mlxtend" not in train | art
  assert {"matplotlib", "plotly", "scipy", "tensorboard", "tqdm"} < train
  assert tensorflow < train < art
  assert {"tensorflow-datasets", "mlxtend", "scikit-learn"} < data
  assert {"scikit-image", "pillow"} < art and bare | train | data | art | jax | torch < dev


def test_one_line_of_keras_and_a_problem_on_tensorflow(tensorflow, tmp_path):
  assert "It fits." in _run(tensorflow / "python", "-c", FIT, cwd=tmp_path)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_one_line_of_keras_needs_the_backend_alone(request, wheel, tmp_path, backend):
  try:
    if backend == "tensorflow":
      programs = request.getfixturevalue("tensorflow")
    else:
      programs = _install(wheel, backend, tmp_path)
  except importlib.metadata.PackageNotFoundError as error:
    pytest.skip(f'{error} is not installed: python -m pip install "l2l_tf[{backend}]"')
  out = _run(programs / "python", "-c", ANYWHERE, cwd=tmp_path, backend=backend)
  assert f"{backend} fits." in out


@pytest.mark.parametrize("name", sorted(path.stem for path in (sources.ROOT / "bin").glob("*.py")))
def test_every_program_has_a_console_script(bare, name):
  assert (bare / f"l2l-{name}").is_file()


@pytest.mark.parametrize("name", ["train", "style"])
def test_a_program_says_which_extra_it_needs(bare, tmp_path, name):
  run = _try(bare / f"l2l-{name}", cwd=tmp_path)
  line = r"\S+: The package \w+ is not installed: python -m pip install "
  line += re.escape('"l2l_tf[train]"\n')
  assert run.returncode == 1 and re.fullmatch(line, run.stderr), run.stderr[-3000:]


def test_a_console_script_trains(train, tmp_path):
  tiny = ["--num_epochs=1", "--episodes_per_epoch=1", "--num_steps=4", "--unroll_length=2"]
  tiny += ["--num_tasks=2", "--validation_runs=2", "--tuning_runs=0", "--test_runs=2"]
  tiny += ["--problem=mnist", "--data=bundled", "--run_dir=run"]
  assert "Trained 1 of at most 1 epochs" in _run(train / "l2l-train", *tiny, cwd=tmp_path)
  assert (tmp_path / "run" / "best" / "optimizer.safetensors").is_file()


def test_an_installed_tensorboard_has_our_tab(train, tmp_path):
  sweep_files.write(str(tmp_path / "run"), documents.make(3))
  program = [str(train / "python"), "-m", "tensorboard.main"]
  with tensorboard_server.serving(tmp_path, program) as address:
    listed = tensorboard_server.get(f"{address}/data/plugins_listing")["l2l_tf"]
    assert listed["enabled"] and listed["tab_name"] == "Learned optimizer"
    found = tensorboard_server.get(f"{address}/data/plugin/l2l_tf/document", run="run", epoch=3)
    assert found == documents.make(3)
    entry = tensorboard_server.get(f"{address}/data/plugin_entry.html", name="l2l_tf")
    assert b"./tab.js" in entry
