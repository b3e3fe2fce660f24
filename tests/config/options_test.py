"""Tests of option groups: they check themselves, and survive a round trip through JSON."""

import dataclasses
import json
from typing import Optional

import pytest

from l2l_tf.config.options import option
from l2l_tf.config.options import Options


@dataclasses.dataclass(frozen=True)
class Example(Options):
  """One field of every type."""

  count: int = option(3, "a count", minimum=1, maximum=9)
  rate: float = option(0.5, "a rate", 0.0)
  flag: bool = option(False, "a switch")
  kind: str = option("a", "a choice", choices=("a", "b"))
  folder: Optional[str] = option(None, "a folder or none")
  sizes: tuple[int, ...] = option((4, 2), "sizes", 1)


OTHER = Example(count=9, rate=0.25, flag=True, kind="b", folder="x", sizes=(7,))


@pytest.mark.parametrize("options", [Example(), OTHER])
def test_round_trip_through_json(options):
  values = json.loads(json.dumps(options.to_dict()))
  assert values.keys() == {f.name for f in dataclasses.fields(Example)}
  assert Example.from_dict(values) == options


def test_defaults_fill_what_is_missing():
  assert Example.from_dict({"count": 9}) == Example(count=9)


def test_lists_and_whole_numbers_take_the_type_of_the_field():
  options = Example(sizes=[5, 6], rate=1)
  assert options.sizes == (5, 6) and type(options.rate) is float
  hash(options)


def test_options_are_frozen():
  with pytest.raises(dataclasses.FrozenInstanceError):
    Example().count = 4


def test_bounds_themselves_are_allowed():
  assert Example(count=1).count == 1 and Example(count=9).count == 9 and Example(rate=0.0).rate == 0


@pytest.mark.parametrize(
  "values, message",
  [
    ({"count": 0}, "count must be at least 1, got 0"),
    ({"count": 10}, "count must be at most 9, got 10"),
    ({"count": 2.0}, "count must be of type int, got 2.0"),
    ({"count": True}, "count must be of type int, got True"),
    ({"count": "3"}, "count must be of type int, got '3'"),
    ({"count": None}, "count must be of type int, got None"),
    ({"rate": -0.1}, "rate must be at least 0, got -0.1"),
    ({"rate": "0.1"}, "rate must be of type float, got '0.1'"),
    ({"rate": float("nan")}, "rate must be finite, got nan"),
    ({"rate": float("inf")}, "rate must be finite, got inf"),
    ({"flag": 1}, "flag must be of type bool, got 1"),
    ({"kind": "c"}, "kind must be one of a, b; got 'c'"),
    ({"kind": ["a"]}, r"kind must be of type str, got \('a',\)"),
    ({"folder": 3}, "folder must be of type .*str.*, got 3"),
    ({"sizes": []}, "sizes must not be empty"),
    ({"sizes": [3, 0]}, r"sizes must be at least 1, got \(3, 0\)"),
    ({"sizes": [3, True]}, r"sizes must be of type tuple.*, got \(3, True\)"),
    ({"sizes": 3}, "sizes must be of type tuple.*, got 3"),
    ({"rates": 0.1}, "Unknown option 'rates' for Example; known: count, rate, flag"),
    ([], "Example options must be an object, got list"),
    (None, "Example options must be an object, got NoneType"),
  ],
)
def test_a_bad_value_is_named(values, message):
  with pytest.raises(ValueError, match=message) as info:
    Example.from_dict(values)
  assert "\n" not in str(info.value)


def test_a_field_must_be_declared_with_its_help():
  assert {f.metadata["help"] for f in dataclasses.fields(Example)} >= {"a count", "sizes"}
