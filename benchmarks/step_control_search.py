"""The six numbers of `step_control`: python -m benchmarks.step_control_search

CMA-ES (Hansen 2016) over networks with sigmoid and ReLU units, each generation on instances of its
own. A candidate's score is the mean of the logarithms of final loss and root of mean loss. The
mean of each generation is saved. It needs the package cma: python -m pip install cma
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from benchmarks import step_control
from benchmarks import two_activations
from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.user_optimizer import UserOptimizer
from l2l_tf.errors import ExpectedError
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import outputs
from l2l_tf.storage import provenance

PROGRAM = "-m benchmarks.step_control_search"
STEPS, CANDIDATES, INSTANCES, SPREAD = 100, 8, 3, 0.6


def main(argv: Sequence[str]) -> int:
  """Searches; returns the program's exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", "runs/step_control", "directory to save the optimizer in")
  flags.add(int, "generations", 45, "of the search", bounds=(1, 10**6))
  flags.add(int, "seed", 5, "of instances and of the search", bounds=(0, 2**31 - 1))
  flags.parse(argv)
  if os.path.lexists(flags.out):
    raise outputs.OutputError(f"{flags.out} is there already: name another `out`.")
  try:
    import cma
  except ImportError as error:
    raise ExpectedError("The search needs cma: python -m pip install cma") from error
  losses = _Losses()
  print(losses.data)
  options = {"popsize": CANDIDATES, "maxiter": flags.generations, "seed": flags.seed + 1}
  search = cma.CMAEvolutionStrategy(
    np.divide(step_control.START, step_control.UNITS), SPREAD, options | {"verbose": -9}
  )
  optimizer = UserOptimizer(name="benchmarks.step_control:lstm").build(flags.seed)
  about = {"command": experiment_flags.command(PROGRAM, flags, ["out"], [])}
  about |= {"data": losses.data, "versions": provenance.versions()}
  while search.countiter < flags.generations:
    seeds = losses.seeds(flags.seed, search.countiter)
    found = search.ask()
    scores = losses(np.array(found), seeds)  # [candidates, activations, 2]
    search.tell(found, scores.sum(axis=(1, 2)).tolist())
    final, mean = np.exp(scores[:, :, 0]).mean(0), np.exp(2 * scores[:, :, 1]).mean(0)
    numbers = np.round(search.mean * step_control.UNITS, 3).tolist()
    print(
      f"{search.countiter}: final {final.round(3)}, mean {mean.round(3)}, {numbers}", flush=True
    )
    optimizer.numbers.assign(search.mean)
    about |= {"numbers": numbers, "generation": search.countiter}
    optimizer_files.save_optimizer(flags.out, optimizer, about)
  return 0


class _Losses:
  """Logarithms of final losses and half of those of mean losses, of candidates side by side."""

  def __init__(self):
    data = problems.load("mnist", "train", "auto", None)
    data = problems.datasets.crop(data, two_activations.MARGIN)
    self.data = data.source
    self._problems = [problems.mlp(data, activation=a) for a in two_activations.ACTIVATIONS]
    self._runs = [self._traced(problem) for problem in self._problems]

  def seeds(self, seed: int, generation: int) -> np.ndarray:
    """New instances for every generation, int32 `[INSTANCES, 2]`."""
    return self._problems[0].seeds(seed, Stream.META_TRAINING, generation, count=INSTANCES)

  def __call__(self, candidates: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    numbers = np.repeat(candidates, INSTANCES, axis=0).T.astype(np.float32)
    seeds = np.tile(seeds, (CANDIDATES, 1))
    scores = []
    for run in self._runs:
      curves = run(tf.constant(seeds), tf.constant(numbers)).numpy().T
      final = np.log(protocol.final_losses(curves))
      mean = 0.5 * np.log(curves[:, 1:].mean(axis=1))
      scores.append(np.stack([final, mean], axis=-1))
    return np.stack(scores, axis=1).reshape(CANDIDATES, INSTANCES, -1, 2).mean(axis=1)

  def _traced(self, problem: Problem):
    inner, _ = optimizer_files.load_optimizer(pretrained.find("mnist_lstm"))
    rollout = lambda seeds, numbers: unroll.rollout(  # noqa: E731
      problem, step_control.StepControl(inner, numbers), seeds, STEPS
    )
    width = CANDIDATES * INSTANCES
    run = tf.function(rollout, autograph=False)
    return run.get_concrete_function(
      tf.TensorSpec([width, 2], tf.int32),
      tf.TensorSpec([len(step_control.UNITS), width], tf.float32),
    )


if __name__ == "__main__":
  experiment_flags.run(main)
