"""The programs in examples/ run, and what they promise comes true."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import warnings

import pytest

from examples import own_function
from examples import own_keras_model
from examples import pretrained_in_fit
from tests import sources

HERE = pathlib.Path(pretrained_in_fit.__file__).parent


OTHERS = {"fit_on_jax": "jax", "optax_loop": "jax", "torch_loop": "torch"}


def test_these_are_all():
  names = {path.stem for path in HERE.glob("*.py")}
  assert names == {"own_function", "own_keras_model", "pretrained_in_fit", *OTHERS}


def test_a_pretrained_optimizer_in_fit(capsys):
  with warnings.catch_warnings():
    warnings.simplefilter("error")  # none on its own ground
    losses = pretrained_in_fit.main()
  assert losses["learned"] < 0.4 < 1 < losses["Adam"]
  assert f"loss {losses['Adam']:.3f}" in capsys.readouterr().out


@pytest.mark.slow
def test_an_optimizer_for_ones_own_keras_model():
  learned, adam, tuned = own_keras_model.main().values()
  assert learned < 1.0 < 2.0 < adam
  assert tuned < 1.0


@pytest.mark.slow
def test_an_optimizer_for_a_bare_function():
  learned, tuned = own_function.main().values()
  assert learned < tuned < 0.02


@pytest.mark.parametrize("name, framework", OTHERS.items())
def test_without_tensorflow(name, framework):
  """Each in a process of its own, where another framework is Keras's, or none."""
  if not importlib.util.find_spec(framework):
    pytest.skip(f'{framework} is not installed: python -m pip install "l2l_tf[{framework}]"')
  environment = os.environ | {"PYTHONPATH": str(sources.ROOT), "CUDA_VISIBLE_DEVICES": ""}
  environment.pop("KERAS_BACKEND", None)
  command = [sys.executable, HERE / f"{name}.py"]
  run = subprocess.run(command, env=environment, capture_output=True, text=True)
  assert run.returncode == 0, run.stderr[-3000:]
  learned, adam = map(float, re.findall(r"loss (\S+)", run.stdout))
  assert learned < 0.7 * adam
