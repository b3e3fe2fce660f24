"""Stopping a long computation by SIGINT or SIGTERM, at a point of its own choice."""

import signal
from typing import Any


class Interrupted(Exception):
  """SIGINT or SIGTERM stopped the training, after everything was saved."""

  def __init__(self, signum: int):
    super().__init__(signal.Signals(signum).name)
    self.signum = signum


class Signals:
  """Remembers SIGINT and SIGTERM instead of dying in the middle of a write."""

  def __enter__(self) -> "Signals":
    self.received = 0
    self._before = {s: signal.signal(s, self._receive) for s in (signal.SIGINT, signal.SIGTERM)}
    return self

  def __exit__(self, *exc_info: Any):
    for signum, handler in self._before.items():
      signal.signal(signum, handler)

  def _receive(self, signum: int, frame: Any):
    del frame
    self.received = signum
