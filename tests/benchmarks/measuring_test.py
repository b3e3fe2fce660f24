"""Tests of what the benchmarks share."""

import mmap
import os
import sys

import pytest

from benchmarks import measuring

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory")


def test_quantiles_by_hand():
  found = measuring.quantiles([float(x) for x in range(11)])
  assert found == {"median": 5.0, "low": 1.0, "high": 9.0, "count": 11}


def test_timed_counts_the_calls_and_measured_warms_up():
  calls = []
  assert len(measuring.timed(lambda: calls.append(0), 3)) == 3 and len(calls) == 3
  figures = measuring.measured(lambda: calls.append(0), 4)
  assert len(calls) == 3 + 2 + 4 and figures["seconds"]["count"] == 4
  assert figures["first_seconds"] > 0


@LINUX
def test_the_peak_is_that_of_the_calls():
  """64 MiB are touched in each call and given back; before, 256 MiB were.

  They come from the system: malloc would take them from what other tests have left it.
  """

  def touch(mib):
    with mmap.mmap(-1, mib * measuring.MIB) as memory:
      memory[:: mmap.PAGESIZE] = bytes(mib * measuring.MIB // mmap.PAGESIZE)

  touch(256)
  figures = measuring.measured(lambda: touch(64), 2)
  assert 60 < figures["peak"] / measuring.MIB < 80
  assert measuring.peak_bytes() >= measuring.resident_bytes() > measuring.MIB


def test_machine():
  about = measuring.machine()
  assert about["cpu"] and 1 <= about["usable_cores"] <= about["cores"] and about["system"]


def test_a_process_of_its_own():
  assert measuring.in_own_process(os.getpid) != os.getpid()
