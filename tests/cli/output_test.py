"""Output where characters are lacking: a program ends as it would elsewhere."""

import io
import os
import sys

import pytest

from l2l_tf.cli import output
from tests import programs
from tests import tiny_training

ENCODINGS = ["ascii", "latin-1", "cp1252", "cp437", "koi8-r", "utf-8", "utf-16"]
SHORT = [*tiny_training.BOWL, "--num_epochs=1"]


@pytest.fixture(name="streams")
def _streams(monkeypatch):
  """Sets stdout and stderr of an encoding; returns what has been written."""

  def make(encoding, errors="strict"):
    found = {}
    for name in ("stdout", "stderr"):
      found[name] = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors, newline="")
      monkeypatch.setattr(sys, name, found[name])

    def written(name):
      found[name].flush()
      return found[name].buffer.getvalue().decode(encoding, "surrogateescape")

    return written

  return make


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_text_can_be_printed(streams, encoding):
  written = streams(encoding)
  output.degrade()
  text = "1 ± 0.5 × θ – φ … ’ ü 學 \U0001f600"
  print(text)
  if encoding.startswith("utf"):
    assert written("stdout") == f"{text}\n"
  else:
    assert written("stdout").startswith(("1 ± 0.5 ", "1 +- 0.5 "))
    assert r"\u5b78 \U0001f600" in written("stdout")
  if encoding == "ascii":
    expected = r"1 +- 0.5 x theta - phi ... ' \xfc \u5b78 \U0001f600"
    assert written("stdout") == f"{expected}\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_bytes_of_file_names_go_out_as_they_came(streams, encoding):
  written = streams(encoding)
  output.degrade()
  print(os.fsdecode(b"r\xff\xfen"))
  assert written("stdout").encode(encoding, "surrogateescape") == b"r\xff\xfen\n"


def test_without_streams_nothing_happens(monkeypatch):
  monkeypatch.setattr(sys, "stdout", None)
  monkeypatch.setattr(sys, "stderr", io.StringIO())
  output.degrade()
  print("±", file=sys.stderr)
  assert sys.stdout is None and sys.stderr.getvalue() == "±\n"


def test_messages_stay_in_one_line():
  assert output.one_line("no \n\r\t\x1b in x±") == r"no \n\r\t\x1b in x±"


@pytest.mark.slow
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_training_ends_with_its_table_and_curves(streams, tmp_path, errors):
  """As with PYTHONIOENCODING=ascii, and where LC_ALL=C means ASCII."""
  written = streams("ascii", errors)
  run_dir = tmp_path / "rün\udcff"
  main = tiny_training.train.main
  with tiny_training.eagerly():
    assert programs.run(main, *SHORT, f"--run_dir={run_dir}") == 0
  out = written("stdout")
  assert "mean +- 95 % interval" in out and "Train it on" in out and r"r\xfcn" in out
  assert (run_dir / "learning_curves.png").stat().st_size > 1000


@pytest.mark.slow
def test_curves_are_kept_even_if_nobody_takes_the_output(tmp_path, monkeypatch):
  """A pipe that was closed, as by `| head`."""

  class Closed(io.StringIO):
    def write(self, text):
      if "fresh instances" in text:
        raise BrokenPipeError("nobody listens")
      return len(text)

  monkeypatch.setattr(sys, "stdout", Closed())
  run_dir = tmp_path / "run"
  main = tiny_training.train.main
  with tiny_training.eagerly():
    assert programs.run(main, *SHORT, f"--run_dir={run_dir}") == 1
  assert (run_dir / "learning_curves.png").exists()
