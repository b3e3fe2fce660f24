"""Ways to find a rival's rate in fewer steps than the whole grid: python -m benchmarks.tuning_ways

The six rivals run at all 30 learning rates on ten instances of five networks for MNIST. From these
curves each way picks a rate as it would have, running only what it needs: successive halving
(Jamieson and Talwalkar 2016), all rates for a share of the steps and the best of them to the end,
then neighbours until the winner is better than both of its own; and `protocol.coarse_to_fine`.
--out=FILE.json keeps, for each rival and way, the steps and the final loss over that of the best.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import reports
from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import problems as problem_options
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream

RUNS = 10
SETTINGS: dict[str, tuple[int, dict[str, Any]]] = {
  "100 steps": (100, {}),
  "200 steps": (200, {}),
  "40 units": (100, {"hidden": (40,)}),
  "two layers": (100, {"hidden": (20, 20)}),
  "ReLU": (100, {"activation": "relu"}),
}
HALVING = ((8, 10), (8, 6), (4, 5))  # the first round has T / 8 steps, ten rates reach the end


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  rows = []
  for name, (num_steps, options) in SETTINGS.items():
    problem, data = problem_options.Mnist(**options).build()
    seeds, grid = problem.seeds(0, Stream.TUNING, count=RUNS), protocol.Grid(problem)
    print(f"{name}, {data}", flush=True)
    for rival, kind in optimizers.HAND_DESIGNED.items():
      curves = grid.runner(kind)(seeds, protocol.LEARNING_RATES, num_steps)
      rows += [{"setting": name, "rival": rival, **row} for row in ways(curves)]
  for way in dict.fromkeys(row["way"] for row in rows):
    some = [row for row in rows if row["way"] == way]
    missed = [row for row in some if row["loss_over_best"] > 1]
    share = np.mean([row["share"] for row in some])
    print(f"{way:24}{share:6.2f} of the steps, {len(missed)} of {len(some)} missed")
  reports.write(__file__, flags, {"data": data, "tuning_runs": RUNS, "rows": rows})
  return 0


def ways(curves: np.ndarray) -> list[dict[str, Any]]:
  """What each way picks and takes, given the curves of the whole grid, `[K, R, T+1]`."""
  final = protocol.mean_final_losses(curves)
  found = {"coarse to fine": coarse_to_fine(final)}
  for look, keep in HALVING:
    found[f"1/{look} of the steps, {keep}"] = halving(curves, final, look, keep)
  best = float(final.min())
  return [
    {"way": way, "share": share, "loss_over_best": float(final[picked]) / best}
    for way, (picked, share) in found.items()
  ]


def coarse_to_fine(final: np.ndarray) -> tuple[int, float]:
  """The number of the rate that it picks, and the share of the grid's steps."""
  asked: list[int] = []

  def answer(rates):
    numbers = [protocol.LEARNING_RATES.index(rate) for rate in rates]
    asked.extend(numbers)
    return final[numbers]

  return int(np.argmin(protocol.coarse_to_fine(answer, protocol.LEARNING_RATES))), len(asked) / len(
    final
  )


def halving(curves: np.ndarray, final: np.ndarray, look: int, keep: int) -> tuple[int, float]:
  """The same of all rates for T / `look` steps, the best `keep` to the end, and neighbours."""
  num_rates, _, length = curves.shape
  early = protocol.mean_final_losses(curves[:, :, : (length - 1) // look + 1])
  finished = {int(k) for k in np.argsort(early, kind="stable")[:keep] if np.isfinite(early[k])}
  while True:
    best = min(finished, key=lambda k: final[k])
    around = {k for k in (best - 1, best + 1) if 0 <= k < num_rates} - finished
    if not around:
      return best, 1 / look + len(finished) / num_rates
    finished |= around


if __name__ == "__main__":
  experiment_flags.run(main)
