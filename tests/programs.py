"""The programs as modules, to run in-process."""

import importlib
import pathlib
import sys

import pytest

from l2l_tf.cli import experiment_flags

ROOT = pathlib.Path(__file__).parents[1]


def load(name: str):
  """Imports the program that bin/NAME.py starts."""
  return importlib.import_module(f"l2l_tf.cli.{name}")


def work(name: str):
  """Imports what the program does once its flags are right."""
  return importlib.import_module(f"l2l_tf.cli.work.{name}")


def run(main, *arguments: str) -> int:
  """Runs a program as its command line does; returns the exit status."""
  before = sys.argv
  sys.argv = ["program", *map(str, arguments)]
  try:
    with pytest.raises(SystemExit) as stop:
      experiment_flags.run(main)
  finally:
    sys.argv = before
  return stop.value.code
