"""`LearnedOptimizer()` on TensorFlow, JAX and PyTorch: the same cases, the same numbers.

A process has one backend of Keras, so each runs tests/keras/any_backend.py in one of its own.
"""

import functools
import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests import sources

pytestmark = pytest.mark.slow
BACKENDS = ("tensorflow", "jax", "torch")
EARLIER = sources.ROOT / "tests" / "keras" / "saved_by_an_earlier_version.keras"  # of 3046867
ATOL = {
  "variables_of_other_float_types": 0.02,
  "bfloat16_states": 1e-3,
  # Many steps; orthogonal updates enlarge what rounding leaves in small singular values.
  "fit_learns": 1e-3,
}


def run(backend: str, out: pathlib.Path, *arguments: object) -> subprocess.CompletedProcess:
  """Runs the cases, or what `arguments` say, on a backend."""
  if not importlib.util.find_spec(backend):
    pytest.skip(f'{backend} is not installed: python -m pip install "l2l_tf[{backend}]"')
  environment = os.environ | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
  environment["XLA_FLAGS"] = ""  # compiled as for users: the bounds are of their numbers
  if backend == "jax":  # which compiles the same for one optimizer after the other
    environment |= {
      "JAX_COMPILATION_CACHE_DIR": str(out.parent / "jax"),
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
  command = [sys.executable, "-m", "tests.keras.any_backend", str(out), *map(str, arguments)]
  found = subprocess.run(command, cwd=sources.ROOT, env=environment, capture_output=True, text=True)
  assert found.returncode == 0, found.stderr[-3000:]
  return found


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
  return tmp_path_factory.mktemp("backends")


@pytest.fixture(name="reference", scope="module")
def _reference(folder):
  """The weights that each case ends with on TensorFlow."""
  return cases("tensorflow", folder)


@functools.cache
def cases(backend, folder):
  """The weights that each case ends with; a training is saved."""
  run(backend, folder / f"cases_{backend}.npz", f"--save={folder}")
  return np.load(folder / f"cases_{backend}.npz")


@functools.cache
def continued(backend, folder):
  """The weights that what is saved ends with: by an earlier version, and on the other backends."""
  saved = [EARLIER, *(path for path in sorted(folder.glob("*.keras")) if path.stem != backend)]
  run(backend, folder / f"continued_{backend}.npz", *(f"--continue={path}" for path in saved))
  return np.load(folder / f"continued_{backend}.npz")


@pytest.fixture(name="saved", scope="module")
def _saved(folder):
  """Each backend that is installed has saved its training."""
  for backend in BACKENDS:
    if importlib.util.find_spec(backend):
      cases(backend, folder)


def assert_goes_on(found, path, rtol=0.0):
  """From a file, as where it was saved, 48 steps on."""
  expected = np.load(path.with_suffix(".npz"))
  for k, name in enumerate(expected.files):
    actual = found[f"{path.stem}:{k}"]
    np.testing.assert_allclose(actual, expected[name], rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_every_case_ends_with_the_weights_that_it_has_on_tensorflow(folder, reference, backend):
  found = cases(backend, folder)
  missing = {name.split(":")[0] for name in reference.files} - {
    name.split(":")[0] for name in found.files
  }
  assert missing <= ({"frozen_layers_rest_and_may_be_unfrozen"} if backend == "jax" else set())
  assert len(found.files) > 80
  for name in found.files:
    atol = ATOL.get(name.split(":")[0], 1e-5)
    np.testing.assert_allclose(found[name], reference[name], rtol=1e-5, atol=atol, err_msg=name)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_saved_by_an_earlier_version_goes_on(folder, backend):
  assert_goes_on(continued(backend, folder), EARLIER)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_saved_on_one_goes_on_on_another(folder, backend):
  others = [path for path in sorted(folder.glob("*.keras")) if path.stem != backend]
  assert others
  for path in others:
    assert_goes_on(continued(backend, folder), path, rtol=1e-5)  # as every case above has it
