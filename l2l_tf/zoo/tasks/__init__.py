"""The tasks, a module a family; no others are measured."""

from l2l_tf.zoo.protocol import FAMILIES
from l2l_tf.zoo.task import Task
from l2l_tf.zoo.tasks import attention
from l2l_tf.zoo.tasks import autoencoders
from l2l_tf.zoo.tasks import convolutional
from l2l_tf.zoo.tasks import dense
from l2l_tf.zoo.tasks import embeddings
from l2l_tf.zoo.tasks import fine_tuning
from l2l_tf.zoo.tasks import metric_learning
from l2l_tf.zoo.tasks import mixed_precision
from l2l_tf.zoo.tasks import published
from l2l_tf.zoo.tasks import series
from l2l_tf.zoo.tasks import text

_MODULES = (
  *(dense, autoencoders, convolutional, text, attention, embeddings, series),
  *(metric_learning, mixed_precision, fine_tuning, published),
)
TASKS: dict[str, Task] = {task.name: task for module in _MODULES for task in module.TASKS}


def of_names(names) -> list[Task]:
  """The tasks of these names.

  Raises:
    ValueError: for an unknown one.
  """
  for name in names:
    if name not in TASKS:
      raise ValueError(f"Unknown task {name!r}; known: {', '.join(TASKS)}.")
  return [TASKS[name] for name in dict.fromkeys(names)]


def of_families(names) -> list[Task]:
  """The tasks of families, or all that are not published ones for no names.

  Raises:
    ValueError: for an unknown family.
  """
  for name in names:
    if name not in FAMILIES:
      raise ValueError(f"Unknown family {name!r}; known: {', '.join(FAMILIES)}.")
  wanted = names or [family for family in FAMILIES if family != published.PUBLISHED]
  return [task for task in TASKS.values() if task.family in wanted]
