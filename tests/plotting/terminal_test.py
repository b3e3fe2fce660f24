"""Tests of curves in the terminal."""

import numpy as np

from l2l_tf.plotting import terminal


def test_a_straight_line_on_the_logarithmic_scale():
  drawn = terminal.curves({"learned": np.array([1000.0, 100, 10, 1])}, width=4, height=4)
  assert drawn.splitlines() == [
    "   1e+03 |*",
    "         | *",
    "         |  *",
    "       1 |   *",
    "         +----",
    "          0  3",
    "          * learned",
  ]


def test_the_first_curve_stands_above_the_others_and_all_are_named():
  same = np.array([2.0, 1.0])
  drawn = terminal.curves({"a": same, "b": np.array([2.0, 2.0])}, width=2, height=3).splitlines()
  assert [line.partition("|")[2] for line in drawn[:3]] == ["*o", "", " *"]
  assert drawn[-1].split() == ["*", "a", "o", "b"]


def test_what_is_not_finite_leaves_a_gap_and_what_rises_leaves_the_drawing():
  curves = {"a": np.array([2.0, np.nan, 1.0]), "b": np.array([2.0, 50.0, np.inf])}
  drawn = terminal.curves(curves, width=3, height=3).splitlines()
  assert [line.partition("|")[2] for line in drawn[:3]] == ["*", "", "  *"]
  assert "no loss is finite" in terminal.curves({"a": np.full(3, np.nan)})


def test_long_curves_are_sampled_and_equal_losses_drawn():
  drawn = terminal.curves({"a": np.ones(1001)}).splitlines()
  assert drawn[terminal.HEIGHT - 1].endswith("|" + "*" * terminal.WIDTH)
  assert drawn[-2].endswith(" 1000") and len(drawn) == terminal.HEIGHT + 3
