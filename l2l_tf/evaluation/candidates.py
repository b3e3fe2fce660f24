"""Trained optimizers as the command line names them."""

from collections.abc import Sequence
import hashlib
import os
from typing import NamedTuple

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.errors import ExpectedError
from l2l_tf.optimizers import Optimizer
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import peers
from l2l_tf.storage import phi_files
from l2l_tf.storage.labels import relative
from l2l_tf.storage.labels import split_label


class ContenderError(ExpectedError, RuntimeError):
  """A trained optimizer cannot take part; the message says why."""


class Contender(NamedTuple):
  """A trained optimizer to compare with the rivals."""

  name: str
  kind: str  # "learned" or "peer"
  optimizer: Optimizer
  source: str  # where it was found: a directory, a pretrained name, a file
  sha256: str  # of its file of weights


def load(
  learned: Sequence[str],
  peer_files: Sequence[str],
  problem: str,
  transfer: bool,
  user_optimizer: str | None = None,
) -> list[Contender]:
  """Loads trained optimizers, and those of other implementations.

  Args:
    learned: directories, or names of pretrained optimizers; each may have a label, "LABEL=...".
    peer_files: files that `peers.load` reads; likewise.
    problem: name of the problem that they will be compared on.
    transfer: accept optimizers that were trained on another problem.
    user_optimizer: the `module:factory` of the user's that files of optimizers may name.

  Raises:
    ContenderError: if one is not there, was trained on another problem, or has a name that another
      one has.
    CheckpointError, PeerError: if its files are damaged, or name other code of the user's.
  """
  contenders = [_load_learned(text, problem, transfer, user_optimizer) for text in learned]
  contenders += [_load_peer(text) for text in peer_files]
  taken = set(optimizers.HAND_DESIGNED)
  for contender in contenders:
    if contender.name in taken:
      raise ContenderError(
        f"Two optimizers are called {contender.name!r}; give {contender.source} another label, as"
        f" in LABEL={contender.source}."
      )
    taken.add(contender.name)
  return contenders


def _load_learned(text: str, problem: str, transfer: bool, user_optimizer: str | None) -> Contender:
  label, where = _split_label(text)
  directory, source = where, relative(where)
  name = os.path.basename(os.path.abspath(where))
  if name == "best":  # runs/NAME/best
    name = os.path.basename(os.path.dirname(os.path.abspath(where)))
  if not os.path.isdir(where):
    try:
      directory, source = pretrained.find(where), f"pretrained/{where}"
    except ValueError as error:
      raise ContenderError(str(error)) from error
  optimizer, about = optimizer_files.load_optimizer(directory, user_optimizer)
  if about.problem not in (None, problem) and not transfer:
    raise ContenderError(
      f"{source} was trained on `problem`={about.problem}, not on {problem}; add `transfer` if that"
      " is meant."
    )
  digest = _file_digest(os.path.join(directory, phi_files.WEIGHTS_FILE))
  return Contender(label or name, "learned", optimizer, source, digest)


def _load_peer(text: str) -> Contender:
  label, path = _split_label(text)
  optimizer = peers.load(path)
  name = label or os.path.splitext(os.path.basename(path))[0]
  return Contender(name, "peer", optimizer, relative(path), _file_digest(path))


def _split_label(text: str) -> tuple[str | None, str]:
  label, path = split_label(text)
  if label is not None and not (label and path):
    raise ContenderError(f"LABEL=PATH or PATH expected, got {text!r}.")
  return label, path


def _file_digest(path: str) -> str:
  with open(path, "rb") as file:
    return hashlib.sha256(file.read()).hexdigest()
