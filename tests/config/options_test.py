"""Tests of option groups: they check themselves, and survive a round trip through JSON."""

import json
import subprocess
import sys
from typing import Literal

import pydantic
import pytest

from l2l_tf.config.options import Options
from l2l_tf.config.options import Path
from l2l_tf.config.options import option
from l2l_tf.config.options import sizes as sizes_of
from tests import sources


class Example(Options):
  """One field of every type."""

  count: int = option(3, "a count", minimum=1, maximum=9)
  rate: float = option(0.5, "a rate", 0.0)
  flag: bool = option(False, "a switch")
  kind: Literal["a", "b"] = option("a", "a choice")
  folder: Path = option(None, "a folder or none")
  sizes: sizes_of(1024, length=4) = option((4, 2), "sizes")
  note: str = "no flag, as nobody says what it means"


OTHER = Example(count=9, rate=0.25, flag=True, kind="b", folder="x", sizes=(7,))


@pytest.mark.parametrize("options", [Example(), OTHER])
def test_round_trip_through_json(options):
  values = json.loads(json.dumps(options.to_dict()))
  assert values.keys() == Example.model_fields.keys()
  assert Example.from_dict(values) == options


def test_defaults_fill_what_is_missing():
  assert Example.from_dict({"count": 9}) == Example(count=9)


def test_lists_and_whole_numbers_take_the_type_of_the_field():
  options = Example(sizes=[5, 6], rate=1)
  assert options.sizes == (5, 6) and type(options.rate) is float
  hash(options)


def test_options_are_frozen():
  with pytest.raises(pydantic.ValidationError):
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
    ({"kind": ["a"]}, r"kind must be one of a, b; got \['a'\]"),
    ({"folder": 3}, "folder must be of type .*str.*, got 3"),
    ({"sizes": []}, "sizes must not be empty"),
    ({"sizes": [3, 0]}, "sizes must be at least 1, got 0"),
    ({"sizes": [3, True]}, "sizes must be of type int, got True"),
    ({"sizes": [1] * 10**6}, "sizes must have at most 4 elements, got 1000000"),
    ({"rate": 10**400}, "rate must be finite, got 1000"),
    ({"count": 10**400}, "count must be at most 9, got 1000"),
    ({"kind": "x" * 10**6}, "kind must be one of a, b; got 'xxx"),
    ({"x" * 10**6: 1}, "Unknown option 'xxx"),
    ({"self": 1}, "Unknown option 'self'"),
    ({"sizes": 3}, "sizes must be of type tuple.*, got 3"),
    ({"rates": 0.1}, "Unknown option 'rates' for Example; known: count, rate, flag"),
    ([], "Example options must be an object, got list"),
    (None, "Example options must be an object, got NoneType"),
  ],
)
def test_a_bad_value_is_named(values, message):
  with pytest.raises(ValueError, match=message) as info:
    Example.from_dict(values)
  assert "\n" not in str(info.value) and len(str(info.value)) < 500


def test_flags_are_the_fields_that_say_what_they_mean():
  assert [field.description for field in Example.flags().values()][:2] == ["a count", "a rate"]
  assert Example.flags().keys() == Example.model_fields.keys() - {"note"}


def test_a_copy_with_other_values_is_checked():
  assert OTHER.replace(count=2) == Example(**{**dict(OTHER), "count": 2})
  with pytest.raises(ValueError, match="count must be at most 9, got 10"):
    OTHER.replace(count=10)


PROGRAM = """
import sys, types
l2l_tf = types.ModuleType("l2l_tf")
l2l_tf.__path__ = ["l2l_tf"]
sys.modules["l2l_tf"] = l2l_tf  # without what l2l_tf/__init__.py imports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli.flags import Flags
experiment_flags.add_experiment(flags := Flags(""))
experiment_flags.experiment(flags.parse(["program", "--preset=paper"]))
print([name for name in ("keras", "sonnet", "tensorflow") if name in sys.modules])
"""


def test_an_experiment_is_made_of_flags_without_tensorflow():
  program = [sys.executable, "-c", PROGRAM]
  done = subprocess.run(program, cwd=sources.ROOT, capture_output=True, text=True, check=False)
  assert done.stdout == "[]\n", done.stderr
