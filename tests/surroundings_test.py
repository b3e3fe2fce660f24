"""Tests of l2l_tf/surroundings.py: what lies around a script, or is set, and breaks no import."""

import importlib
import os
import subprocess
import sys

import pytest

from l2l_tf import code
from l2l_tf import surroundings
from tests import sources

OURS = {name.split(".")[1] for name in sources.read() if name.startswith("l2l_tf.")}
TOP = {"bin", "benchmarks", "examples", "problems", "setup", "tests"}
SCRIPT = "import l2l_tf, l2l_tf.problems.base as base\nprint(len(l2l_tf.pretrained.list()), base)\n"


def python(folder, **environment):
  """Runs a script in `folder`; returns its status and the last lines of its output and errors."""
  (folder / "main.py").write_text(SCRIPT)
  environment = {**os.environ, "PYTHONPATH": str(sources.ROOT), **environment}
  command = [sys.executable, "main.py"]
  run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
  return run.returncode, *(text.strip().splitlines()[-1:] for text in (run.stdout, run.stderr))


@pytest.mark.slow
def test_files_of_a_user_with_names_of_ours_are_not_imported(tmp_path):
  """All rooms and modules of the library, and all that lies at the top beside it."""
  modules = {name.split(".")[-1] for name in sources.read() if name.startswith("l2l_tf.")}
  names = (modules | OURS | TOP) - {
    "keras",
    "optax",
    "torch",
    "code",
  }  # packages; Python's own code
  assert {"problems", "optimizers", "plotting", "config", "files", "base", "vgg"} < names
  for name in names:
    (tmp_path / f"{name}.py").write_text("raise RuntimeError(__file__)\n")
  status, out, err = python(tmp_path)
  assert status == 0, err
  assert "l2l_tf.problems.base" in out[0]


@pytest.mark.parametrize("name, form", [("keras", "{}.py"), ("sonnet", "{}/__init__.py")])
def test_a_file_in_the_place_of_a_package_is_named(tmp_path, name, form):
  path = tmp_path / form.format(name)
  path.parent.mkdir(exist_ok=True)
  path.write_text("mine = 1\n")
  status, _, err = python(tmp_path)
  assert status == 1
  assert err[0].startswith(f"ImportError: {path} stands in the place of the package {name}")


def test_everything_needed_is_in_the_table():
  """What the modules that `import l2l_tf` runs import of others, but for Python's own."""
  ran = set(code.followed(["l2l_tf"], lambda name, path: name.startswith("l2l_tf")))
  others = {other for name in ran for other in sources.read()[name].others}
  optional = {"skimage", "tensorflow_datasets", "h5py", "ml_dtypes", "PIL", "jax", "torch"}
  assert others - optional - sys.stdlib_module_names - {"l2l_tf"} == set(surroundings.NEEDED)


@pytest.mark.parametrize("name, module", [("train", "scipy.stats"), ("art", "PIL")])
def test_a_missing_package_says_which_extra_brings_it(monkeypatch, name, module):
  monkeypatch.setitem(sys.modules, module, None)
  how = f'python -m pip install "l2l_tf[{name}]"'
  with pytest.raises(surroundings.MissingPackage) as info, surroundings.extra(name):
    importlib.import_module(module)
  assert str(info.value) == f"The package {module} is not installed: {how}"
  with pytest.raises(KeyError), surroundings.extra(name):  # what is no such error passes
    raise KeyError(name)


def test_problems_say_which_extra_they_need():
  code = "import sys; sys.modules['sonnet'] = None; import l2l_tf; l2l_tf.problems"
  environment = {**os.environ, "PYTHONPATH": str(sources.ROOT)}
  run = subprocess.run(
    [sys.executable, "-c", code], env=environment, capture_output=True, text=True
  )
  assert 'sonnet is not installed: python -m pip install "l2l_tf[tensorflow]"' in run.stderr


def test_a_backend_that_is_not_there_is_named(tmp_path):
  status, _, err = python(tmp_path, KERAS_BACKEND="nosuch")
  assert status == 1
  assert err[0].startswith("ImportError: Keras cannot be imported: ")
  assert "set KERAS_BACKEND to the one that is installed" in err[0]


def test_programs_start_whatever_is_set_for_keras():
  """Neither that backend nor tf_keras is installed."""
  command = [sys.executable, str(sources.ROOT / "bin" / "train.py"), "--help"]
  environment = {**os.environ, "PYTHONPATH": str(sources.ROOT)}
  environment |= {"KERAS_BACKEND": "nosuch", "TF_USE_LEGACY_KERAS": "1"}
  run = subprocess.run(command, env=environment, capture_output=True, text=True)
  assert run.returncode == 0 and "--optimizer" in run.stdout, run.stderr[-2000:]
