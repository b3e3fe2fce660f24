"""Each command that a page prints is one that its program takes."""

import importlib
import re
import shlex

import pytest

from l2l_tf.cli import experiment_flags
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


@pytest.mark.parametrize("page, command", PRINTED)
def test_the_program_takes_it(page, command):
  found = PROGRAM.match(command)
  name, benchmark, rest = found.groups()
  module = importlib.import_module(f"l2l_tf.cli.{name}" if name else benchmark)
  if not hasattr(module, "make_flags"):
    pytest.skip(f"{benchmark} makes its flags as it runs: tests/benchmarks runs it")
  words = shlex.split(rest.replace("$", ""))
  flags = module.make_flags().parse([name or benchmark, *words])
  if name == "train" and not flags.resume:
    experiment_flags.experiment(flags)


def test_what_is_named_is_there():
  for page in pages_test.PAGES:
    for module, script in MODULE.findall(pages_test.text(page)):
      path = script or module.replace(".", "/") + ".py"
      assert (sources.ROOT / path).is_file(), f"{page}: {path}"
