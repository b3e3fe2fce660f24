"""Tests of what the files of a trained optimizer tell of its training."""

import json

import pytest

from l2l_tf import pretrained
from l2l_tf.storage import optimizer_files
from l2l_tf.storage.about import About

TOLD = {"problem": {"name": "bowl", "size": 3}, "training": {"num_steps": 100}}


@pytest.mark.parametrize("trained_by", ["experiment", "imitation"])
def test_the_problem_and_the_horizon(trained_by):
  about = About({trained_by: TOLD, "epoch": 7})
  assert (about.problem, about.horizon) == ("bowl", 100)
  assert about["epoch"] == 7 and json.loads(json.dumps(about)) == {trained_by: TOLD, "epoch": 7}


@pytest.mark.parametrize("told", [None, [], "text", {}, {"epoch": 3}, {"experiment": [1]}])
def test_files_that_tell_neither(told):
  about = About(told)
  assert about.problem is None and about.horizon is None
  assert about == (told if isinstance(told, dict) else {})


@pytest.mark.parametrize("steps", ["9", 0, -1, True, 9.0, None, [9]])
def test_a_horizon_that_is_none(steps):
  about = About({"experiment": {"problem": {"name": ["bowl"]}, "training": {"num_steps": steps}}})
  assert about.horizon is None and about.problem is None


def test_the_shipped_ones_tell_both():
  _, about = optimizer_files.load_optimizer(pretrained.find("mnist_lstm"))
  assert (about.problem, about.horizon) == ("mnist", 200)
