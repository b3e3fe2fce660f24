"""Celo and Celo-Adam against trajectories of the original code.

The goldens are of the repository amoudgl/celo at 66d9761, its own classes on CPU in float32: four
problems, 30 updates each, for horizons of 30 and 1,000 steps.
"""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.zoo.ports import celo

HERE = pathlib.Path(__file__).parent
KINDS = {"celo": celo.Celo, "celo_adam": celo.CeloAdam}
PROBLEMS = ("mlp", "quadratic", "shapes", "replay")
TOLERANCE = 1e-4
STEPS = 30


def golden(name: str) -> dict[str, np.ndarray]:
  with np.load(HERE / f"{name}_golden.npz", allow_pickle=False) as archive:
    return {key: archive[key] for key in archive}


def part(values: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
  return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("horizon", [30, 1000])
@pytest.mark.parametrize("name", KINDS)
def test_it_takes_the_steps_of_the_original(name, horizon, problem):
  saved = part(golden(name), f"{problem}/{horizon}/")
  params, grads = part(saved, "params/"), part(saved, "grads/")
  variables = {key: keras.Variable(value[0], name=key) for key, value in params.items()}
  optimizer = KINDS[name](horizon)
  optimizer.build(list(variables.values()))

  @tf.function
  def step(loss, gradients):
    optimizer.scale_loss(loss)
    optimizer.apply([gradients[key] for key in variables], list(variables.values()))

  for t in range(STEPS):
    step(tf.constant(saved["losses"][t]), {key: tf.constant(grads[key][t]) for key in variables})
    for key, variable in variables.items():
      np.testing.assert_allclose(
        variable.numpy(), params[key][t + 1], rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"{key} {t}"
      )
  hidden, cell = (optimizer._schedule[key].numpy() for key in ("hidden", "cell"))
  np.testing.assert_allclose(hidden, saved["lstm/hidden"], atol=1e-3)
  np.testing.assert_allclose(cell, saved["lstm/cell"], atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_scheduler_gives_the_factors_of_the_original(name):
  for problem in PROBLEMS:
    for horizon in (30, 1000):
      saved = part(golden(name), f"{problem}/{horizon}/")
      optimizer = KINDS[name](horizon)
      optimizer.build([keras.Variable([0.0])])
      factors = []
      for loss in saved["losses"][:STEPS]:
        factors.append(float(optimizer.schedule(tf.constant(loss))))
        optimizer.iterations.assign_add(1)
      np.testing.assert_allclose(factors, saved["lr_mult"], rtol=5e-4, err_msg=problem)


@pytest.mark.slow
def test_statistics_are_those_of_the_original():
  saved = part(golden("celo"), "shapes/30/")
  params, grads = part(saved, "params/"), part(saved, "grads/")
  variables = {key: keras.Variable(value[0], name=key) for key, value in params.items()}
  optimizer = celo.Celo(30)
  optimizer.build(list(variables.values()))
  for t in range(STEPS):
    optimizer.scale_loss(tf.constant(saved["losses"][t]))
    optimizer.apply([tf.constant(grads[key][t]) for key in variables])
  for k, key in enumerate(variables):
    for kept, states in (("m", optimizer._m), ("v", optimizer._v)):
      np.testing.assert_allclose(
        states[k].numpy(), saved[f"{kept}/{key}"], rtol=1e-4, atol=1e-7, err_msg=key
      )
    factored = {"row": optimizer._rows[k], "col": optimizer._columns[k]}
    if optimizer._columns[k] is None:
      factored = {"diag": optimizer._rows[k]}
    for kept, state in factored.items():
      expected = saved[f"factored_{kept}/{key}"]
      np.testing.assert_allclose(
        state.numpy().reshape(expected.shape), expected, rtol=1e-4, atol=1e-12, err_msg=key
      )


@pytest.mark.parametrize("kind", KINDS.values())
def test_it_says_that_it_needs_the_loss_and_the_horizon(kind):
  variable = keras.Variable([1.0])
  optimizer = kind(10)
  optimizer.build([variable])
  with pytest.raises(ValueError, match="needs the loss"):
    optimizer.apply([tf.constant([1.0])], [variable])
  with pytest.raises(ValueError, match="num_steps must be at least 1, got 0"):
    kind(0)
