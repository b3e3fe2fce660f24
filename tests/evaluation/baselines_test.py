"""Tests of tuning the rivals."""

import pytest

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import make_seeds
from l2l_tf.problems.base import Stream


def test_each_rival_has_the_best_rate_of_the_tuning_instances():
  problem = problems.quadratic(3)
  rates = baselines.tune(problem, ("adam", "sgd"), 7, 12, 2)
  seeds = make_seeds(7, Stream.TUNING, count=2)
  for name, kind in (("adam", optimizers.Adam), ("sgd", optimizers.SGD)):
    grid = protocol.grid_curves(problem, kind, seeds, 12)
    assert rates[name] == protocol.best_rate(grid)
  assert list(rates) == ["adam", "sgd"] and rates["adam"] != rates["sgd"]


def test_nothing_to_compare_with():
  with pytest.raises(baselines.NoRival, match="adam diverged. Every one of the 30 learning rates"):
    baselines.tune(problems.quadratic(3, init_scale=1e30), ("adam",), 0, 3, 1)
