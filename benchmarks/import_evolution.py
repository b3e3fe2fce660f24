"""Makes a trained optimizer of what evolve.py has written: python -m benchmarks.import_evolution

OUT gets the two files of a trained optimizer (docs/format.md), with what the training was like.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import json
import math
from typing import Any
import zipfile

import numpy as np

from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import experiment
from l2l_tf.config.optimizers import General
from l2l_tf.config.optimizers import of_file
from l2l_tf.config.options import Options
from l2l_tf.config.problems import General as GeneralProblem
from l2l_tf.config.training import Training
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import outputs
from l2l_tf.storage import phi_files

PART = 200  # meta-steps of a row of the history
BEFORE = {"kind": "general", "hidden": [24, 24]}  # what files are of that do not tell
AFTERWARDS = "orthogonal was turned on; the weights are those of the training without it"


def trained(phi: np.ndarray, options: Options) -> optimizers.Optimizer:
  """The optimizer with this phi, flat."""
  optimizer = options.build(seed=0)
  variables = optimizer.trainable_variables
  ends = np.cumsum([math.prod(v.shape) for v in variables])
  if phi.shape != (ends[-1],):
    raise experiment_flags.UsageError(f"phi must have {ends[-1]} numbers, got {phi.shape}.")
  for variable, value in zip(variables, np.split(phi, ends[:-1])):
    variable.assign(value.reshape(variable.shape))
  return optimizer


def about_of(
  about: dict[str, Any], options: Options, log: np.ndarray, index: int
) -> dict[str, Any]:
  """What config.json tells of the training.

  Args:
    about: what evolve.py tells.
    options: of the optimizer.
    log: a row a meta-step: problem, length, objective of each optimizer.
    index: of the optimizer.
  """
  _, shortest, longest = zip(*about["phases"])
  training = Training(
    estimator="es",
    num_steps=max(longest),
    shortest=min(shortest),
    num_tasks=about["num_pairs"],
    perturbation=about["sigma"],
    learning_rate=about["rates"][0],
    learning_rate_decay=about["rates"][1] / about["rates"][0],
    num_epochs=1,
    episodes_per_epoch=len(log),
    seed=about["seed"] + index,
    jit_compile=True,
  )
  parts = [log[k : k + PART] for k in range(0, len(log), PART)]
  return {
    "experiment": experiment.describe(GeneralProblem(), options, training),
    **{name: about[name] for name in ("init_from",) if name in about},
    "data": about["data"],
    "data_sha256": about["data_sha256"],
    "versions": about["versions"],
    "evolution": {
      name: about[name] for name in ("num_images", "num_starts", "phases", "seconds", "device")
    },
    "history": [
      {
        "meta_steps": k * PART + len(part),
        "mean_length": round(float(part[:, 1].mean())),
        "objective": round(float(part[:, 2 + index].mean()), 4),
      }
      for k, part in enumerate(parts)
    ],
  }


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Read, "phi", "phi.npz", "OUT.npz of evolve.py")
  flags.add(int, "index", 0, "which of the optimizers in it", range(2))
  flags.add(bool, "average", True, "the average of late phi, not the last one")
  text = "make updates of small matrices orthogonal, which the training did not"
  flags.add(bool, "orthogonal", False, text)
  default = os.path.join(outputs.RUNS, "general")
  flags.add(paths.Written, "out", default, "folder of the optimizer")
  flags.parse(argv)
  try:
    with np.load(flags.phi) as arrays:
      about, log = json.loads(str(arrays["about"])), arrays["log"]
      phi = arrays["average" if flags.average else "phi"][flags.index]
  except (KeyError, ValueError, zipfile.BadZipFile) as error:
    text = f"--phi must be a file that evolve.py has written, got {flags.phi}: {error}"
    raise experiment_flags.UsageError(text) from error
  if os.path.exists(os.path.join(flags.out, phi_files.CONFIG_FILE)):
    raise experiment_flags.UsageError(f"{flags.out} has an optimizer; name another --out.")
  options = of_file(about.get("optimizer", BEFORE))
  what = about_of(about, options, log, flags.index)
  if flags.orthogonal:
    if not isinstance(options, General):
      raise experiment_flags.UsageError(f"--orthogonal is of general; {flags.phi} is of another.")
    options = options.replace(orthogonal=True)
    what = {"after_training": AFTERWARDS, **what}
  optimizer_files.save_optimizer(flags.out, trained(phi, options), what)
  print(flags.out)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
