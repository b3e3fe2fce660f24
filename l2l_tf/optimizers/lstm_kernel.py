"""The LSTM's cell in C++, compiled for one machine: `bin/compile.py`, then `load`.

`lstm_kernel.cc` computes what `lstm.lstm_cell` does, and its gradient, for float32 on a CPU, in
less time and memory. What is compiled lies in the user's cache, under a name that holds what it
depends on: the source, the build of TensorFlow, the C library and the processor.
$L2L_TF_KERNEL names another folder; empty, it switches the compiled cell off.
"""

import hashlib
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import tempfile
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from l2l_tf.errors import ExpectedError

FOLDER = "L2L_TF_KERNEL"  # environment variable
SOURCE = pathlib.Path(__file__).with_suffix(".cc")
# Eigen's own vectors are not used, and those for the newest processors ask for a newer compiler.
OPTIONS = ("-O3", "-march=native", "-w", "-DEIGEN_DONT_VECTORIZE", "-shared", "-fPIC")
MOST = 128  # units or features: the room that sums take grows with their product

_loaded: Any = None  # what `tf.load_op_library` gave


class KernelError(ExpectedError, RuntimeError):
  """The cell cannot be compiled or loaded; the message says why and what to do."""


def path() -> pathlib.Path | None:
  """Where this machine's is, or will be.

  Returns:
    A file in $L2L_TF_KERNEL, else $XDG_CACHE_HOME/l2l_tf, else ~/.cache/l2l_tf. None if the first
    is empty, or no folder can be told.
  """
  cache = os.environ.get("XDG_CACHE_HOME", "")
  cache = cache if os.path.isabs(cache) else os.path.expanduser("~/.cache")
  folder = os.environ.get(FOLDER, os.path.join(cache, "l2l_tf"))
  if not os.path.isabs(folder):  # a library is not looked for where one happens to be
    return None
  tensorflow = tf.version.VERSION, tf.version.GIT_VERSION, tf.version.COMPILER_VERSION
  machine = platform.machine(), platform.libc_ver(), _processor()
  options = [word for word in tf.sysconfig.get_compile_flags() if not word.startswith("-I")]
  key = repr((_source_digest(), OPTIONS, options, tensorflow, machine)).encode()
  return pathlib.Path(folder) / f"lstm_kernel-{hashlib.sha256(key).hexdigest()[:16]}.so"


def build() -> pathlib.Path:
  """Compiles the cell for this machine, unless that was done; takes some fifteen seconds.

  Returns:
    The file, which is removed to go back.

  Raises:
    KernelError: if there is no compiler, it fails, or there is no place for the file. $CXX names a
      compiler; else it is g++.
  """
  target = path()
  if target is None:
    raise KernelError(f"There is no folder for the compiled cell: let {FOLDER} name one, from /.")
  if os.path.exists(target):
    return target
  compiler = shlex.split(os.environ.get("CXX", "")) or ["g++"]
  if shutil.which(compiler[0]) is None:
    raise KernelError(
      f"There is no compiler {compiler[0]!r}: install g++, or let CXX name a compiler of C++17."
    )
  try:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
      made = pathlib.Path(folder) / target.name
      _compile(compiler, made)
      with open(made, "rb") as file:
        os.fsync(file.fileno())
      made.replace(target)  # at once, whoever else compiles
  except OSError as error:
    text = f"The compiled cell cannot be written: {error}. Let {FOLDER} name another folder."
    raise KernelError(text) from error
  return target


def _compile(compiler: list[str], target: pathlib.Path) -> None:
  command = [*compiler, *OPTIONS, *tf.sysconfig.get_compile_flags(), str(SOURCE)]
  command += ["-o", str(target), *tf.sysconfig.get_link_flags()]
  try:
    run = subprocess.run(command, capture_output=True, text=True, errors="replace")
  except OSError as error:
    raise KernelError(f"{compiler[0]} cannot be started: {error}.") from error
  if run.returncode:
    said = "\n".join(run.stderr.splitlines()[:8])
    raise KernelError(f"{shlex.join(compiler)} cannot compile {SOURCE}:\n{said}")


def load() -> bool:
  """Lets `lstm.lstm_cell` use the compiled cell in this process, in what is traced from now on.

  A graph that was traced so holds its operations: XLA cannot compile it, should a function of yours
  that was traced before be called in a `jit_compile=True` one, and no other process can read it.

  Returns:
    Whether it is compiled for this machine.

  Raises:
    KernelError: if the file is damaged.
  """
  global _loaded
  target = path()
  if _loaded is None and target and os.path.exists(target):  # False too where we may not look
    try:
      _loaded = tf.load_op_library(str(target))
    except (tf.errors.OpError, RuntimeError) as error:
      text = f"{target} cannot be loaded, remove it and compile again: {error}"
      raise KernelError(text) from error
  return _loaded is not None


def version() -> str | None:
  """What this process computes cells of float32 with, beside XLA; None: TensorFlow's operations."""
  return f"compiled {_source_digest()[:12]}" if _at_hand() else None


def serves(inputs: tf.Tensor, units: int) -> bool:
  """Whether it is of use here: loaded, for float32, not too large, without a GPU, not for XLA."""
  if not _at_hand() or inputs.dtype != tf.float32 or max(units, inputs.shape[0]) > MOST:
    return False
  return not control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def _at_hand() -> bool:
  return _loaded is not None and not tf.config.get_visible_devices("GPU")


def cell(*arguments: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """(x, h, c, W, b) -> (h', c') as in `lstm.lstm_cell`; has no derivative of its own."""
  return tuple(_loaded.l2l_lstm_cell(*arguments))


def gradient(*arguments: tf.Tensor) -> tuple[tf.Tensor, ...]:
  """(x, h, c, W, b, dh', dc') -> the gradients behind these, of the first five."""
  return tuple(_loaded.l2l_lstm_cell_grad(*arguments))


def _source_digest() -> str:
  return hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def _processor() -> str:
  """What `-march=native` depends on."""
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
  except OSError:
    lines = []
  features = sorted({line for line in lines if line.startswith(("flags", "Features"))})
  return "".join(features)
