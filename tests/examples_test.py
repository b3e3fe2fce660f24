"""The programs in examples/ run, and what they promise comes true."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from examples import own_function
from examples import own_keras_model
from examples import own_optimizer
from examples import pretrained_in_fit
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.problems.base import Stream
from tests import sources

HERE = pathlib.Path(pretrained_in_fit.__file__).parent


OTHERS = {"fit_on_jax": "jax", "optax_loop": "jax", "torch_loop": "torch"}


def test_these_are_all():
  names = {path.stem for path in HERE.glob("*.py")}
  ours = {"own_function", "own_keras_model", "own_optimizer", "pretrained_in_fit"}
  assert names == ours | set(OTHERS)


@pytest.mark.slow
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


def test_an_optimizer_of_ones_own():
  """In few lines; its meta-training begins with plain steps against the averaged gradient."""
  lines = pathlib.Path(own_optimizer.__file__).read_text().split('"""', 2)[2].splitlines()
  assert len([line for line in lines if line]) <= 40
  problem, optimizer = problems.bowl(3), own_optimizer.tiny(0)
  seeds = problem.seeds(0, Stream.TEST, count=5)
  losses = unroll.rollout(problem, optimizer, seeds, num_steps=100)
  assert losses.shape == (101, 5) and np.all(losses[-1] < 0.1 * losses[0])


@pytest.mark.slow
def test_an_optimizer_for_a_bare_function():
  learned, tuned = own_function.main().values()
  assert learned < tuned < 0.02


@pytest.mark.slow
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
