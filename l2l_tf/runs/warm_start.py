"""What phi a meta-training starts from, if not from random numbers."""

from collections.abc import Callable
import tempfile
from typing import Any

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.config.training import Training
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
from l2l_tf.runs.directory import RunError
from l2l_tf.storage import optimizer_files
from l2l_tf.storage.cache import Parts
from l2l_tf.training import imitation

TUNING_RUNS = 3  # instances that pick the teacher's learning rate
WARMUP = 25  # the teacher's highest rate is reached after 1 / WARMUP of the steps
LEARNING_RATE = 6e-3  # of Adam on phi: 2e-3, as for a thousand steps, needs twice the rounds
LONGEST_WINDOW = 100  # steps of a fit that are backpropagated through
SHORTEST_WINDOW = 25  # if a longer one divides the steps
_WITHOUT = "Set imitation_rounds to 0 to start without."


def copy(
  optimizer: optimizers.Optimizer,
  where: str,
  factory: Callable[[int], optimizers.Optimizer] | None = None,
) -> dict[str, Any]:
  """Copies phi from a trained optimizer, from a single one into every group of a partition.

  Args:
    optimizer: what is to be trained on.
    where: directory or pretrained name of an optimizer of the same kind, or of its groups' kind.
    factory: builds an optimizer of the user's own; its code may have changed since `where`.

  Returns:
    What there is to say of its training.

  Raises:
    RunError: if there is none, or one of another kind.
    CheckpointError: if its files are damaged.
  """
  try:
    other, about = optimizer_files.load_optimizer(pretrained.find(where), factory)
  except ValueError as error:
    raise RunError(f"`init_from`: {error}") from error
  into = [optimizer]
  if isinstance(optimizer, optimizers.Partition) and not isinstance(other, optimizers.Partition):
    into = list(optimizer.groups.values())
  for part in into:
    if _of_phi(other) != _of_phi(part):
      raise RunError(
        f"`init_from`={where} is an optimizer {other.config()}, but the run's is {part.config()}."
      )
    for variable, value in zip(part.trainable_variables, other.trainable_variables):
      variable.assign(value)
  return {name: value for name, value in about.items() if name != "history"}


def _of_phi(optimizer: optimizers.Optimizer) -> dict[str, Any]:
  """The config without what a general rule may do or not with one phi."""
  return {key: value for key, value in optimizer.config().items() if key != "orthogonal"}


def window(num_steps: int) -> int:
  """The steps of a window of a fit: the largest divisor up to 100, or the next if that is tiny.

  Windows of a step or two, as a prime number of steps would have, teach nothing of the past.
  """
  divisors = [n for n in range(1, num_steps + 1) if num_steps % n == 0]
  most = max(n for n in divisors if n <= LONGEST_WINDOW)
  longer = (n for n in divisors if n > most)
  return most if most >= SHORTEST_WINDOW else next(longer, most)


def imitate(
  problem: Problem,
  optimizer: optimizers.Optimizer,
  training: Training,
  report: Callable[[int, imitation.Round], None] = lambda index, result: None,
) -> dict[str, Any]:
  """Fits phi to what the best of 30 hand-designed teachers does (`training.imitation_rounds`).

  The teacher is Adam with Nesterov's momentum, a warm-up and a linear decay to zero at the horizon;
  its learning rate is the best of the paper's grid on tuning instances.

  Args:
    problem: what the trajectories are on.
    optimizer: whose phi is changed; its coordinates do not depend on each other.
    training: gives the horizon, the rounds and the seed.
    report: is given each round's number, from 0, and what came of it.

  Returns:
    The options of the imitation, JSON types.

  Raises:
    RunError: if every teacher diverges, or phi does.
  """
  steps = training.num_steps
  warmup = max(1, steps // WARMUP)
  seeds = problem.seeds(training.seed, Stream.TUNING, count=TUNING_RUNS)
  grid = protocol.grid_curves(
    problem, lambda rates: imitation.Teacher(rates, warmup, steps), seeds, steps
  )
  rate = protocol.best_rate(grid)
  if rate is None:
    raise RunError(f"There is no teacher to imitate: it diverged at all rates. {_WITHOUT}")
  try:
    config = imitation.Imitation(
      num_steps=steps,
      teacher_rate=rate,
      warmup_steps=warmup,
      rounds=training.imitation_rounds,
      unroll_length=window(steps),
      learning_rate=LEARNING_RATE,
      seed=training.seed,
    )
    with tempfile.TemporaryDirectory() as directory:
      imitator = imitation.Imitator(problem, optimizer, config, Parts(directory), key={})
      for index in range(config.rounds):
        report(index, imitator.round(index))
  except imitation.Diverged as error:
    raise RunError(f"There is no teacher to imitate: {error} {_WITHOUT}") from error
  return config.to_dict()
