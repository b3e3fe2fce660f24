"""Importing what needs TensorFlow, once the flags are right, without its greetings.

TensorFlow greets on file descriptor 2 while it is imported and while it looks for GPUs, whatever
TF_CPP_MIN_LOG_LEVEL says. What is said until then is held back in a file without a name. It is
shown if the import fails, or the program ends by an error that it did not expect. Those who set
that variable to 0 see everything at once. Meanwhile Ctrl-C ends the program without a word.
"""

import atexit
import contextlib
import faulthandler
import importlib
import logging
import os
import signal
import sys
import tempfile
from types import ModuleType

from l2l_tf import surroundings
from l2l_tf.errors import ExpectedError

UNUSED = ("jax", "matplotlib", "sklearn")
"""What TensorFlow and Keras import where it is installed, for parts that no program uses. It takes
a quarter of their start. What is imported later, by our modules too, is as ever."""
HEADING = "What was said at the start and held back, as it seldom matters:\n"


def load(name: str, kernel: bool = True) -> ModuleType:
  """Imports a module that imports TensorFlow, and has that look for its devices.

  Args:
    name: such as "l2l_tf.cli.work.train".
    kernel: whether the LSTM's cell in C++ shall serve, where it is compiled.
  """
  if "tensorflow" in sys.modules:
    return importlib.import_module(name)
  os.environ["KERAS_BACKEND"] = "tensorflow"  # another one may not even be installed
  held = _hold()
  try:
    with _no_word_on_ctrl_c():
      with surroundings.extra("train"), _hidden(UNUSED):
        importlib.import_module("tensorflow")
      module = importlib.import_module(name)
      importlib.import_module("tensorflow").config.list_physical_devices()
  except ExpectedError:  # a package is missing
    held and held.end()
    raise
  if held is not None:
    held.end()
    logging.getLogger("absl").addFilter(held)
  if kernel:
    _load_kernel()
  return module


def _load_kernel():
  """Where the program has to do with optimizers. What is an option stops none."""
  lstm_kernel = sys.modules.get("l2l_tf.optimizers.lstm_kernel")
  if lstm_kernel is None:
    return
  try:
    lstm_kernel.load()
  except lstm_kernel.KernelError as error:
    print(f"{error} This program goes on without.", file=sys.stderr)


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


def _hold() -> Held | None:
  """Begins to hold back, unless somebody wants to see it or it cannot be done."""
  if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
    return None
  try:
    return Held()
  except OSError:
    return None


@contextlib.contextmanager
def _hidden(names):
  """For an import, packages are as if they were not installed."""
  hidden = [name for name in names if name not in sys.modules]
  sys.modules.update(dict.fromkeys(hidden))
  try:
    yield
  finally:
    for name in hidden:
      del sys.modules[name]


@contextlib.contextmanager
def _no_word_on_ctrl_c():
  """Ctrl-C ends the process as a signal does: no traceback from amid the imports."""
  before = signal.signal(signal.SIGINT, signal.SIG_DFL)
  try:
    yield
  finally:
    signal.signal(signal.SIGINT, before)
