"""The LSTM's cell in C++, compiled for one machine: `bin/compile.py`, then `load`.

`lstm_kernel.cc` computes what `lstm.lstm_cell` does, and its gradient, for float32 on a CPU, in
half of the time. What is compiled lies in the user's cache, under a name that holds what it
depends on: the source, TensorFlow's version and the processor. Without it nothing changes.
"""

import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from l2l_tf.errors import ExpectedError

SOURCE = pathlib.Path(__file__).with_suffix(".cc")
# Eigen's own vectors are not used, and those for the newest processors ask for a newer compiler.
OPTIONS = ("-O3", "-march=native", "-w", "-DEIGEN_DONT_VECTORIZE", "-shared", "-fPIC")

_loaded: Any = None  # what `tf.load_op_library` gave


class KernelError(ExpectedError, RuntimeError):
  """The cell cannot be compiled or loaded; the message says why and what to do."""


def path() -> pathlib.Path:
  """Where this machine's is, or will be: in $XDG_CACHE_HOME/l2l_tf, by default ~/.cache/l2l_tf."""
  digest = hashlib.sha256(SOURCE.read_bytes())
  digest.update(repr((OPTIONS, tf.__version__, _processor())).encode())
  cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  return pathlib.Path(cache) / "l2l_tf" / f"lstm_kernel-{digest.hexdigest()[:16]}.so"


def compile() -> pathlib.Path:
  """Compiles the cell for this machine, unless that was done; takes some fifteen seconds.

  Returns:
    The file, which is removed to go back.

  Raises:
    KernelError: if there is no compiler, it fails, or there is no place for the file. $CXX names a
      compiler; else it is g++.
  """
  target = path()
  if os.path.exists(target):
    return target
  compiler = os.environ.get("CXX") or "g++"
  if shutil.which(compiler) is None:
    raise KernelError(
      f"There is no compiler {compiler!r}: install g++, or let CXX name a compiler of C++17."
    )
  try:
    target.parent.mkdir(parents=True, exist_ok=True)
    _compile(compiler, target)
  except OSError as error:
    text = f"The compiled cell cannot be written: {error}. Let XDG_CACHE_HOME name another folder."
    raise KernelError(text) from error
  return target


def _compile(compiler: str, target: pathlib.Path):
  with tempfile.TemporaryDirectory(dir=target.parent) as folder:
    made = pathlib.Path(folder) / target.name
    command = [compiler, *OPTIONS, *tf.sysconfig.get_compile_flags(), str(SOURCE), "-o", str(made)]
    run = subprocess.run([*command, *tf.sysconfig.get_link_flags()], capture_output=True, text=True)
    if run.returncode:
      said = "\n".join(run.stderr.splitlines()[:8])
      raise KernelError(f"{compiler} cannot compile {SOURCE}:\n{said}")
    made.replace(target)  # at once, whoever else compiles


def load() -> bool:
  """Lets `lstm.lstm_cell` use the compiled cell in this process, in what is traced from now on.

  Returns:
    Whether it is compiled for this machine.

  Raises:
    KernelError: if the file is damaged.
  """
  global _loaded
  target = path()
  if _loaded is None and os.path.exists(target):  # False too where we may not look
    try:
      _loaded = tf.load_op_library(str(target))
    except (tf.errors.OpError, RuntimeError) as error:
      raise KernelError(
        f"{target} cannot be loaded, remove it and compile again: {error}"
      ) from error
  return _loaded is not None


def loaded() -> bool:
  """Whether this process uses it."""
  return _loaded is not None


def serves(inputs: tf.Tensor) -> bool:
  """Whether it is loaded, and of use here: on float32, without a GPU, not in what XLA compiles."""
  if _loaded is None or inputs.dtype != tf.float32 or tf.config.get_visible_devices("GPU"):
    return False
  return not control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def cell(*arguments: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """(x, h, c, W, b) -> (h', c') as in `lstm.lstm_cell`; has no derivative of its own."""
  return tuple(_loaded.l2l_lstm_cell(*arguments))


def gradient(*arguments: tf.Tensor) -> tuple[tf.Tensor, ...]:
  """(x, h, c, W, b, dh', dc') -> the gradients behind these, of the first five."""
  return tuple(_loaded.l2l_lstm_cell_grad(*arguments))


def _processor() -> str:
  """What `-march=native` depends on."""
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
  except OSError:
    lines = []
  features = sorted({line for line in lines if line.startswith(("flags", "Features"))})
  return platform.machine() + "".join(features)
