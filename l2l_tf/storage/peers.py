"""Learned optimizers of other implementations, to run in the same evaluation as ours.

The one form read is that of `VITA-Group/L2O-Training-Techniques` (Chen et al. 2020, "Training
stronger baselines for learning to optimize") as a plain NumPy archive: a coordinatewise LSTM of two
layers of 20 units with p = 5 and an output scale of 0.01, gates in the order i, j, f, o, the 1 on
the forget gate added by the cell, not stored.
"""

import io
import zipfile

import numpy as np

from l2l_tf.errors import ExpectedError
from l2l_tf.optimizers import CoordinatewiseLSTM
from l2l_tf.optimizers.preprocessing import LogAndSign
from l2l_tf.storage import files

SHAPES = {
  "lstm_1/w_gates": (22, 80),
  "lstm_1/b_gates": (80,),
  "lstm_2/w_gates": (40, 80),
  "lstm_2/b_gates": (80,),
  "linear/w": (20, 1),
  "linear/b": (1,),
}
MAX_FILE_BYTES = 2**20  # the files have 25 kB


class PeerError(ExpectedError, RuntimeError):
  """A file of weights is missing, damaged, or of another form; the message says which."""


def load(path: str) -> CoordinatewiseLSTM:
  """Returns the optimizer whose weights are in the archive at `path`.

  Raises:
    PeerError: if the file cannot be read, or holds other arrays than `SHAPES` of finite float32.
  """
  weights = _read(path)
  optimizer = CoordinatewiseLSTM((20, 20), LogAndSign(5.0), output_scale=0.01)
  for index, layer in enumerate(optimizer.layers, start=1):
    layer.w_gates.assign(_reorder_gates(weights[f"lstm_{index}/w_gates"]))
    layer.b_gates.assign(_reorder_gates(weights[f"lstm_{index}/b_gates"]))
  optimizer.linear.w.assign(weights["linear/w"])
  optimizer.linear.b.assign(weights["linear/b"])
  return optimizer


def _reorder_gates(weights: np.ndarray) -> np.ndarray:
  """Puts the gates i, j, f, o of the last axis, `[..., 4 units]`, into our order i, f, g = j, o."""
  i, j, f, o = np.split(weights, 4, axis=-1)
  return np.concatenate([i, f, j, o], axis=-1)


def _read(path: str) -> dict[str, np.ndarray]:
  try:
    content = files.read(path, MAX_FILE_BYTES)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
      if sum(member.file_size for member in archive.infolist()) > MAX_FILE_BYTES:
        raise PeerError(f"{path} unpacks to more than {MAX_FILE_BYTES} bytes.")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
      weights = {name: archive[name] for name in archive.files}
  except OSError as error:
    raise PeerError(f"Cannot read {path}: {error.strerror or error}.") from error
  except Exception as error:  # zipfile and NumPy raise many kinds for damaged archives
    if isinstance(error, PeerError):
      raise
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise PeerError(f"{path} is not a NumPy archive (.npz) of plain arrays: {reason}.") from error
  received = {name: (array.shape, str(array.dtype)) for name, array in weights.items()}
  expected = {name: (shape, "float32") for name, shape in SHAPES.items()}
  if received != expected:
    wrong = sorted(n for n in received | expected if received.get(n) != expected.get(n))[0]
    raise PeerError(
      f"{path}: {wrong!r} is {_text(received.get(wrong))}, expected {_text(expected.get(wrong))};"
      f" a peer's weights are float32 arrays {', '.join(SHAPES)}."
    )
  if not all(np.isfinite(array).all() for array in weights.values()):
    raise PeerError(f"{path} holds weights that are not finite.")
  return weights


def _text(form: tuple | None) -> str:
  return "missing" if form is None else f"{form[1]} {list(form[0])}"
