"""Tests of the protocol: the grid of learning rates, the choice, and fairness."""

import itertools
import threading

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import make_seeds

SEEDS = make_seeds(7, count=3)


def small_mlp(activation="sigmoid"):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (40, 2, 3, 1), dtype=np.uint8)
  data = problems.Dataset(images, rng.integers(0, 3, 40), 3, "random")
  return problems.mlp(data, (4,), activation, batch_size=8, init_scale=0.5)


PROBLEMS = {"bowl": lambda: problems.bowl(4), "quadratic": problems.quadratic, "mlp": small_mlp}


def test_the_grid_of_the_paper():
  assert len(protocol.LEARNING_RATES) == 30
  assert protocol.LEARNING_RATES[0] == 1e-6
  assert protocol.LEARNING_RATES[-1] == pytest.approx(2**29 * 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_curves_equal_a_rollout_whatever_the_batch(name, monkeypatch):
  monkeypatch.setattr(protocol, "batch_size", lambda problem: 2)
  problem, optimizer = PROBLEMS[name](), optimizers.Adam(0.05)
  curves = protocol.curves(problem, optimizer, SEEDS, 6)
  assert curves.shape == (3, 7) and curves.dtype == np.float64
  expected = unroll.rollout(problem, optimizer, SEEDS, 6).numpy().T
  np.testing.assert_allclose(curves, expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("rival", ["adam", "sgd"])
def test_grid_curves_equal_curves_run_one_at_a_time(name, rival):
  problem, make = PROBLEMS[name](), optimizers.HAND_DESIGNED[rival]
  rates = [1e-3, 1e-2, 0.05]
  grid = protocol.grid_curves(problem, make, SEEDS[:2], 6, rates)
  assert grid.shape == (3, 2, 7) and grid.dtype == np.float64
  for k, rate in enumerate(rates):
    alone = protocol.curves(problem, make(rate), SEEDS[:2], 6)
    np.testing.assert_allclose(grid[k], alone, rtol=1e-4)
  assert len(np.unique(grid[:, :, -1])) == 6


@pytest.mark.parametrize("name", PROBLEMS)
def test_one_program_runs_any_number_of_steps(name):
  problem, made, rates = PROBLEMS[name](), [], [1e-3, 0.05]

  def make(some):
    made.append(some)
    return optimizers.Adam(some)

  run = protocol.Grid(problem).runner(make)
  few, more = run(SEEDS, rates, 3), run(SEEDS, rates[::-1], 6)
  assert len(made) == 1
  np.testing.assert_allclose(few, more[::-1, :, :4], rtol=1e-5)
  whole = protocol.grid_curves(problem, optimizers.Adam, SEEDS, 6, rates)
  np.testing.assert_array_equal(more[::-1], whole)


@pytest.mark.parametrize("serial", [False, True])
def test_seeds_go_two_at_a_time_unless_they_are_serial(serial, monkeypatch):
  """And each is asked for as the ones before have run, as a bar of progress needs it."""
  together, most, asked, ended = [0], [0], [], []
  problem = problems.bowl(4)._replace(serial=serial)

  def run(seed):
    together[0] += 1
    most[0] = max(most[0], together[0])
    meet.wait(timeout=30)
    together[0] -= 1
    ended.append(seed)
    return seed

  def seeds():
    for seed in range(6):
      asked.append((seed, len(ended)))
      yield seed

  width = 1 if serial else 2
  meet = threading.Barrier(width)
  assert list(protocol._run_each(problem, run, seeds())) == list(range(6))
  assert most[0] == width
  assert all(seed - done < width for seed, done in asked)


@pytest.mark.slow
def test_everybody_starts_from_the_same_point():
  """The first loss is that of theta_0 on the first minibatch, whoever optimizes."""
  problem = small_mlp()
  rows = [optimizers.CoordinatewiseLSTM((3,)), optimizers.Adam(0.1), optimizers.SGD(0.1)]
  curves = [protocol.curves(problem, optimizer, SEEDS, 2) for optimizer in rows]
  grid = protocol.grid_curves(problem, optimizers.Adam, SEEDS, 2, rates=[0.1])[0]
  for other in [*curves[1:], grid]:
    np.testing.assert_allclose(other[:, 0], curves[0][:, 0], rtol=1e-6)
    assert np.all(other[:, 1] != curves[0][:, 1])


def test_final_loss_is_the_mean_of_the_last_ten_points():
  losses = np.tile(np.arange(21.0), (2, 1))
  np.testing.assert_array_equal(protocol.final_losses(losses), [15.5, 15.5])
  losses[0, 12], losses[1, 3] = np.nan, np.nan
  np.testing.assert_array_equal(protocol.final_losses(losses), [np.inf, 15.5])


def test_best_rate_on_the_bowl_is_the_planted_one():
  """With f = mean((theta - c)^2) of n coordinates the step n / 2 solves it at once."""
  rates = [0.5, 1.0, 2.0, 3.0, 5.0, 1e6]
  grid = protocol.grid_curves(problems.bowl(4), optimizers.SGD, SEEDS, 12, rates)
  assert protocol.best_rate(grid, rates) == 2.0
  np.testing.assert_allclose(grid[2, :, 1:], 0.0, atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_rate_with_one_run_that_diverged_loses(bad):
  losses = np.ones((3, 4, 12))
  losses[1], losses[2] = 0.5, 2.0
  assert protocol.best_rate(losses, [1.0, 2.0, 3.0]) == 2.0
  losses[1, 3, -1] = bad
  assert protocol.best_rate(losses, [1.0, 2.0, 3.0]) == 1.0


def test_where_all_rates_diverged_there_is_no_best():
  assert protocol.best_rate(np.full((2, 3, 12), np.nan), [1.0, 2.0]) is None
  assert protocol.final_losses(protocol.lost(3, 11)).tolist() == [np.inf] * 3


def _of(final, heard=None):
  """What `coarse_to_fine` asks, answered from the final losses of the whole grid."""

  def run(rates):
    numbers = [protocol.LEARNING_RATES.index(rate) for rate in rates]
    if heard is not None:
      heard.append(numbers)
    return final[numbers]

  return run


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("rival", optimizers.HAND_DESIGNED)
def test_coarse_to_fine_picks_the_rate_of_the_whole_grid_in_half_of_its_runs(activation, rival):
  grid = protocol.grid_curves(small_mlp(activation), optimizers.HAND_DESIGNED[rival], SEEDS, 80)
  heard, everywhere = [], protocol.mean_final_losses(grid)
  final = protocol.coarse_to_fine(_of(everywhere, heard), protocol.LEARNING_RATES)
  assert protocol.least(final) == protocol.best_rate(grid)
  finished = sorted(itertools.chain(*heard))
  np.testing.assert_array_equal(final[finished], everywhere[finished])
  assert np.isinf(np.delete(final, finished)).all()
  assert heard[0] == list(range(1, 30, 3))
  assert len(finished) == len(set(finished)) <= 15


def test_it_goes_on_until_the_winner_is_better_than_its_neighbours():
  final, heard = np.abs(np.arange(30.0) - 14.4), []
  final[14] = final[13] = 100.0  # so that 15 and 16 are reached from 16
  assert (
    protocol.least(protocol.coarse_to_fine(_of(final, heard), protocol.LEARNING_RATES))
    == protocol.LEARNING_RATES[15]
  )
  assert heard[1:] == [[15, 17], [14]]


@pytest.mark.parametrize("best", [0, 29])
def test_it_reaches_the_ends_of_the_grid(best):
  final, heard = np.abs(np.arange(30.0) - best), []
  assert (
    protocol.least(protocol.coarse_to_fine(_of(final, heard), protocol.LEARNING_RATES))
    == protocol.LEARNING_RATES[best]
  )
  assert sorted(heard[1]) == [best - 2 * (best > 0), best + 2 * (best == 0)]


def test_small_instances_run_at_all_rates_and_large_ones_from_coarse_to_fine():
  rng, heard = np.random.default_rng(0), []
  losses = rng.uniform(size=(30, 2, 80))

  def run(rates, num_steps):
    heard.append(len(rates))
    return losses[[protocol.LEARNING_RATES.index(rate) for rate in rates], :, : num_steps + 1]

  small, serial = problems.bowl(4), problems.bowl(4)._replace(serial=True)
  large = problems.bowl(protocol.COORDINATES_AT_ONCE // 29)
  final = protocol.tuning(small, run, 79)
  assert heard == [30] == [protocol.least_to_run(small)]
  np.testing.assert_array_equal(final, protocol.mean_final_losses(losses))
  for problem in (serial, large):
    heard.clear()
    protocol.tuning(problem, run, 79)
    assert heard[:2] == [10, 2] and sum(heard[:2]) == protocol.least_to_run(problem)


@pytest.mark.parametrize("ends", [None, 5])
def test_where_the_first_third_diverges_all_others_run(ends):
  final = np.full(30, np.inf)
  if ends is not None:
    final[ends] = 1e3
  found = protocol.least(protocol.coarse_to_fine(_of(final), protocol.LEARNING_RATES))
  assert found == (None if ends is None else protocol.LEARNING_RATES[ends])


def test_sgd_that_diverges_gives_a_curve_all_the_same():
  curves = protocol.curves(problems.bowl(4), optimizers.SGD(1e30), SEEDS, 12)
  assert np.isfinite(curves[:, 0]).all() and not np.isfinite(curves[:, -1]).any()
  assert (protocol.final_losses(curves) == np.inf).all()


def test_the_learned_optimizer_is_left_as_it_was():
  optimizer = optimizers.CoordinatewiseLSTM((3,))
  before = [v.numpy() for v in optimizer.trainable_variables]
  protocol.curves(problems.bowl(4), optimizer, SEEDS, 3)
  for old, new in zip(before, optimizer.trainable_variables, strict=True):
    np.testing.assert_array_equal(old, new)
  assert tf.executing_eagerly()
