"""Meta-training on several devices or machines: instances split over replicas (`tf.distribute`).

A replica is a device that unrolls its share of the instances; meta-gradients are averaged over all
of them, so phi takes the step that one device would take with all instances. A worker is a process
with its own replicas, one a machine; worker 0 is the chief, the only one whose files are kept.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import json
import os
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.errors import ExpectedError

EXAMPLE = (
  '{"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class DistributionError(ExpectedError, RuntimeError):
  """The devices, TF_CONFIG or the shares of the replicas are not as they must be."""


class Distribution:
  """What meta-training asks of a `tf.distribute.Strategy`; by default one device does it all.

  A value "over the replicas" is a nest whose leaves hold a tensor for each replica of this worker;
  over a single replica it is the nest of tensors itself.
  """

  def __init__(self, strategy: tf.distribute.Strategy | None = None, worker: int = 0):
    """Wraps `strategy`; `worker` is the index of this process."""
    self.strategy = strategy or tf.distribute.get_strategy()
    self.is_chief = worker == 0
    self.num_replicas = self.strategy.num_replicas_in_sync
    self._alone = not isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy)
    # Compiled, as otherwise each call would be traced anew.
    self._gather = tf.function(self.strategy.gather, autograph=False)
    self._collect = tf.function(self._gather_rows, autograph=False)

  def shares(self, values: np.ndarray, what: str) -> list[np.ndarray]:
    """Splits the first axis of `values` evenly, a share for each replica of all workers.

    Raises:
      DistributionError: if that is not possible; `what` names the number that has to be mended.
    """
    if len(values) % self.num_replicas:
      raise DistributionError(
        f"{what} must be a multiple of the number of replicas, as each of them takes the same"
        f" share; got {len(values)} and {self.num_replicas} replicas."
      )
    return np.split(values, self.num_replicas)

  def scatter(self, values: Sequence[Any]) -> Any:
    """Puts nests of tensors or arrays, one for each replica of all workers, over the replicas."""
    if self.num_replicas == 1:
      return tf.nest.map_structure(tf.convert_to_tensor, values[0])
    pick = lambda context: tf.nest.map_structure(  # noqa: E731
      tf.convert_to_tensor, values[context.replica_id_in_sync_group]
    )
    return self.strategy.experimental_distribute_values_from_function(pick)

  def collect(self, value: Any) -> list[Any]:
    """The inverse of `scatter`. All workers must call it: it waits for them."""
    if self.num_replicas == 1:
      return [value]
    stacked = self._collect(value)
    nests = zip(*(tf.unstack(leaf) for leaf in tf.nest.flatten(stacked)))
    return [tf.nest.pack_sequence_as(stacked, nest) for nest in nests]

  def _gather_rows(self, value: Any) -> Any:
    """Stacks what the replicas have: each leaf `[...]` becomes `[replicas, ...]`."""
    rows = self.run(lambda v: tf.nest.map_structure(lambda x: x[tf.newaxis], v), value)
    return tf.nest.map_structure(lambda row: self.strategy.gather(row, axis=0), rows)

  def concat(self, value: tf.Tensor, axis: int) -> tf.Tensor:
    """Concatenates what all replicas of all workers have. All workers must call it."""
    return value if self.num_replicas == 1 else self._gather(value, axis)

  def run(self, function: Callable[..., Any], *args: Any) -> Any:
    """Calls `function` in each replica, with values over the replicas; so is what it returns."""
    return function(*args) if self.num_replicas == 1 else self.strategy.run(function, args)

  def mean(self, tensors: Any) -> Any:
    """Inside of `run`: the mean over all replicas of all workers of each tensor."""
    if self.num_replicas == 1:
      return tensors
    return tf.distribute.get_replica_context().all_reduce("mean", tensors)

  def first(self, value: Any) -> Any:
    """Of a value that is the same in all replicas, such as a `mean`."""
    if self.num_replicas == 1:
      return value
    return tf.nest.map_structure(lambda v: self.strategy.experimental_local_results(v)[0], value)

  def agree(self, tensors: Any) -> Any:
    """The mean over all workers of what each has. All workers must call it: it waits for them."""
    if self._alone:
      return tensors
    return self.first(self.strategy.run(lambda: self.mean(tensors)))

  def highest(self, number: int) -> int:
    """The highest `number` that a worker has. All workers must call it."""
    if self._alone:
      return number
    values = self.scatter([tf.constant([number])] * self.num_replicas)
    return int(tf.reduce_max(self._gather(values, 0)))


def make(name: str) -> Distribution:
  """Returns the distribution of one of `STRATEGIES`, before TensorFlow has done anything.

  "mirrored" takes the GPUs of this machine, without any its (logical) CPU devices. "multi_worker"
  takes those of every machine in the environment variable TF_CONFIG, and connects to them.

  Raises:
    DistributionError: if TF_CONFIG is missing or wrong, or the others cannot be reached.
  """
  if name == "single":
    return Distribution()
  if name == "mirrored":
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))
  worker = worker_index()
  with lost_workers():
    return Distribution(tf.distribute.MultiWorkerMirroredStrategy(), worker)


def worker_index() -> int:
  """Which worker of TF_CONFIG this process is.

  Raises:
    DistributionError: if TF_CONFIG is missing, or not as in `EXAMPLE`.
  """
  text = os.environ.get("TF_CONFIG")
  if not text:
    raise DistributionError(f"multi_worker needs the environment variable TF_CONFIG, as {EXAMPLE}.")
  try:
    config = json.loads(text)
    cluster, task = config["cluster"], config["task"]
    workers, kind, index = cluster["worker"], task["type"], task["index"]
  except (ValueError, KeyError, TypeError) as error:
    reason = f"{type(error).__name__}: {error}"
    raise DistributionError(
      f"TF_CONFIG is malformed ({reason}); it must be as {EXAMPLE}."
    ) from error
  addresses = isinstance(workers, list) and all(
    isinstance(worker, str) and worker.rpartition(":")[2].isdecimal() for worker in workers
  )
  if not addresses or not workers or list(cluster) != ["worker"] or kind != "worker":
    raise DistributionError(
      "TF_CONFIG must list workers as host:port, and nothing but workers; it must be as"
      f" {EXAMPLE}, got {text:.300}."
    )
  if type(index) is not int or not 0 <= index < len(workers):
    raise DistributionError(
      f"The index in TF_CONFIG must be of 0..{len(workers) - 1}, one for each of its workers; got"
      f" {index!r}."
    )
  return index


@contextlib.contextmanager
def lost_workers() -> Iterator[None]:
  """Makes the errors of collective operations in the block a `DistributionError`."""
  errors = tf.errors
  try:
    yield
  except (errors.UnavailableError, errors.AbortedError, errors.DeadlineExceededError) as error:
    reason = str(error).strip().splitlines()[0]
    raise DistributionError(
      f"Another worker cannot be reached: {reason:.300}. Look for its error; the run goes on with"
      " `resume` on all machines."
    ) from error
