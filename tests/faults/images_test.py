"""Pictures from strangers: bombs, formats that lead astray, programs that pictures would start."""

import os
import resource
import signal
import struct
import subprocess
import sys
import zlib

import pytest

from l2l_tf.problems import DataError
from l2l_tf.problems import photographs
from tests import programs
from tests.faults import readers
from tests.faults import table

MOST_PIXELS = 178_956_970  # Pillow's
BYTES_A_PIXEL = 12.5  # what Pillow decodes, and two copies of it


def png(width: int, height: int, data: bytes) -> bytes:
  """A PNG file of so many pixels as its header says."""

  def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

  header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
  chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
  return b"\x89PNG\r\n\x1a\n" + chunks


def black(width: int, height: int) -> bytes:
  """A PNG file a thousand times smaller than its pixels."""
  packer = zlib.compressobj(9)
  rows = [packer.compress(bytes(1 + 3 * width)) for _ in range(height)]
  return png(width, height, b"".join([*rows, packer.flush()]))


@pytest.mark.parametrize("size", [(13_500, 13_500), (2**31 - 1, 2**31 - 1), (2**31 - 1, 32)])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, size):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  path = tmp_path / "bomb.png"
  path.write_bytes(png(*size, zlib.compress(bytes(10**6))))
  with pytest.raises(DataError, match="exceeds limit of 178956970 pixels"):
    photographs.read(str(path))
  assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16


MEASURE = """
import resource, sys
from l2l_tf.problems import photographs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(photographs.read(sys.argv[1]).size)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@table.thorough
def test_the_largest_picture_takes_what_security_md_says(tmp_path):
  path = tmp_path / "black.png"
  path.write_bytes(black(13_377, 13_377))
  assert 0.99 * MOST_PIXELS < 13_377**2 <= MOST_PIXELS and path.stat().st_size < 2**20
  with table.trial("a picture of 179 million pixels"):
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(path)]
    done = subprocess.run(
      command, cwd=programs.ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    size, memory = done.stdout.splitlines()
    assert size == "(13377, 13377)" and int(memory) < BYTES_A_PIXEL * MOST_PIXELS


@pytest.mark.parametrize("form", ["AVIF", "DDS"])
def test_rare_formats_lead_to_documented_errors(form):
  """Of old, Pillow's RuntimeError for these was a traceback."""
  data = bytearray(readers.picture(form))
  at = 80 if form == "DDS" else data.index(b"mdat") + 4  # the pixel format; the pixels
  data[at : at + 20] = bytes(20)
  assert not readers.READERS["png"].accepts(bytes(data))


def test_no_picture_starts_a_program(tmp_path, monkeypatch):
  """Of old, Pillow gave EPS to Ghostscript."""
  (tmp_path / "gs").write_text(f"#!/bin/sh\necho > {tmp_path}/started\n")
  (tmp_path / "gs").chmod(0o755)
  monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
  monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
  assert not readers.READERS["png"].accepts(readers.picture("EPS"))
  assert not (tmp_path / "started").exists()


class Waited(BaseException):
  """It took too long."""


def test_a_pipe_is_refused(tmp_path):
  def stop(*_):
    raise Waited

  os.mkfifo(tmp_path / "pipe.png")
  before = signal.signal(signal.SIGALRM, stop)
  signal.setitimer(signal.ITIMER_REAL, 0.5)
  try:
    with pytest.raises(DataError):
      photographs.read(str(tmp_path / "pipe.png"))
  finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
