"""Runs one test file under Bazel, which starts a test as a program."""

import sys

import pytest

if __name__ == "__main__":
  sys.exit(pytest.main(sys.argv[1:]))
