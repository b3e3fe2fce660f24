"""Tests of l2l_tf/evaluation/comparison.py: fairness, selection, resume."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.config import problems as problem_options
from l2l_tf.config.options import Options
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import results
from l2l_tf.evaluation.candidates import Contender
from l2l_tf.evaluation.comparison import Comparison
from l2l_tf.evaluation.comparison import Setting
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import make_seeds
from l2l_tf.storage.cache import Parts

BOWL = Setting("bowl", problem_options.Bowl(dimensions=3), num_steps=12, num_runs=5, tuning_runs=3)


def _contender(seed=0, name="bowl_lstm"):
  lstm = optimizers.CoordinatewiseLSTM((4,), seed=seed)
  return Contender(name, "learned", lstm, "runs/bowl_lstm/best", "0" * 64)


def _compare(directory, setting=BOWL, contenders=None, rivals=("sgd",), progress=None):
  progress = progress or (lambda name, runs: None)
  contenders = [_contender()] if contenders is None else contenders
  return Comparison(setting, contenders, Parts(str(directory)), rivals, progress)


@pytest.fixture(name="fake_runs")
def _fake_runs(monkeypatch):
  """Losses that are a function of the seeds, without TensorFlow's tracing."""

  def runner(problem, optimizer, num_steps):
    learned = isinstance(optimizer, optimizers.CoordinatewiseLSTM)
    offset = np.abs(optimizer.linear.w.numpy()).sum() if learned else 0.0
    return lambda seeds: offset + np.outer(seeds[:, 0] % 97 + 1, np.ones(num_steps + 1))

  def grid_runner(grid, make_optimizer):
    def run(seeds, rates, num_steps):
      losses = np.add.outer(rates, seeds[:, 0] % 97)
      return np.repeat(losses[..., np.newaxis], num_steps + 1, axis=-1)

    return run

  monkeypatch.setattr(protocol, "runner", runner)
  monkeypatch.setattr(protocol.Grid, "runner", grid_runner)


class SeedsOnly(Options):
  """A problem whose losses show theta_0 and the minibatch seeds, and nothing that a rule does."""

  def build(self):
    def init(seed):
      return {"theta": tf.random.stateless_normal([2], seed)}, {"start": tf.cast(seed, tf.float32)}

    def loss(params, task, seed):
      noise = tf.random.stateless_uniform([], seed)
      return noise + tf.reduce_sum(task["start"] % 7) + 0 * tf.reduce_sum(params["theta"])

    return problems.Problem(init, loss), "generated"


@pytest.mark.slow
def test_every_optimizer_meets_the_same_instances_and_minibatches(tmp_path):
  setting = Setting("seeds_only", SeedsOnly(), num_steps=5, num_runs=4, tuning_runs=2)
  results = _compare(tmp_path, setting, rivals=tuple(optimizers.HAND_DESIGNED)).run()
  entries = list(results["optimizers"].values())
  assert len(entries) == 7 and np.std(entries[0]["mean"]) > 0
  for entry in entries[1:]:
    assert entry["mean"] == entries[0]["mean"]
    assert entry["final_losses"] == entries[0]["final_losses"]
  grids = [entry["tuning_final_losses"] for entry in entries if entry["kind"] == "rival"]
  assert all(grid == grids[0] for grid in grids) and len(set(grids[0])) == 1
  assert grids[0][0] != entries[0]["final_loss"]["mean"]  # tuned on other instances than reported


def test_everybody_starts_from_the_same_theta_0(tmp_path):
  results = _compare(tmp_path).run()
  assert len({entry["mean"][0] for entry in results["optimizers"].values()}) == 1


def test_a_rate_that_is_known_is_not_tuned(tmp_path, fake_runs):
  runs = []
  compared = Comparison(
    BOWL, [], Parts(str(tmp_path)), ("sgd", "adam"), lambda *run: runs.append(run), {"sgd": 0.5}
  )
  found = compared.run()["optimizers"]
  assert found["sgd"]["learning_rate"] == 0.5 and "tuning_final_losses" not in found["sgd"]
  assert (
    found["adam"]["learning_rate"] == protocol.LEARNING_RATES[0]
  )  # the least of the fake losses
  assert sum(count for name, count in runs if name == "sgd") == BOWL.num_runs
  assert compared.total_runs == sum(count for _, count in runs)


