"""Teaches an optimizer what Adam with a schedule does, to start meta-training from:

python bin/imitate.py --problem=cifar10 --out=runs/imitated
python bin/train.py --problem=cifar10 --init_from=runs/imitated

Over a thousand steps truncated backpropagation alone learns slowly what pays only in the end. So
the optimizer first learns to make the updates of a hand-designed teacher, on gradients that the
teacher and then it itself meets (docs/training.md). The same command goes on after a stop.
"""

import os
from typing import Sequence

from l2l_tf.cli import experiment_flags as command_line
from l2l_tf.config import experiment as experiments
from l2l_tf.config import user_problem
from l2l_tf.evaluation import protocol as evaluation
from l2l_tf.optimizers import partition
from l2l_tf.problems import DataError
from l2l_tf.problems.base import shapes
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import warm_start as initial_phi
from l2l_tf.storage import optimizer_files as checkpoint
from l2l_tf.storage import provenance
from l2l_tf.storage.cache import Parts
from l2l_tf.training import imitation

ERRORS = (
  run_directory.RunError,
  checkpoint.CheckpointError,
  imitation.Diverged,
  user_problem.UserProblemError,
  partition.LabelError,
  DataError,
  OSError,
)


def make_flags() -> command_line.Flags:
  """The flags of this program."""
  flags = command_line.Flags(__doc__)
  flags.add(
    str, "out", None, "directory for the optimizer; OUT.work holds finished parts meanwhile"
  )
  flags.add(str, "init_from", None, "start phi from a trained optimizer: directory or name")
  command_line.add_experiment(flags, imitation.Imitation)
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if not flags.out:
    raise command_line.UsageError("Name the directory for the optimizer: --out=runs/imitated.")
  out = os.path.normpath(flags.out)
  if os.path.exists(out) and not os.path.isdir(out):
    raise command_line.UsageError(f"{out} is no directory. Name another --out.")
  if os.path.isdir(out) and os.listdir(out):
    raise command_line.UsageError(f"{out} is not empty. Name another --out.")
  options = command_line.parts(flags, imitation.Imitation)
  config = options["training"]
  problem, data = options["problem"].build()
  optimizer = options["optimizer"].build(config.seed)
  if not optimizer.coordinatewise:
    raise command_line.UsageError(
      "The coordinates of the optimizer must be independent, as with --optimizer=lstm or"
      f" --optimizer=partition, got {flags.optimizer}."
    )
  partition.check(optimizer, shapes(problem), every_group=True)
  about = {"imitation": experiments.describe(**options), "versions": provenance.versions()}
  about |= {"data": data, "data_sha256": problem.digest}
  if flags.init_from:
    about["init_from"] = initial_phi.copy(optimizer, flags.init_from)
  print(f"Data: {data}", flush=True)
  key = {name: about[name] for name in ("data", "data_sha256")}
  key["problem"] = about["imitation"]["problem"]
  parts = Parts(f"{out}.work")
  imitator = imitation.Imitator(problem, optimizer, config, parts, key)
  try:
    for index in range(config.rounds):
      _print(index, imitator.round(index))
  except KeyboardInterrupt:
    print(f"Stopped. Finished parts are in {parts.directory}; the same command goes on.")
    return 130
  checkpoint.save_optimizer(out, optimizer, about)
  parts.remove()
  print(f"Written to {out}; go on with --init_from={out}")
  return 0


def _print(index: int, result: imitation.Round):
  """Prints what came of a round."""
  mean, final = result.losses[:, 1:].mean(), evaluation.final_losses(result.losses).mean()
  print(
    f"Round {index + 1}: the {'student' if index else 'teacher'}'s mean loss {mean:.4g}, final loss"
    f" {final:.4g}; then fitted to {result.error:.3g} of the teacher's mean square",
    flush=True,
  )


def run():
  """Runs the program on the command line it was started with."""
  command_line.run(main, ERRORS)
