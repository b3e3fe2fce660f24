"""Imports go one way: the rules of docs/architecture.md, a row for each room of the house."""

import graphlib
import re

import pytest

from tests import sources

FIRST = {"rule", "optimizers", "problems", "pretrained", "unroll", "code", "storage", "config"}
SECOND = {"training", "evaluation", "keras"}
THIRD = {"inspection", "plotting", "runs", "view", "zoo"}
MAY_IMPORT = {
  "rule": set(),
  "optimizers": {"rule"},
  "problems": set(),
  "pretrained": set(),
  "plotting": set(),
  "surroundings": set(),
  "code": set(),
  "unroll": {"optimizers", "problems"},
  "config": {"optimizers", "problems", "code"},
  "storage": {"rule", "optimizers", "config", "version"},
  "training": FIRST,
  "evaluation": FIRST,
  "keras": FIRST,
  "optax": {"rule", "pretrained", "storage"},
  "torch": {"rule", "pretrained", "storage"},
  "inspection": FIRST | {"evaluation"},
  "view": {"inspection", "storage"},
  "zoo": FIRST | {"keras", "plotting"},
  "runs": FIRST | SECOND | THIRD - {"zoo"},
  "cli": FIRST | SECOND | THIRD,
  "": FIRST | SECOND | THIRD | {"registration", "version"},  # l2l_tf/__init__.py: what is public
  "errors": set(),
  "keras_backend": set(),
  "registration": set(),
  "version": set(),
}
ANYBODY = {"errors", "keras_backend", "surroundings"}  # may be imported everywhere
KERAS = {f"l2l_tf.keras.{name}" for name in ("arguments", "backends", "optimizer", "steps")}
KERAS |= {"l2l_tf.keras.rule_step", "l2l_tf.keras.saved_state", "l2l_tf.problems.vgg"}
KERAS |= {"l2l_tf.problems.keras_adapter", "l2l_tf.problems.keras_loss"}

SOURCES = sources.read()
LIBRARY = [name for name in SOURCES if name.split(".")[0] == "l2l_tf"]


def room(name: str) -> str:
  """The room of a module: "optimizers" for l2l_tf.optimizers.lstm, "unroll" for l2l_tf.unroll."""
  return f"{name}.".split(".")[1]


def test_every_room_has_a_row():
  assert {room(name) for name in LIBRARY} == MAY_IMPORT.keys()


@pytest.mark.parametrize("name", LIBRARY)
def test_imports_go_one_way(name):
  for imported in SOURCES[name].ours:
    assert imported in LIBRARY, f"{name} must not import {imported}."
    allowed = room(imported) in MAY_IMPORT[room(name)] | {room(name)} | ANYBODY
    assert allowed and room(imported), f"{name} must not import {imported}."


def test_architecture_md_has_the_line_of_every_room():
  text = (sources.ROOT / "docs" / "architecture.md").read_text()
  for name in {".".join(name.split(".")[:2]) for name in LIBRARY} - {"l2l_tf"}:
    line = (sources.ROOT / SOURCES[name].path).read_text().split("\n")[0].strip('"')
    shown = name.removeprefix("l2l_tf.") if name == "l2l_tf.problems" else name
    assert f"| `{shown}` | {line} |" in text


def test_no_circle():
  graph = {name: SOURCES[name].ours for name in LIBRARY}
  assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(LIBRARY)


def test_only_programs_benchmarks_and_tests_import_the_programs():
  users = {n.split(".")[0] for n in SOURCES if any(room(i) == "cli" for i in SOURCES[n].ours)}
  assert users == {
    "l2l_tf",
    "bin",
    "benchmarks",
    "tests",
  }  # in l2l_tf itself cli alone, by the rows
  for name, source in SOURCES.items():
    tops = {imported.split(".")[0] for imported in source.ours} - {"l2l_tf"}
    own = tops if name.startswith("tests.") else {name.split(".")[0]}
    assert tops <= own, f"{name} imports {tops}."
  assert "l2l_tf.cli.train" in SOURCES["tests.tiny_training"].ours  # the reader sees these too


def test_keras_is_imported_in_its_adapters_only():
  users = {name for name in LIBRARY if "keras" in SOURCES[name].others}
  assert {name for name in users if room(name) != "zoo"} == KERAS


@pytest.mark.parametrize("name", [name for name in LIBRARY if room(name) != "cli"])
def test_no_message_below_cli_names_a_flag(name):
  """A Python user has none. A single word with dashes is an argument of another program."""
  for text in sources.strings(SOURCES[name].path):
    assert re.fullmatch(r"--\S+", text) or not re.search("--[A-Za-z]", text), text


def test_strings_are_read_whole_and_without_docstrings():
  assert "--dirty" in sources.strings("l2l_tf/storage/provenance.py")
  assert "--data_dir={}" in sources.strings("problems/datasets.py")
  found = sources.strings("l2l_tf/cli/evaluate.py")
  assert "--finalist_runs must be more than --tuning_runs={}, or 0, got {}." in found
  assert not any(text.startswith("Compares trained optimizers") for text in found)


def test_nothing_depends_on_the_short_name_of_problems():
  users = {name for name, source in SOURCES.items() if "problems" in source.others}
  assert users <= {"tests.problems.short_name_test"}


def test_side_effects_stay_at_the_edge():
  """Only these read flags, or use the network."""
  assert {n for n in LIBRARY if "argparse" in SOURCES[n].others} == set()
  assert {n for n in LIBRARY if "urllib" in SOURCES[n].others} == {"l2l_tf.problems.datasets"}
