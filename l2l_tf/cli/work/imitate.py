"""What bin/imitate.py does once its flags are right."""

import os
import shlex
from typing import Any

from l2l_tf.cli import experiment_flags
from l2l_tf.config import experiment as experiment_lib
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import shapes
from l2l_tf.runs import warm_start
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import outputs
from l2l_tf.storage import provenance
from l2l_tf.storage.cache import Parts
from l2l_tf.training import imitation


def run(flags: experiment_flags.Flags, options: dict[str, Any], out: str) -> int:
  """Teaches what `options` describe, and writes the optimizer to `out`."""
  config = options["training"]
  problem, data = options["problem"].build()
  optimizer = options["optimizer"].build(config.seed)
  if not optimizer.coordinatewise:
    raise experiment_flags.UsageError(
      "The coordinates of the optimizer must be independent, as with --optimizer=lstm or"
      f" --optimizer=partition, got {flags.optimizer}."
    )
  optimizer.check(shapes(problem), every_group=True)
  about = {"imitation": experiment_lib.describe(**options), "versions": provenance.versions()}
  about |= {"data": data, "data_sha256": problem.digest}
  if flags.init_from:
    factory = options["optimizer"].build if experiment_flags.users_optimizer(flags) else None
    about["init_from"] = warm_start.copy(optimizer, flags.init_from, factory)
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
  if os.path.isdir(out) and os.listdir(out):  # somebody wrote there meanwhile
    raise outputs.OutputError(
      f"{out} is not empty any more. Move it away, and the same command goes on in"
      f" {parts.directory}."
    )
  optimizer_files.save_optimizer(out, optimizer, about)
  parts.remove()
  print(f"Written to {out}; go on with {shlex.quote(f'--init_from={out}')}")
  return 0


def print_round(index: int, result: imitation.Round):
  """Prints what came of a round of imitation."""
  mean, final = result.losses[:, 1:].mean(), protocol.final_losses(result.losses).mean()
  print(
    f"Round {index + 1}: the {'student' if index else 'teacher'}'s mean loss {mean:.4g}, final loss"
    f" {final:.4g}; then fitted to {result.error:.3g} of the teacher's mean square",
    flush=True,
  )
