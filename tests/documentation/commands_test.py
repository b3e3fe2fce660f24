"""Each command that a page prints is one that its program takes."""

import importlib
import re
import shlex

import pytest

from l2l_tf.cli import experiment_flags
from l2l_tf.cli.flags import Flags
from tests import sources
from tests.documentation import pages_test

BLOCK = re.compile(r"^ *```sh\n(.*?)```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:\.venv/bin/)?python (?:bin/\w+\.py|-m benchmarks\.\w+) [^`]*)`")
PROGRAM = re.compile(r"(?:\S*/)?python (?:bin/(\w+)\.py|-m (benchmarks\.\w+))\b(.*)")
MODULE = re.compile(r"python -m (benchmarks(?:\.\w+)+)|python (benchmarks/[\w/]+\.py)")


def commands(page: str) -> list[str]:
  """The lines of its blocks, and what stands between backticks."""
  text = pages_test.text(page)
  blocks = (re.sub(r"\\\n *", " ", block) for block in BLOCK.findall(text))
  lines = [line.strip() for block in blocks for line in block.splitlines()]
  return [*lines, *(" ".join(found.split()) for found in INLINE.findall(text))]


PRINTED = sorted(
  {
    (page, command)
    for page in pages_test.PAGES
    for command in commands(page)
    if PROGRAM.match(command) and "..." not in command
  }
)


def test_there_are_many():
  assert len(PRINTED) > 40
  assert {"README.md", "docs/training.md", "docs/own_problem.md"} <= {page for page, _ in PRINTED}


class Parsed(Exception):
  """In place of what a program does once its flags are right."""


@pytest.mark.parametrize("page, command", PRINTED)
def test_the_program_takes_it(page, command, monkeypatch):
  name, benchmark, rest = PROGRAM.match(command).groups()
  module = importlib.import_module(f"l2l_tf.cli.{name}" if name else benchmark)
  words = shlex.split(rest.replace("$", ""))
  parse = Flags.parse

  def parse_and_stop(flags, argv):
    raise Parsed(parse(flags, argv))

  monkeypatch.setattr(Flags, "parse", parse_and_stop)
  with pytest.raises(Parsed) as found:
    module.main([name or benchmark, *words])
  (flags,) = found.value.args
  named = {word[2:].split("=")[0] for word in words if word.startswith("--")}
  given = flags.given().keys()
  assert {name.removeprefix("no") if name not in given else name for name in named} == given
  if name == "train" and not flags.resume:
    assert experiment_flags.experiment(flags).problem.name == flags.problem


def test_what_is_named_is_there():
  for page in pages_test.PAGES:
    for module, script in MODULE.findall(pages_test.text(page)):
      path = script or module.replace(".", "/") + ".py"
      assert (sources.ROOT / path).is_file(), f"{page}: {path}"
