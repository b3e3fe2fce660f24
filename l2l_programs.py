"""Starts the programs of l2l_tf/cli: bin/NAME.py and the console scripts l2l-NAME call these.

It lies outside the package, as what it does must be done before l2l_tf imports TensorFlow.
TensorFlow greets on file descriptor 2 while it is imported and while it looks for GPUs, whatever
TF_CPP_MIN_LOG_LEVEL says. What is said until then is held back in a file without a name. It is
shown if the program cannot start, or ends by an error that it did not expect. Those who set that to
0 see everything at once. Until then, too, Ctrl-C ends the program without a word.
"""

import atexit
import faulthandler
import functools
import importlib
import logging
import os
import signal
import sys
import tempfile

HEADING = "What was said at the start and held back, as it seldom matters:\n"


class Held(logging.Filter):
  """What was said on file descriptor 2, and later the warnings of TensorFlow Datasets."""

  def __init__(self):
    """Begins to hold back.

    Raises:
      OSError: if there is no file descriptor 2, or no place for a file.
    """
    super().__init__()
    self._stderr = os.dup(2)
    self._file = tempfile.TemporaryFile()  # noqa: SIM115
    os.dup2(self._file.fileno(), 2)
    self._had_faulthandler = faulthandler.is_enabled()
    faulthandler.enable(self._stderr)  # of a crash in TensorFlow at least this is seen
    atexit.register(lambda: self.end() and self._show())
    sys.excepthook = self._explain

  def end(self) -> bool:
    """Gives file descriptor 2 back; returns whether that was still to be done."""
    if self._stderr is None:
      return False
    sys.stderr.flush()
    os.dup2(self._stderr, 2)
    faulthandler.enable() if self._had_faulthandler else faulthandler.disable()
    os.close(self._stderr)
    self._stderr = None
    return True

  def filter(self, record: logging.LogRecord) -> bool:
    """Holds back a warning of TensorFlow Datasets; our own errors tell what comes of it."""
    if record.levelno > logging.WARNING or "tensorflow_datasets" not in record.pathname:
      return True
    self._file.write(f"{record.levelname}: {record.getMessage()}\n".encode())
    return False

  def _show(self):
    self._file.seek(0)
    if said := self._file.read().decode(errors="replace"):
      print(HEADING + said, file=sys.stderr, flush=True)

  def _explain(self, *error):
    """Python's hook for an exception that nobody caught."""
    self.end()
    self._show()
    sys.__excepthook__(*error)


def _start(name: str):
  """Imports and runs l2l_tf/cli/NAME.py; the process ends with its exit status."""
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  os.environ["KERAS_BACKEND"] = "tensorflow"  # another one may not even be installed
  held = _hold()
  try:
    program = importlib.import_module(f"l2l_tf.cli.{name}")
  except ModuleNotFoundError as error:
    _say_what_is_missing(error, held)
    raise
  _look_for_devices()
  if held is not None:
    held.end()
    logging.getLogger("absl").addFilter(held)
  if sys.stdout is not None:
    sys.stdout.reconfigure(line_buffering=True)  # in a log it keeps its place among the errors
  program.run()


def _hold() -> Held | None:
  """Begins to hold back, unless somebody wants to see it or it cannot be done."""
  if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
    return None
  try:
    return Held()
  except OSError:
    return None


def _say_what_is_missing(error: ModuleNotFoundError, held: Held | None):
  """Ends the program with one line, if it is known which extra brings what it needs."""
  from l2l_tf import surroundings

  if isinstance(error, surroundings.MissingPackage):
    if held is not None:
      held.end()
    sys.exit(f"{sys.argv[0]}: {error}")


def _look_for_devices():
  """Has TensorFlow say its last words on what it starts with."""
  import tensorflow as tf

  tf.config.list_physical_devices()


train = functools.partial(_start, "train")
imitate = functools.partial(_start, "imitate")
evaluate = functools.partial(_start, "evaluate")
visualize = functools.partial(_start, "visualize")
figures = functools.partial(_start, "figures")
diagnose = functools.partial(_start, "diagnose")
style = functools.partial(_start, "style")
triples = functools.partial(_start, "triples")
zoo = functools.partial(_start, "zoo")
