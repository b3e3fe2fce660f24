"""Teaches an optimizer what Adam with a schedule does, to start meta-training from:

python bin/imitate.py --problem=mnist --num_steps=100 --out=runs/imitated
python bin/train.py --problem=mnist --init_from=runs/imitated

Over a thousand steps, as on CIFAR-10, truncated backpropagation alone learns slowly what pays only
in the end. So the optimizer first learns to make the updates of a hand-designed teacher, on
gradients that the teacher and then it itself meets (docs/training.md). The same command goes on
after a stop.
"""

import os
from typing import Sequence

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import experiment as experiment_lib
from l2l_tf.config import user_problem
from l2l_tf.config.problems import SINGLE
from l2l_tf.evaluation import protocol
from l2l_tf.optimizers import partition
from l2l_tf.problems import DataError
from l2l_tf.problems.base import shapes
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import warm_start
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import provenance
from l2l_tf.storage.cache import Parts
from l2l_tf.training import imitation

ERRORS = (
  run_directory.RunError,
  files.CheckpointError,
  imitation.Diverged,
  user_problem.UserProblemError,
  partition.LabelError,
  DataError,
  OSError,
)


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(
    paths.Written,
    "out",
    None,
    "directory for the optimizer; OUT.work holds finished parts meanwhile",
  )
  flags.add(paths.Read, "init_from", None, "start phi from a trained optimizer: directory or name")
  experiment_flags.add_experiment(flags, imitation.Imitation, SINGLE)
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if not flags.out:
    raise experiment_flags.UsageError("Name the directory for the optimizer: --out=runs/imitated.")
  out = os.path.normpath(flags.out)
  if os.path.exists(out) and not os.path.isdir(out):
    raise experiment_flags.UsageError(f"{out} is no directory. Name another --out.")
  if os.path.isdir(out) and os.listdir(out):
    raise experiment_flags.UsageError(f"{out} is not empty. Name another --out.")
  options = experiment_flags.parts(flags, imitation.Imitation)
  config = options["training"]
  problem, data = options["problem"].build()
  optimizer = options["optimizer"].build(config.seed)
  if not optimizer.coordinatewise:
    raise experiment_flags.UsageError(
      "The coordinates of the optimizer must be independent, as with --optimizer=lstm or"
      f" --optimizer=partition, got {flags.optimizer}."
    )
  partition.check(optimizer, shapes(problem), every_group=True)
  about = {"imitation": experiment_lib.describe(**options), "versions": provenance.versions()}
  about |= {"data": data, "data_sha256": problem.digest}
  if flags.init_from:
    about["init_from"] = warm_start.copy(optimizer, flags.init_from)
  print(f"Data: {data}", flush=True)
  key = {name: about[name] for name in ("data", "data_sha256")}
  key["problem"] = about["imitation"]["problem"]
  parts = Parts(f"{out}.work")
  imitator = imitation.Imitator(problem, optimizer, config, parts, key)
  try:
    for index in range(config.rounds):
      print_round(index, imitator.round(index))
  except KeyboardInterrupt:
    print(f"Stopped. Finished parts are in {parts.directory}; the same command goes on.")
    return 130
  optimizer_files.save_optimizer(out, optimizer, about)
  parts.remove()
  print(f"Written to {out}; go on with --init_from={out}")
  return 0


def print_round(index: int, result: imitation.Round):
  """Prints what came of a round of imitation."""
  mean, final = result.losses[:, 1:].mean(), protocol.final_losses(result.losses).mean()
  print(
    f"Round {index + 1}: the {'student' if index else 'teacher'}'s mean loss {mean:.4g}, final loss"
    f" {final:.4g}; then fitted to {result.error:.3g} of the teacher's mean square",
    flush=True,
  )


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main, ERRORS)
