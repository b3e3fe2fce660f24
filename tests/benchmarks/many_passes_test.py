"""Many passes over the minibatches of one run: which are seen, which are not, and what it gives."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import many_passes
from benchmarks import modern_rivals
from l2l_tf import problems
from l2l_tf.evaluation import protocol
from l2l_tf.problems import base
from l2l_tf.problems.base import Stream
from tests import sources

STEPS = 14  # so that the minibatches of steps 0 to 4 are seen, and those of 5 to 14 are not


@pytest.fixture(scope="module")
def problem():
  data = problems.datasets.pool(problems.load("mnist", source="bundled"), 4)
  return problems.mlp(data, (5,), batch_size=16)


@pytest.fixture(scope="module")
def seeds(problem):
  return problem.seeds(0, Stream.TEST, count=3)


def test_a_minibatch_comes_again_with_its_loss(problem, seeds):
  order = np.array([0, 1, 2, 1, 0], np.int32)
  repeated = many_passes.again(problem, order)
  params, tasks = base.instances(repeated, seeds)
  for t, original in enumerate(order):
    expected = base.losses(problem, params, {}, base.at_step(seeds, original))
    found = base.losses(repeated, params, tasks, base.at_step(seeds, tf.constant(t)))
    np.testing.assert_array_equal(found, expected)
    one = [tf.nest.map_structure(lambda x: x[1], nest) for nest in (params, tasks)]
    alone = repeated.loss(*one, base.at_step(seeds[1], tf.constant(t)))
    assert alone.numpy() == pytest.approx(expected[1].numpy(), rel=1e-5)


def test_the_penalty_is_of_the_squares_of_matrices(problem, seeds):
  plain, penalized = (many_passes.again(problem, np.zeros(1), x) for x in (0.0, 0.25))
  params, tasks = base.instances(plain, seeds)
  at = base.at_step(seeds, tf.constant(0))
  difference = base.losses(penalized, params, tasks, at) - base.losses(plain, params, tasks, at)
  squares = sum(
    np.square(x.numpy()).sum((1, 2)) for name, x in params.items() if name.endswith("/w")
  )
  np.testing.assert_allclose(difference, 0.25 * squares, rtol=1e-3)


def test_each_pass_has_each_minibatch_once_and_the_first_their_order():
  order = many_passes.orders(4, 7).reshape(4, 7)
  np.testing.assert_array_equal(order[0], np.arange(7))
  np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(7), (4, 1)))
  assert len({tuple(row) for row in order}) == 4


@pytest.mark.slow
def test_one_pass_is_the_run_of_the_protocol_on_unseen_minibatches(problem, seeds):
  """theta after the first five minibatches, on the ten that follow."""
  training = many_passes.ManyPasses(problem, STEPS, 1, penalty=0.0)
  found = training.final_losses(seeds, np.full(3, 0.065536))
  optimizer = modern_rivals.NAdamW(0.065536, 5)
  params, _ = base.instances(problem, seeds)
  state = optimizer.initial_state(params)
  for t in range(5):
    with tf.GradientTape() as tape:
      tape.watch(params)
      losses = base.losses(problem, params, {}, base.at_step(seeds, tf.constant(t)))
    updates, state = optimizer(tape.gradient(losses, params), state)
    params = {name: x + updates[name] for name, x in params.items()}
  unseen = [
    base.losses(problem, params, {}, base.at_step(seeds, tf.constant(t))) for t in range(5, 15)
  ]
  np.testing.assert_allclose(found, np.mean(unseen, axis=0), rtol=1e-5)


@pytest.mark.slow
def test_rows_have_the_best_rate_and_more_passes_fit_better(problem):
  rows = many_passes.measured(problem, 60, (1, 6), num_runs=3, tuning_runs=1, penalties=[1e-4])
  once, often = rows
  assert [row["passes"] for row in rows] == [1, 6]
  assert all(row["learning_rate"] in protocol.LEARNING_RATES for row in rows)
  assert often["final_mean"] < once["final_mean"]
  ours = [row["final_mean"] * row["mnist_lstm_over_it_ratio"] for row in rows]
  assert ours[0] == pytest.approx(ours[1])


def test_the_committed_ones_are_beside_the_protocol():
  found = json.loads((sources.ROOT / "benchmarks" / "many_passes.json").read_text())
  other = json.loads((sources.ROOT / "results" / "mnist_100.json").read_text())
  ours = other["optimizers"]["mnist_lstm"]["final_loss"]["mean"]
  for row in found["rows"]:
    assert row["final_mean"] * row["mnist_lstm_over_it_ratio"] == pytest.approx(ours, rel=0.03)
