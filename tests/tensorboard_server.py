"""A real TensorBoard in a process of its own, with our tab whether or not l2l_tf is installed."""

from collections.abc import Iterator
import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time
from typing import Any
import urllib.error
import urllib.parse
import urllib.request

import pytest

SECONDS = 90  # to wait for it
PROGRAM = """
import sys
from tensorboard import default, main_lib, program
from l2l_tf_tensorboard import Loader
main_lib.global_init()
board = program.TensorBoard([*default.get_static_plugins(), Loader])
board.configure(sys.argv)
sys.exit(board.main())
"""


@contextlib.contextmanager
def serving(directory: pathlib.Path, program: list[str] | None = None) -> Iterator[str]:
  """Serves a directory; gives the address.

  Args:
    directory: the logdir.
    program: the words that start TensorBoard; by default one that has our tab and no other that is
      installed.
  """
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  command = [*(program or [sys.executable, "-c", PROGRAM]), f"--logdir={directory}"]
  command += ["--host=127.0.0.1", f"--port={port}", "--load_fast=false", "--reload_interval=1"]
  with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
    try:
      address = f"http://127.0.0.1:{port}"
      wait_for(lambda: get(f"{address}/data/plugins_listing"), process)
      yield address
    finally:
      process.terminate()


def wait_for(done, process: subprocess.Popen | None = None):
  """Waits until `done()` is true; a server that does not answer yet is not."""
  end = time.monotonic() + SECONDS
  while time.monotonic() < end and (process is None or process.poll() is None):
    with contextlib.suppress(urllib.error.URLError, ConnectionError):
      if done():
        return
    time.sleep(0.3)
  pytest.fail(f"TensorBoard does not answer: {process and process.poll()}.")


def get(address: str, **query: Any) -> Any:
  """The JSON at an address, or the bytes of anything else."""
  url = f"{address}?{urllib.parse.urlencode(query)}" if query else address
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  with opener.open(url, timeout=30) as response:
    content = response.read()
    return json.loads(content) if "json" in response.headers["Content-Type"] else content
