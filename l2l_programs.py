"""Starts the programs of l2l_tf/cli: bin/NAME.py and the console scripts l2l-NAME call these.

It lies outside the package, as what it sets must be set before l2l_tf imports TensorFlow.
"""

import functools
import importlib
import os
import signal


def _start(name: str):
  """Imports and runs l2l_tf/cli/NAME.py; the process ends with its exit status."""
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C amid the imports is no traceback
  importlib.import_module(f"l2l_tf.cli.{name}").run()


train = functools.partial(_start, "train")
imitate = functools.partial(_start, "imitate")
evaluate = functools.partial(_start, "evaluate")
visualize = functools.partial(_start, "visualize")
figures = functools.partial(_start, "figures")
diagnose = functools.partial(_start, "diagnose")
style = functools.partial(_start, "style")
triples = functools.partial(_start, "triples")
zoo = functools.partial(_start, "zoo")
