"""What reads strangers' files, as functions of bytes that may raise documented errors only."""

import base64
import io
import json
import os
import tempfile
from unittest import mock

import numpy as np

from l2l_tf import checkpoint
from l2l_tf import experiments
from l2l_tf import keras_optimizer
from l2l_tf import peers
from l2l_tf import pretrained
from l2l_tf import results_schema
from l2l_tf import visualizations
from tests import tiny_results
import contextlib

SHIPPED = pretrained.find("quadratic_lstm")
with open(os.path.join(SHIPPED, checkpoint.WEIGHTS_FILE), "rb") as _file:
  WEIGHTS = _file.read()
CONFIG = checkpoint.read_json(os.path.join(SHIPPED, checkpoint.CONFIG_FILE))
_OPTIMIZER = checkpoint.from_bytes(CONFIG["optimizer"], WEIGHTS, SHIPPED)
_PATH = os.path.join(tempfile.gettempdir(), f"fuzzed-{os.getpid()}")


def _json(data: bytes):
  """The value as `checkpoint.read_json` gives it; None where it refuses."""
  try:
    return checkpoint.parse_json(data, "a file")
  except checkpoint.CheckpointError:
    return None


def _built(_):
  return _OPTIMIZER


def weights(data: bytes):
  """An optimizer.safetensors."""
  try:
    with mock.patch.object(checkpoint, "optimizer_from_config", _built):  # building one is slow
      checkpoint.from_bytes(CONFIG["optimizer"], data, "a file")
  except checkpoint.CheckpointError:
    pass


def config(data: bytes):
  """The optimizer in a config.json of best/."""
  value = _json(data)
  with contextlib.suppress(checkpoint.CheckpointError):
    checkpoint.from_bytes(value, WEIGHTS, "a file")


def run_config(data: bytes):
  """The experiment in a run's config.json."""
  with contextlib.suppress(ValueError):
    experiments.Experiment.from_dict(_json(data))


def results(data: bytes):
  """A results file."""
  with contextlib.suppress(ValueError):
    results_schema.validate(_json(data))


def visualization(data: bytes):
  """A visualization file."""
  with contextlib.suppress(ValueError):
    visualizations.validate(_json(data))


def peer(data: bytes):
  """A peer's .npz."""
  with open(_PATH, "wb") as file:
    file.write(data)
  try:
    peers.load(_PATH)
  except peers.PeerError:
    pass
  finally:
    os.remove(_PATH)


def keras_config(data: bytes):
  """The config of a LearnedOptimizer in a .keras file."""
  value = _json(data)
  with contextlib.suppress(checkpoint.CheckpointError, ValueError, TypeError):
    keras_optimizer.LearnedOptimizer.from_config(value if isinstance(value, dict) else {})


def _peer_seed() -> bytes:
  buffer = io.BytesIO()
  np.savez(buffer, **{name: np.zeros(shape, np.float32) for name, shape in peers.SHAPES.items()})
  return buffer.getvalue()


def _keras_seed() -> bytes:
  phi = base64.b64encode(WEIGHTS).decode()
  return json.dumps({"optimizer": CONFIG["optimizer"], "phi": phi, "horizon": 9}).encode()


READERS = {  # what to break, and what to begin with
  "weights": (weights, lambda: WEIGHTS),
  "config": (config, lambda: json.dumps(CONFIG["optimizer"]).encode()),
  "run_config": (
    run_config,
    lambda: json.dumps(experiments.PRESETS["quick"]["quadratic"].to_dict()).encode(),
  ),
  "results": (results, lambda: json.dumps(tiny_results.make()).encode()),
  "visualization": (visualization, lambda: json.dumps(tiny_results.visualization()).encode()),
  "peer": (peer, _peer_seed),
  "keras_config": (keras_config, _keras_seed),
}
