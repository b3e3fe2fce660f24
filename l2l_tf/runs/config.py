"""What a run records of itself in `config.json`, and what of that a resume must find again."""

import os
from typing import Any

from absl import logging
import tensorflow as tf

from l2l_tf.config.experiment import Experiment
from l2l_tf.optimizers import Optimizer
from l2l_tf.optimizers import lstm_kernel
from l2l_tf.problems.base import Problem
from l2l_tf.runs.directory import CONFIG_FILE
from l2l_tf.runs.directory import RunError
from l2l_tf.storage import files
from l2l_tf.storage import provenance


def make(
  experiment: Experiment, problem: Problem, data: str, optimizer: Optimizer, replicas: int
) -> dict[str, Any]:
  """Returns the config of a run that begins now.

  Args:
    experiment: what is trained.
    problem: what its options built.
    data: which data it uses, in words.
    optimizer: what its options built.
    replicas: number of devices that share the instances.
  """
  code = {"optimizer_code": optimizer.config()["sha256"]} if experiment.users_optimizer else {}
  return {
    "experiment": experiment.to_dict(),
    **code,
    "data": data,
    "data_sha256": problem.digest,
    "versions": provenance.versions(),
    "replicas": replicas,
  }


def read(directory: str) -> Experiment:
  """Returns the experiment of the run in `directory`.

  Raises:
    RunError: if there is no run, or what its config holds is no experiment.
    CheckpointError: if the config is damaged.
  """
  path = os.path.join(directory, CONFIG_FILE)
  try:
    os.stat(path)
  except OSError as error:
    raise RunError(
      f"There is no run to resume in {directory}: no {CONFIG_FILE} there ({error.strerror})."
    ) from error
  config = files.read_json(path)
  try:
    return Experiment.from_dict(config.get("experiment"))
  except (AttributeError, ValueError) as error:
    raise RunError(f"{directory}/{CONFIG_FILE} is not the config of a run: {error}") from error


def check_code(directory: str, what: str, name: str | None, given: str | None):
  """Raises RunError unless the code of the user's that a run names was given, and no other."""
  if name != given:
    raise RunError(
      f"{directory} was trained on the code {name}. Add `{what}`={name} if you trust it."
      if name
      else f"{directory} was not trained on `{what}`={given}; leave that out."
    )


def check(directory: str, began: dict[str, Any], now: dict[str, Any]):
  """Makes sure that a run can go on; another TensorFlow is warned of.

  Args:
    directory: of the run.
    began: the config that it began with, perhaps one of an older version of this program.
    now: what `make` returns now.

  Raises:
    RunError: if the data or the number of replicas are not those it began with.
  """
  mend = "Make the first available again (`data_dir`, TFDS_DATA_DIR), or start a new run."
  if began.get("data") != now["data"]:
    raise RunError(
      f"{directory} was trained on '{began.get('data')}', but the data found now are"
      f" '{now['data']}'. {mend}"
    )
  if began.get("data_sha256", now["data_sha256"]) != now["data_sha256"]:
    raise RunError(
      f"{directory} was trained on other data of the name '{now['data']}': the SHA-256 of images"
      f" and labels is not the same. {mend}"
    )
  if began.get("optimizer_code") != now.get("optimizer_code"):
    raise RunError(
      f"{directory} was trained on another version of the optimizer's code: its SHA-256 began with"
      f" {began.get('optimizer_code')!s:.20}, now it does with {now.get('optimizer_code')}. Make"
      " the first version available again, or start a new run (`init_from` keeps phi)."
    )
  if (replicas := began.get("replicas", 1)) != now["replicas"]:
    raise RunError(
      f"{directory} was trained on {replicas} replicas, now there are {now['replicas']}. Resume it"
      " with as many (`strategy`, TF_CONFIG)."
    )
  versions = began.get("versions")
  versions = versions if isinstance(versions, dict) else {}
  cells = versions.get("lstm_cell"), lstm_kernel.version()
  if cells[0] != cells[1]:
    logging.warning(
      "%s began with the LSTM's cell %.40s and goes on with it %s: the last digits may differ.",
      *(directory, *(cell or "in TensorFlow's operations" for cell in cells)),
    )
  trained_with = versions.get("tensorflow")
  if trained_with != tf.__version__:
    logging.warning(
      "%s began with TensorFlow %.40s and goes on with %s: the last digits may differ.",
      *(directory, trained_with, tf.__version__),
    )
