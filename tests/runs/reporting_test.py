"""Reports: lines of their own in a log, a bar in a terminal."""

import io
import sys

import pytest

from l2l_tf.runs import reporting


@pytest.fixture(name="clock")
def _clock(monkeypatch):
  """Seconds that the test sets."""
  now = [100.0]
  monkeypatch.setattr(reporting.time, "monotonic", lambda: now[0])
  return now


def test_a_line_every_ten_seconds(clock, capsys):
  with reporting.Report(100, "run", done=20, label="Tuning") as report:
    for _ in range(60):
      clock[0] += 1
      report.advance(note="adam")
  lines = capsys.readouterr().err.splitlines()
  assert lines[0] == "Tuning, 80 runs"
  assert lines[1] == "Tuning, 30 of 100 runs, 1:10 left, adam"
  assert lines[-1] == "Tuning, 80 of 100 runs, 0:20 left, adam" and len(lines) == 7


def test_a_line_that_was_asked_for_begins_ten_seconds_anew(clock, capsys):
  report = reporting.Report(100, "window")
  clock[0] += 9
  report.say("Epoch 1")
  clock[0] += 9
  report.reach(50)
  assert capsys.readouterr().err == "Epoch 1\n"
  clock[0] += 1
  report.reach(51, "validating")
  assert capsys.readouterr().err == "51 of 100 windows, 0:49 left, validating\n"


def test_the_first_says_nothing_of_the_others(clock, capsys):
  """It waits for what is compiled."""
  report = reporting.Report(100, "window")
  for seconds in (60, 10):
    clock[0] += seconds
    report.advance()
  lines = capsys.readouterr().err.splitlines()
  assert lines == ["1 of 100 windows", "2 of 100 windows, 16:20 left"]


def test_more_than_there_seemed_to_be_and_hours(clock, capsys):
  report = reporting.Report(10, "step")
  report.reach(1)
  clock[0] += 7200
  report.reach(3)
  report.reach(12)
  clock[0] += 10
  report.advance(3)
  lines = capsys.readouterr().err.splitlines()
  assert lines == ["3 of 10 steps, 7:00:00 left", "15 of 15 steps, 0:00 left"]


def test_a_terminal_gets_a_bar(monkeypatch):
  terminal = io.StringIO()
  terminal.isatty = lambda: True
  monkeypatch.setattr(sys, "stderr", terminal)
  monkeypatch.setenv("COLUMNS", "80")
  with reporting.Report(4, "window", done=1, label="Testing") as report:
    report.say("not beside a bar")
    report.reach(3, "validating")
    report.advance()
  text = terminal.getvalue()
  assert "\rTesting:  25%" in text and "4/4" in text and "not beside" not in text
