"""The closing table of a training on a mixture: what phi reaches on each problem that validates."""

import math

import numpy as np

from l2l_tf import unroll
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream
from l2l_tf.runs import reporting
from l2l_tf.runs.run import TrainingRun


def table(run: TrainingRun, test_runs: int, tuning_runs: int) -> str:
  """Final losses on fresh instances, beside Adam at the best of 30 rates for each problem.

  Args:
    run: trained.
    test_runs: instances of each problem.
    tuning_runs: instances for each learning rate; 0 leaves Adam out.
  """
  training = run.experiment.training
  setting = (training.seed, training.num_steps)
  lines = [
    f"\n{test_runs} fresh instances of {training.num_steps} steps of each problem ({run.data});"
    f" final loss: of the last {unroll.FINAL_STEPS}",
    f"  {'problem':20}{'learned':>12}{'Adam':>12}{'its rate':>12}{'ratio':>8}",
  ]
  ratios = []
  for name, problem in run.held_out.items():
    reporting.say(f"Testing on {name}")
    seeds = problem.seeds(training.seed, Stream.DEVELOPMENT, count=test_runs)
    final = _final(problem, run.trainer.optimizer, seeds, training.num_steps)
    line = f"  {name:20}{final:12.4g}"
    if tuning_runs:
      rate = baselines.tune(problem, ("adam",), *setting, tuning_runs)["adam"]
      curves = baselines.curves_at(problem, "adam", rate, seeds, training.num_steps)
      adam = float(protocol.final_losses(curves).mean())
      ratios.append(final / adam)
      line += f"{adam:12.4g}{rate or math.nan:12.3g}{final / adam:8.3f}"
    lines.append(line)
  if ratios:
    mean = float(np.exp(np.mean(np.log(ratios))))
    lines.append(f"  {'geometric mean':56}{mean:8.3f}")
  return "\n".join(lines)


def _final(problem, optimizer, seeds, num_steps: int) -> float:
  return float(protocol.final_losses(protocol.curves(problem, optimizer, seeds, num_steps)).mean())