@pytest.mark.slow
def test_numbers_are_those_of_the_evaluation(tmp_path):
  results = _compare(tmp_path).run()
  problem, _ = BOWL.options.build()
  tuning, test = (make_seeds(0, s, count=c) for s, c in ((Stream.TUNING, 3), (Stream.TEST, 5)))
  grid = protocol.grid_curves(problem, optimizers.SGD, tuning, 12)
  rate = protocol.best_rate(grid)
  assert results["optimizers"]["sgd"]["learning_rate"] == rate
  curves = protocol.curves(problem, optimizers.SGD(rate), test, 12)
  expected = curves.mean(axis=0)
  np.testing.assert_allclose(results["optimizers"]["sgd"]["mean"], expected, rtol=1e-5)


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_a_planted_best_rate_is_found_and_a_diverged_one_loses(tmp_path, monkeypatch, worst):
  grid = np.full([30, 3, 13], 5.0)
  grid[17] = 0.5  # the planted best
  grid[20] = 0.1
  grid[20, 1, -1] = worst  # better still, but for one run
  monkeypatch.setattr(Comparison, "_grid", lambda self, *args: grid)
  entry = _compare(tmp_path).run()["optimizers"]["sgd"]
  assert entry["learning_rate"] == protocol.LEARNING_RATES[17]
  assert entry["tuning_final_losses"][17] == 0.5 and entry["tuning_final_losses"][20] is None


@pytest.mark.slow
@pytest.mark.parametrize("finalist_runs", [0, 7])
def test_a_rival_that_always_diverges_has_no_rate_is_not_run_and_loses(
  tmp_path, monkeypatch, finalist_runs
):
  grid = Comparison._grid

  def without_sgd(self, name, rates, *args):
    losses = grid(self, name, rates, *args)
    return np.full_like(losses, np.nan) if name == "sgd" else losses

  monkeypatch.setattr(Comparison, "_grid", without_sgd)
  setting = dataclasses.replace(BOWL, finalist_runs=finalist_runs)
  compared = _compare(tmp_path, setting, rivals=("sgd", "adam"))
  found = compared.run()
  entry = found["optimizers"]["sgd"]
  assert entry["learning_rate"] is None and entry["tuning_final_losses"] == [None] * 30
  assert entry["final_losses"] == [None] * 5 and entry["diverged"] == 5
  assert entry["mean"] == [None] * 13
  assert not finalist_runs or entry["finalists"]["learning_rates"] == []
  assert found["best_rival"] == "adam"
  results.validate({"schema": results.SCHEMA, "command": "", "versions": {}} | found)


@pytest.mark.parametrize(
  "many, visited, chosen",
  [
    ({9: 3.0, 10: 1.0, 11: 2.0}, [9, 10, 11], 10),  # it was the best indeed
    ({9: 3.0, 10: 2.0, 11: 1.5, 12: 1.0, 13: np.nan}, [9, 10, 11, 12, 13], 12),
    ({10: np.nan, 9: 2.0, 8: 3.0}, [8, 9, 10, 11], 9),
  ],
)
def test_the_best_rate_meets_its_neighbours_on_more_instances(
  tmp_path, monkeypatch, many, visited, chosen
):
  heard = []

  def grid(self, name, rates, num_runs, num_steps):
    heard.append((list(rates), num_runs))
    losses = {10: 1.0, 20: 2.0} if num_runs == 3 else many
    final = [losses.get(protocol.LEARNING_RATES.index(rate), 9.0) for rate in rates]
    return np.tile(np.array(final)[:, np.newaxis, np.newaxis], (1, num_runs, 13))

  monkeypatch.setattr(Comparison, "_grid", grid)
  entry = _compare(tmp_path, dataclasses.replace(BOWL, finalist_runs=7)).run()["optimizers"]["sgd"]
  rates = protocol.LEARNING_RATES
  assert heard[0] == (list(rates), 3)
  assert sorted(heard[1:]) == [([rates[k]], 7) for k in visited]
  assert entry["learning_rate"] == rates[chosen]
  assert entry["tuning_final_losses"][9:12] == [9.0, 1.0, 9.0]
  losses = [many.get(k, 9.0) for k in visited]
  losses = [x if np.isfinite(x) else None for x in losses]
  expected = {"runs": 7, "learning_rates": [rates[k] for k in visited], "final_losses": losses}
  assert entry["finalists"] == expected


@pytest.mark.parametrize("end", [0, 29])
def test_a_climb_ends_at_the_ends_of_the_grid(tmp_path, monkeypatch, end):
  grid = lambda self, name, rates, *args: np.array([abs(np.log(r / best)) for r in rates])  # noqa: E731
  best = protocol.LEARNING_RATES[end]
  tiled = lambda *args: np.tile(grid(*args)[:, np.newaxis, np.newaxis], (1, 3, 13))  # noqa: E731
  monkeypatch.setattr(Comparison, "_grid", tiled)
  entry = _compare(tmp_path, dataclasses.replace(BOWL, finalist_runs=7)).run()["optimizers"]["sgd"]
  assert entry["learning_rate"] == best and len(entry["finalists"]["final_losses"]) == 2


