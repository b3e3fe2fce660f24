"""Tests of tuning the rivals."""

import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import make_seeds


@pytest.mark.slow
def test_each_rival_has_the_best_rate_of_the_tuning_instances():
  problem = problems.quadratic(3)
  rates = baselines.tune(problem, ("adam", "sgd"), 7, 12, 2)
  seeds = make_seeds(7, Stream.TUNING, count=2)
  for name, kind in (("adam", optimizers.Adam), ("sgd", optimizers.SGD)):
    grid = protocol.grid_curves(problem, kind, seeds, 12)
    assert rates[name] == protocol.best_rate(grid)
  assert list(rates) == ["adam", "sgd"] and rates["adam"] != rates["sgd"]


def test_a_rival_that_diverges_at_every_rate_has_none_and_loses():
  problem = problems.quadratic(3, init_scale=1e30)
  rates = baselines.tune(problem, ("adam",), 0, 3, 1)
  assert rates == {"adam": None}
  rival = baselines.validate(problem, rates, 0, 3, 2)["adam"]
  assert rival.learning_rate is None and rival.curve.tolist() == [np.inf] * 4


@pytest.mark.parametrize("serial, each", [(False, [30, 30]), (True, [10, 10, 2, 2])])
def test_progress_hears_of_every_instance_as_it_ends(serial, each):
  heard, problem = [], problems.bowl(4)._replace(serial=serial)
  baselines.tune(problem, ("sgd",), 7, 12, 2, heard.append)
  assert heard[: len(each)] == each and all(count == 1 for count in heard[len(each) :])
