"""The programs in examples/ run, and what they promise comes true."""

import pathlib
import warnings

import pytest

from examples import own_function
from examples import own_keras_model
from examples import pretrained_in_fit

HERE = pathlib.Path(pretrained_in_fit.__file__).parent


def test_these_are_all():
  names = {path.stem for path in HERE.glob("*.py")}
  assert names == {"own_function", "own_keras_model", "pretrained_in_fit"}


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
