"""How many times each fault was tried, and survived: printed at the end of `make faults`."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import os

import pytest

THOROUGH = os.environ.get("FAULTS") == "thorough"
thorough = pytest.mark.skipif(not THOROUGH, reason="takes minutes: make faults")

COUNTS: dict[str, list[int]] = {}


def trials(few: int, many: int) -> int:
  """How many times to try: `few` in `make test`, `many` in `make faults`."""
  return many if THOROUGH else few


@contextlib.contextmanager
def trial(fault: str, count: int = 1) -> Iterator[None]:
  """Counts the block as `count` trials of a fault, survived unless it raises."""
  row = COUNTS.setdefault(fault, [0, 0])
  row[0] += count
  yield
  row[1] += count


def add(counts: Mapping[str, Sequence[int]]):
  """Adds what another process has counted."""
  for fault, (tried, survived) in counts.items():
    row = COUNTS.setdefault(fault, [0, 0])
    row[0] += tried
    row[1] += survived


def lines() -> list[str]:
  """The table as Markdown."""
  rows = []
  for fault, (tried, survived) in sorted(COUNTS.items()):
    rows.append(f"| {fault} | {tried:,} | {survived:,} |")
  return ["| fault | tried | survived |", "|---|---|---|", *rows]
