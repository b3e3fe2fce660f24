"""Tests of the names of coordinates and of the choice of some."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.inspection import coordinates
from l2l_tf.inspection.coordinates import Coordinate
from l2l_tf.optimizers import base

SHAPES = {"hidden_1/w": (4, 3), "hidden_1/b": (3,), "scale": ()}


def test_names_are_read_as_they_are_written():
  text = "hidden_1/w[3,2],hidden_1/b[0],scale[]"
  parsed = coordinates.parse(text, SHAPES)
  expected = [("hidden_1/w", (3, 2)), ("hidden_1/b", (0,)), ("scale", ())]
  assert parsed == expected and ",".join(map(str, parsed)) == text
  assert coordinates.parse(" hidden_1/w[1, 0] , scale[] ", SHAPES) == [
    ("hidden_1/w", (1, 0)),
    ("scale", ()),
  ]


@pytest.mark.parametrize(
  "text, message",
  [
    ("hidden_1/w", r"PARAMETER\[INDEX\] expected, as in hidden_1/w\[3,2\], got 'hidden_1/w'"),
    ("", "got ''"),
    ("hidden_1/w[-1,0]", "got 'hidden_1/w"),
    ("output/w[0,0]", "no parameter 'output/w'; there are hidden_1/w, hidden_1/b, scale"),
    ("hidden_1/w[4,0]", r"has the shape \[4, 3\]; it has no element \[4, 0\]"),
    ("hidden_1/w[1]", r"it has no element \[1\]"),
    ("hidden_1/b[0],scale[0]", r"scale has the shape \[\]"),
  ],
)
def test_other_names_are_refused(text, message):
  with pytest.raises(ValueError, match=message):
    coordinates.parse(text, SHAPES)


def test_positions_are_those_of_flatten():
  numbers = iter(range(100))
  values = {n: np.array([next(numbers) for _ in range(int(np.prod(s)))]) for n, s in SHAPES.items()}
  params = {n: tf.constant(v.reshape((1, *SHAPES[n])), tf.float32) for n, v in values.items()}
  flat = base.flatten(params).numpy()[0]
  chosen = coordinates.parse("scale[],hidden_1/w[2,1],hidden_1/b[2]", SHAPES)
  picked = flat[coordinates.positions(chosen, SHAPES)]
  assert picked.tolist() == [float(params[c.parameter][(0, *c.index)]) for c in chosen]


def test_a_parameter_each_the_median_of_those_with_a_gradient():
  magnitudes = {
    "a/w": np.float32([[0, 5, 1], [0, 3, 0]]),  # the median of 5, 3, 1
    "a/b": np.float32([0, 0]),
    "b/w": np.float32([[7]]),
    "b/b": np.float32(2),
    "c": np.float32([1]),
  }
  assert coordinates.spread(magnitudes) == [
    Coordinate("a/w", (1, 1)),
    Coordinate("a/b", (1,)),
    Coordinate("b/w", (0, 0)),
    Coordinate("b/b", ()),
  ]


def test_fewer_parameters_give_more_coordinates_each():
  ten = {"theta": np.arange(1.0, 11.0)}  # the largest is the last
  assert coordinates.spread(ten) == [("theta", (1,)), ("theta", (4,)), ("theta", (8,))]
  two = {"a": np.arange(1.0, 9.0), "b": np.ones(3)}
  assert coordinates.spread(two) == [("a", (1,)), ("a", (5,)), ("b", (1,))]
  assert coordinates.spread({"a": np.ones(1)}) == [("a", (0,))]
  assert coordinates.spread({"a": np.ones(2), "b": np.ones([])}) == [
    ("a", (0,)),
    ("a", (1,)),
    ("b", ()),
  ]
