"""What reads strangers' files, as functions of bytes that may raise documented errors only."""

import base64
from collections.abc import Callable
import gzip
import io
import json
import os
import tempfile
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from PIL import Image
import skimage

from l2l_tf import pretrained
from l2l_tf.config import presets
from l2l_tf.config.experiment import Experiment
from l2l_tf.evaluation import results_schema
from l2l_tf.inspection import proposal_files
from l2l_tf.inspection import sweep_files
from l2l_tf.inspection.proposal_files import VisualizationError
from l2l_tf.keras import optimizer as keras_optimizer
from l2l_tf.problems import DataError
from l2l_tf.problems import photographs
from l2l_tf.runs import search
from l2l_tf.runs.directory import RunError
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import peers
from l2l_tf.storage import phi_files
from tests import tiny_results

SHIPPED = pretrained.find("quadratic_lstm")
with open(os.path.join(SHIPPED, phi_files.WEIGHTS_FILE), "rb") as _file:
  WEIGHTS = _file.read()
CONFIG = files.read_json(os.path.join(SHIPPED, phi_files.CONFIG_FILE))
_OPTIMIZER = optimizer_files.from_bytes(CONFIG["optimizer"], WEIGHTS, SHIPPED)
_PATH = os.path.join(tempfile.gettempdir(), f"fuzzed-{os.getpid()}")


class Reader(NamedTuple):
  """One kind of file.

  Attributes:
    read: reads the bytes of a file.
    errors: the documented ones.
    seed: makes a file to begin with.
  """

  read: Callable[[bytes], Any]
  errors: tuple[type[Exception], ...]
  seed: Callable[[], bytes]

  def accepts(self, data: bytes) -> bool:
    """Whether the bytes are read; False for a documented error, others come through."""
    try:
      self.read(data)
    except self.errors:
      return False
    return True


def _json(data: bytes) -> Any:
  """The value as `files.read_json` gives it; None, which no reader takes, where it refuses."""
  try:
    return files.parse_json(data, "a file")
  except files.CheckpointError:
    return None


def _weights(data: bytes):
  """An optimizer.safetensors."""
  built = mock.patch.object(optimizer_files, "optimizer_from_config", lambda _: _OPTIMIZER)
  with built:  # building one is slow
    optimizer_files.from_bytes(CONFIG["optimizer"], data, "a file")


def _config(data: bytes):
  """The optimizer in a config.json of best/."""
  optimizer_files.from_bytes(_json(data), WEIGHTS, "a file")


def _run_config(data: bytes):
  """The experiment in a run's config.json."""
  Experiment.from_dict(_json(data))


def _results(data: bytes):
  """A results file."""
  results_schema.validate(_json(data))


def _visualization(data: bytes):
  """A visualization file."""
  proposal_files.validate(_json(data))


def _sweeps(data: bytes):
  """What a file of sweeps unpacks to."""
  sweep_files.parse(gzip.compress(data, 1), "a file")


def _packed_sweeps(data: bytes):
  """A file of sweeps, which TensorBoard's tab reads."""
  sweep_files.parse(data, "a file")


def _from_disk(read: Callable[[str], Any], data: bytes):
  """Gives `read` the path of a file of these bytes."""
  with open(_PATH, "wb") as file:
    file.write(data)
  try:
    read(_PATH)
  finally:
    os.remove(_PATH)


def _peer(data: bytes):
  """A peer's .npz."""
  _from_disk(peers.load, data)


def _trial(data: bytes):
  """The result.json of a trial of a search."""
  _from_disk(search.read, data)


def _keras_config(data: bytes):
  """The config of a LearnedOptimizer in a .keras file."""
  value = _json(data)
  keras_optimizer.LearnedOptimizer.from_config(value if isinstance(value, dict) else {})


def _image(data: bytes):
  """A photograph, of any format that Pillow knows."""
  _from_disk(photographs.read, data)


def picture(form: str) -> bytes:
  """A piece of a real photograph, 48 x 40 pixels, in a format of Pillow's."""
  buffer = io.BytesIO()
  with Image.open(os.path.join(os.path.dirname(skimage.__file__), "data", "chelsea.png")) as image:
    image.crop((120, 80, 168, 120)).save(buffer, form)
  return buffer.getvalue()


def _peer_seed() -> bytes:
  buffer = io.BytesIO()
  np.savez(buffer, **{name: np.zeros(shape, np.float32) for name, shape in peers.SHAPES.items()})
  return buffer.getvalue()


def _keras_seed() -> bytes:
  phi = base64.b64encode(WEIGHTS).decode()
  return _encoded({"optimizer": CONFIG["optimizer"], "phi": phi, "horizon": 9})


def _encoded(value: Any) -> bytes:
  return json.dumps(value).encode()


def _sweeps_seed() -> dict[str, Any]:
  return sweep_files.of_visualization(tiny_results.visualization())


def _quick() -> dict[str, Any]:
  return presets.PRESETS["quick"]["quadratic"].to_dict()


REFUSED = (files.CheckpointError,)
TRIAL = search.Trial(index=7, learning_rate=1e-3, losses=[2.5, None], pruned=False)
READERS = {
  "weights": Reader(_weights, REFUSED, lambda: WEIGHTS),
  "config": Reader(_config, REFUSED, lambda: _encoded(CONFIG["optimizer"])),
  "run_config": Reader(_run_config, (ValueError,), lambda: _encoded(_quick())),
  "results": Reader(_results, (ValueError,), lambda: _encoded(tiny_results.make())),
  "visualization": Reader(
    _visualization, (ValueError,), lambda: _encoded(tiny_results.visualization())
  ),
  "sweeps": Reader(_sweeps, (VisualizationError,), lambda: _encoded(_sweeps_seed())),
  "packed_sweeps": Reader(
    _packed_sweeps, (VisualizationError,), lambda: gzip.compress(_encoded(_sweeps_seed()))
  ),
  "peer": Reader(_peer, (peers.PeerError,), _peer_seed),
  "trial": Reader(_trial, (RunError,), lambda: _encoded(TRIAL.to_dict())),
  "png": Reader(_image, (DataError,), lambda: picture("PNG")),
  "jpeg": Reader(_image, (DataError,), lambda: picture("JPEG")),
  "keras_config": Reader(_keras_config, (*REFUSED, ValueError, TypeError), _keras_seed),
}
