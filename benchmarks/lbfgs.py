"""L-BFGS on neural art: python -m benchmarks.lbfgs --size=64 --out=benchmarks/lbfgs_64.json

The method of Gatys et al. (2015), SciPy's, with line search: on the very photographs and theta_0
that bin/evaluate.py --problem=neural_art reports, by evaluations of f and its gradient. One
evaluation is one step of the other optimizers, so losses at equal numbers compare; L-BFGS is given
the least loss that it has seen by then, though the others stand where their last step led.
--against=results/NAME.json, results on the same instances, adds the ratio of its final losses to
those of every optimizer there, paired over the first `--num_runs` of them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
import contextlib
from typing import Any

import numpy as np
import scipy.optimize
import tensorflow as tf

from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.problems import NeuralArt
from l2l_tf.evaluation import comparison
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import results
from l2l_tf.problems import base
from l2l_tf.storage import outputs

HISTORY = 20  # pairs that L-BFGS keeps


class Enough(Exception):
  """All evaluations are used up."""


def run(problem: base.Problem, seed: np.ndarray, num_steps: int) -> np.ndarray:
  """Returns the least loss seen at theta_0 and after 1..T more evaluations, `[T+1]`.

  Args:
    problem: one whose only parameter is `image`.
    seed: int32 `[2]`, of the instance.
    num_steps: T; an L-BFGS that converges before that stays where it is.
  """
  seeds = tf.constant(seed[np.newaxis])
  params, tasks = base.instances(problem, seeds)
  evaluate = tf.function(
    lambda p: base.losses_and_gradients(problem, p, tasks, seeds), autograph=False
  )
  shape, dtype, losses = params["image"].shape, params["image"].dtype, []

  def function(x):
    if len(losses) > num_steps:
      raise Enough
    loss, gradients = evaluate({"image": tf.reshape(tf.constant(x, dtype), shape)})
    losses.append(float(loss[0]))
    return losses[-1], np.asarray(gradients["image"], np.float64).ravel()

  start = np.asarray(params["image"], np.float64).ravel()
  limits = {"maxcor": HISTORY, "maxfun": 10 * num_steps, "maxiter": 10 * num_steps}
  limits |= {"ftol": 0.0, "gtol": 0.0}
  with contextlib.suppress(Enough):
    scipy.optimize.minimize(function, start, jac=True, method="L-BFGS-B", options=limits)
  losses += losses[-1:] * (num_steps + 1 - len(losses))
  return np.minimum.accumulate(losses)


def read_results(path: str, setting: comparison.Setting, data: str) -> dict[str, Any]:
  """Reads results that hold the instances of `setting`.

  Raises:
    ResultsError: if the file cannot be read, is of something else, or has fewer instances.
  """
  expected = {"data": data, "problem": setting.config()}
  found = results.read_of(path, expected | {"seed": setting.seed, "num_steps": setting.num_steps})
  if found["num_runs"] < setting.num_runs:
    raise results.ResultsError(
      f"{path} holds {found['num_runs']} runs; --num_runs must be at most that, got"
      f" {setting.num_runs}."
    )
  return found


def ratios(final: np.ndarray, against: dict[str, Any]) -> dict[str, intervals.Ratio]:
  """The ratio of final losses `[R]`, R > 1, to each optimizer's on the first R instances."""
  entries = against["optimizers"].items()
  others = {name: np.array(entry["final_losses"][: len(final)], float) for name, entry in entries}
  return {name: intervals.ratio_interval(final, other) for name, other in others.items()}


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(int, "num_runs", 100, "instances, as in bin/evaluate.py", bounds=(2, 10**4))
  text = "evaluations of the gradient after the first"
  flags.add(int, "num_steps", 128, text, bounds=(1, 10**4))
  flags.add(int, "seed", 0, "of all instances, as in bin/evaluate.py", bounds=(0, 2**31 - 1))
  experiment_flags.add_output(flags, None, "JSON file to write")
  flags.add(paths.Read, "against", None, "results file of bin/evaluate.py to compare with")
  flags.group("Problem")
  flags.add_options(NeuralArt, lambda f: NeuralArt())
  flags.parse(argv)
  options = experiment_flags.options_of(flags, NeuralArt())
  setting = comparison.Setting(
    "neural_art", options, flags.num_steps, flags.num_runs, tuning_runs=0, seed=flags.seed
  )
  problem, data = options.build()
  print(f"Data: {data}", flush=True)
  about = {"data": data, "problem": setting.config(), "num_steps": flags.num_steps}
  about = outputs.Content(about | {"seed": flags.seed}, {"num_runs": flags.num_runs})
  outputs.check(flags.out, about, flags.overwrite)
  against = read_results(flags.against, setting, data) if flags.against else {"optimizers": {}}
  seeds = problem.seeds(flags.seed, base.Stream.TEST, count=flags.num_runs)
  losses = np.array([run(problem, seed, flags.num_steps) for seed in seeds])  # [R, T+1]
  final = protocol.final_losses(losses)
  compared = ratios(final, against)
  print(f"L-BFGS, {flags.num_runs} instances, {flags.num_steps} evaluations after the first:")
  print(f"  mean loss {intervals.interval(losses[:, 1:].mean(axis=1))}")
  print(f"  final loss {intervals.interval(final)}")
  for name, ratio in compared.items():
    print(f"  final loss / {name}'s, paired: {ratio}")
  document = {
    **about.same,
    **about.counts,
    "mean": results.numbers(losses.mean(axis=0)),
    "final_losses": results.numbers(final),
    "ratios": {
      name: dict(zip(ratio._fields, results.numbers(ratio))) for name, ratio in compared.items()
    },
  }
  reports.write(__file__, flags, document)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
