"""The programs in bin/ as modules, to run in-process."""

import importlib.util
import pathlib
import sys

import pytest

from l2l_tf.cli import experiment_flags as command_line

ROOT = pathlib.Path(__file__).parents[1]


def load(name: str):
  """Imports bin/NAME.py."""
  spec = importlib.util.spec_from_file_location(f"bin_{name}", ROOT / "bin" / f"{name}.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def run(main, errors, *arguments: str) -> int:
  """Runs a program as its command line does; returns the exit status."""
  before = sys.argv
  sys.argv = ["program", *map(str, arguments)]
  try:
    with pytest.raises(SystemExit) as stop:
      command_line.run(main, errors)
  finally:
    sys.argv = before
  return stop.value.code
