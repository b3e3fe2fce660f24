"""Tests of BUILD: it lists every source file, and its deps repeat the real imports."""

import re

from tests import build_file
from tests import sources

BUILD = (sources.ROOT / "BUILD").read_text()
HOW = "BUILD is not up to date; run: python -m tests.build_file > BUILD"


def test_every_source_file_is_listed_once():
  listed = re.findall(r'^    srcs = \[.*?"([^"]+)"\],$', BUILD, re.MULTILINE)
  assert sorted(listed) == sorted(source.path for source in sources.read().values()), HOW


def test_every_dependency_is_a_target():
  targets = set(re.findall(r'^    name = "([^"]+)"', BUILD, re.MULTILINE))
  deps = set(re.findall(r'^        ":([^"]+)",', BUILD, re.MULTILINE))
  assert deps <= targets, HOW
  assert "l2l_tf/optimizers/__init__" in deps and "problems/base" in deps


def test_build_repeats_the_real_imports():
  assert BUILD.splitlines() == build_file.content().splitlines(), HOW


def test_the_rule_of_a_module_by_hand():
  source = sources.read()["problems.quadratics"]
  assert build_file.rule(source) == (
    "py_library(\n"
    '    name = "problems/quadratics",\n'
    '    srcs = ["problems/quadratics.py"],\n'
    "    deps = [\n"
    '        ":problems/base",\n'
    "        # pip: tensorflow\n"
    "    ],\n"
    ")\n"
  )


def test_programs_and_tests_have_rules_of_their_kind():
  assert 'py_binary(\n    name = "bin/train",' in BUILD
  rule = build_file.rule(sources.read()["tests.unroll_test"])
  assert rule.startswith('py_test(\n    name = "tests/unroll_test",')
  assert 'args = ["$(location tests/unroll_test.py)"]' in rule and '":l2l_tf/unroll",' in rule
