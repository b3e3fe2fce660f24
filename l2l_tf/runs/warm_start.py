"""What phi a meta-training starts from, if not from random numbers (`bin/train.py --init_from`)."""

from typing import Any

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.runs.directory import RunError
from l2l_tf.storage import optimizer_files


def copy(optimizer: optimizers.Optimizer, where: str) -> dict[str, Any]:
  """Copies phi from a trained optimizer, from a single one into every group of a partition.

  Args:
    optimizer: what is to be trained on.
    where: directory or pretrained name of an optimizer of the same kind, or of its groups' kind.

  Returns:
    What there is to say of its training.

  Raises:
    RunError: if there is none, or one of another kind.
    CheckpointError: if its files are damaged.
  """
  try:
    other, about = optimizer_files.load_optimizer(pretrained.find(where))
  except ValueError as error:
    raise RunError(f"--init_from: {error}") from error
  into = [optimizer]
  if isinstance(optimizer, optimizers.Partition) and not isinstance(other, optimizers.Partition):
    into = list(optimizer.groups.values())
  for part in into:
    if other.config() != part.config():
      raise RunError(
        f"--init_from={where} is an optimizer {other.config()}, but the run's is {part.config()}."
      )
    for variable, value in zip(part.trainable_variables, other.trainable_variables):
      variable.assign(value)
  return {name: value for name, value in about.items() if name != "history"}
