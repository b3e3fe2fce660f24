"""What a long computation is doing: a bar in a terminal, elsewhere a plain line now and then."""

import sys
import time
from typing import Any

from l2l_tf import surroundings

with surroundings.extra("train"):
  import tqdm

SECONDS = 10.0  # between two lines that nothing but time calls for


class Report:
  """Counts what is done, on stderr."""

  def __init__(self, total: int, unit: str, done: int = 0, label: str = ""):
    """Begins.

    Args:
      total: how many units there are; grows if more are done.
      unit: what one is called.
      done: how many of them were done before.
      label: what they are all for.
    """
    self._unit, self._label = unit, label
    self._total, self._done = total, done
    self._last = time.monotonic()
    self._first: tuple[float, int] | None = None  # when something was done, and how much
    self._bar = None
    if sys.stderr.isatty():
      self._bar = tqdm.tqdm(
        initial=done, total=total, unit=unit, desc=label or None, dynamic_ncols=True
      )
    elif label:
      self.say(f"{label}, {total - done} {unit}s")

  def __enter__(self) -> "Report":
    return self

  def __exit__(self, *exc_info: Any):
    self.close()

  def close(self):
    """Leaves the bar as it is and its line; without a bar there is nothing to leave."""
    if self._bar is not None:
      self._bar.close()

  def reach(self, done: int, note: str = ""):
    """So many units are done now; `note` says beside them what is going on."""
    count, self._done = done - self._done, done
    self._total = max(self._total, done)
    self._first = self._first or (time.monotonic(), done)
    if self._bar is not None:
      self._bar.total = self._total
      self._bar.set_postfix_str(note, refresh=False)
      self._bar.update(count)
    elif time.monotonic() - self._last >= SECONDS:
      self.say(self._line(note))

  def advance(self, count: int = 1, note: str = ""):
    """So many more units are done."""
    self.reach(self._done + count, note)

  def say(self, text: str):
    """A line of its own, but where there is a bar."""
    if self._bar is None:
      self._last = time.monotonic()
      say(text)

  def _line(self, note: str) -> str:
    counted, left = f"{self._done} of {self._total} {self._unit}s", ""
    began, before = self._first or (0.0, self._done)
    if self._done > before:  # the first took longer: something was compiled
      seconds = (time.monotonic() - began) / (self._done - before)
      left = f"{_clock(seconds * (self._total - self._done))} left"
    return ", ".join(part for part in (self._label, counted, left, note) if part)


def say(text: str):
  """Says what is being done."""
  print(text, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