@pytest.mark.slow
def test_finalists_are_run_on_the_tuning_instances(tmp_path):
  heard = []
  setting = dataclasses.replace(BOWL, finalist_runs=4)
  compared = _compare(tmp_path, setting, progress=lambda name, runs: heard.append(runs))
  finalists = compared.run()["optimizers"]["sgd"]["finalists"]
  assert sum(heard) - compared.total_runs == 4 * (len(finalists["learning_rates"]) - 3)
  problem, _ = BOWL.options.build()
  seeds, rates = make_seeds(0, Stream.TUNING, count=4), finalists["learning_rates"]
  grid = protocol.grid_curves(problem, optimizers.SGD, seeds, 12, rates)
  expected = protocol.final_losses(grid).mean(axis=1)
  np.testing.assert_allclose(finalists["final_losses"], expected, rtol=1e-5)


class _Interrupt:
  """Presses Ctrl-C when so many parts are done."""

  def __init__(self, parts):
    self.left = parts

  def __call__(self, name, runs):
    self.left -= 1
    if not self.left:
      raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_and_ends_with_the_same_numbers(tmp_path, monkeypatch):
  monkeypatch.setattr(protocol, "COORDINATES_AT_ONCE", 6)  # two instances a part
  undisturbed = _compare(tmp_path / "a").run()
  num_parts = len(list((tmp_path / "a").iterdir()))
  assert num_parts == 3 + 3 * 2 + 3  # of the rival's rates three rounds
  for parts in (1, 4, 7):
    with pytest.raises(KeyboardInterrupt):
      _compare(tmp_path / "b", progress=_Interrupt(parts)).run()
    assert len(list((tmp_path / "b").iterdir())) == parts
  assert _compare(tmp_path / "b").run() == undisturbed
  assert len(list((tmp_path / "b").iterdir())) == num_parts


@pytest.mark.slow
def test_a_serial_problem_is_tuned_a_few_rates_at_a_time(tmp_path, monkeypatch):
  """Else a stop would lose half an hour of a large network."""
  expected = _compare(tmp_path / "a").run()["optimizers"]["sgd"]
  problem = BOWL.options.build()[0]._replace(serial=True)
  monkeypatch.setattr(problem_options.Bowl, "build", lambda self: (problem, "generated"))
  comparison = _compare(tmp_path / "b", contenders=[])
  found = comparison.run()["optimizers"]["sgd"]
  assert (
    len(list((tmp_path / "b").iterdir())) == 10 // 5 + 1 + 1 + 1
  )  # ten rates, two, one; the test
  assert found["learning_rate"] == expected["learning_rate"]
  np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-5)


def test_rivals_are_reused_when_only_the_learned_optimizer_changes(tmp_path, fake_runs):
  _compare(tmp_path, contenders=[]).run()
  before = {path.name for path in tmp_path.iterdir()}
  first = _compare(tmp_path, contenders=[_contender(seed=1)]).run()
  new = {path.name for path in tmp_path.iterdir()} - before
  assert len(new) == 1
  second = _compare(tmp_path, contenders=[_contender(seed=2)]).run()
  assert first["optimizers"]["sgd"] == second["optimizers"]["sgd"]
  assert first["optimizers"]["bowl_lstm"]["mean"] != second["optimizers"]["bowl_lstm"]["mean"]


@pytest.mark.parametrize(
  "change",
  [
    {"num_steps": 13},
    {"options": problem_options.Bowl(dimensions=4)},
    {"seed": 1},
  ],
)
def test_another_setting_finds_none_of_the_parts(tmp_path, fake_runs, change):
  _compare(tmp_path, rivals=("sgd",)).run()
  num_parts = len(list(tmp_path.iterdir()))
  _compare(tmp_path, dataclasses.replace(BOWL, **change), rivals=("sgd",)).run()
  assert len(list(tmp_path.iterdir())) == 2 * num_parts


def test_progress_adds_up(tmp_path, fake_runs):
  heard = []
  rivals = ("adam", "sgd")
  comparison = _compare(tmp_path, rivals=rivals, progress=lambda name, runs: heard.append(runs))
  comparison.run()
  assert sum(heard) == comparison.total_runs == 2 * 30 * 3 + 3 * 5
  assert set(comparison.seconds) == {"bowl_lstm", "adam", "sgd"}


def test_the_config_says_nothing_of_the_machine():
  config = Setting("mnist", problem_options.Mnist(data_dir="/here"), 1, 2, 1).config()
  assert config["hidden"] == [20] and not {"data", "data_dir"} & set(config)
