"""What a problem is, and how one instance is lifted to many.

Notation used throughout: theta is `params`, an ordered `dict[str, tf.Tensor]` with readable names
(`"hidden_1/w"`); B is the number of instances (tasks) that are optimized side by side; every leaf
that belongs to B instances has a leading axis of that length.
"""

from collections.abc import Callable
import enum
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

Params = dict[str, tf.Tensor]
Task = Any  # a nest of tensors: what distinguishes one instance f from another (W and y, an image)
Seed: TypeAlias = tf.Tensor  # int32 [2], as the `tf.random.stateless_*` functions take it


class Problem(NamedTuple):
  """A distribution over functions f to minimize (paper section 2), written for one instance.

  Attributes:
    init: `init(seed) -> (params, task)` samples theta_0 and one instance f. `seed` is int32 `[2]`.
    loss: `loss(params, task, seed) -> scalar` builds the graph of f(theta). `seed`, int32 `[2]`,
      picks the minibatch; a deterministic f ignores it.
    lifted_loss: optional, `loss` for B instances at once: `(params, tasks, seeds) -> [B]`, all
      arguments with a leading axis of B. Give it where `tf.vectorized_map` of `loss` is slow:
      it runs stateless random ops with one seed an instance in a loop.
    serial: visit instances one after another (`tf.map_fn`) where nothing else lifts them. Set it
      where `tf.vectorized_map` is slower: convolutions with filters of their own, loops.
    indices: optional, for instances made of things that streams must not share, as photographs:
      `indices(stream, words)` returns the index of the thing that each of R instances is made of,
      `[R]`, given R random `words`, uint32. `init` finds it as the first word of its seed.
    digest: optional, SHA-256 in hex of the data that instances are made from, to tell them from
      others of the same name.

  The functions are traced as they are, without AutoGraph, which would take a third of the time: an
  `if` or a loop that depends on tensors is written with `tf.cond` or `tf.while_loop`, or converted
  by `tf.autograph.to_graph`. The adapters convert the functions that they are given.
  """

  init: Callable[[Seed], tuple[Params, Task]]
  loss: Callable[[Params, Task, Seed], tf.Tensor]
  lifted_loss: Callable[[Params, Task, Seed], tf.Tensor] | None = None
  serial: bool = False
  indices: Callable[["Stream", np.ndarray], np.ndarray] | None = None
  digest: str | None = None

  def seeds(self, experiment_seed: int, stream: "Stream", *more: int, count: int) -> np.ndarray:
    """Returns the seeds of `count` instances of a stream, int32 `[count, 2]`.

    Instances come through no other door. Seed i does not depend on `count`.

    Args:
      experiment_seed: not negative.
      stream: what they are for.
      *more: non-negative integers that tell lists of one stream apart, e.g. `(epoch, episode)`.
      count: how many seeds.
    """
    seeds = make_seeds(experiment_seed, stream, *more, count=count)
    if self.indices is not None:
      seeds[:, 0] = self.indices(stream, seeds[:, 0].view(np.uint32))
    return seeds


class Mixture(NamedTuple):
  """Many problems to train one optimizer on, and others that say how good it is.

  Attributes:
    problems: by name.
    weights: how often each of them is taken, relative to the others.
    validation: by name, none of those trained on.
    digest: as a `Problem`'s.
  """

  problems: dict[str, Problem]
  weights: dict[str, float]
  validation: dict[str, Problem]
  digest: str | None = None


class Stream(enum.IntEnum):
  """What seeds are for; streams of one experiment never share an instance."""

  META_TRAINING = 0
  VALIDATION = 1
  TUNING = 2  # picking learning rates
  TEST = 3  # what is reported
  DEVELOPMENT = 4  # the table at the end of each training, looked at time and again


def make_seeds(*entropy: int, count: int) -> np.ndarray:
  """Returns `count` well-spread seeds, int32 `[count, 2]`, a function of `entropy` alone.

  For noise, and for what is no `Problem`: the seeds of instances are those of `Problem.seeds`. Seed
  i does not depend on `count`, so a longer list starts with the shorter one.

  Args:
    *entropy: non-negative integers that name the stream, e.g. `(experiment_seed, stream, epoch)`.
    count: how many seeds.
  """
  # The length first: `SeedSequence` takes [0] and [0, 0] for the same.
  prefix = [len(entropy), *entropy]
  words = [np.random.SeedSequence([*prefix, i]).generate_state(2) for i in range(count)]
  return np.asarray(words, np.uint32).reshape(count, 2).view(np.int32)


def at_step(seeds: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
  """Returns the minibatch seeds of `step`, int32 with the shape of `seeds`, `[..., 2]`.

  Adding the step to the second word is enough: the generators behind `tf.random.stateless_*`
  scramble their seeds, and a run starts at a random word.
  """
  return seeds + tf.stack([tf.zeros_like(step), step + 1])


def specs(problem: Problem) -> tuple[Params, Task]:
  """Returns the `TensorSpec`s of what `init` returns, without running it."""
  init = tf.function(problem.init, autograph=False).get_concrete_function(
    tf.TensorSpec([2], tf.int32)
  )
  return tf.nest.map_structure(tf.TensorSpec.from_tensor, init.structured_outputs)


def shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
  """Returns the shape of each parameter of one instance."""
  return {name: tuple(spec.shape) for name, spec in specs(problem)[0].items()}


def instances(problem: Problem, seeds: tf.Tensor) -> tuple[Params, Task]:
  """Samples one instance a seed: `init` lifted to seeds `[B, 2]`."""
  return tf.map_fn(problem.init, seeds, fn_output_signature=specs(problem))


def losses(problem: Problem, params: Params, tasks: Task, seeds: tf.Tensor) -> tf.Tensor:
  """Returns f(theta) for each of B instances, `[B]`: `loss` lifted."""
  if problem.lifted_loss is not None:
    return problem.lifted_loss(params, tasks, seeds)
  return lift(problem.loss, params, tasks, seeds, serial=problem.serial)


def losses_and_gradients(
  problem: Problem, params: Params, tasks: Task, seeds: Seed
) -> tuple[tf.Tensor, Params]:
  """Returns `losses`, `[B]`, and the gradient of each instance's, shaped as `params`.

  Where instances are serial, each is differentiated before the next: the activations of one are
  held at a time, not those of all B.
  """
  serial = problem.serial and problem.lifted_loss is None and seeds.shape[0] > 1
  if not serial:
    return _with_gradients(lambda p: losses(problem, p, tasks, seeds), params)
  dtype = next(iter(params.values())).dtype
  signature = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), params)
  return tf.map_fn(
    lambda xs: _with_gradients(lambda p: problem.loss(p, *xs[1:]), xs[0]),
    (params, tasks, seeds),
    fn_output_signature=(tf.TensorSpec([], dtype), signature),
  )


def _with_gradients(
  function: Callable[[Params], tf.Tensor], params: Params
) -> tuple[tf.Tensor, Params]:
  with tf.GradientTape(watch_accessed_variables=False) as tape:
    tape.watch(params)
    values = function(params)
  return values, tape.gradient(values, params, unconnected_gradients="zero")


def lift(loss: Callable[..., tf.Tensor], *args: Any, serial: bool = False) -> tf.Tensor:
  """Applies `loss`, written for one instance, to arguments with a leading axis of B: `[B]`."""
  first = tf.nest.flatten(args)[0]
  if first.shape[0] == 1:
    return loss(*tf.nest.map_structure(lambda x: x[0], args))[tf.newaxis]
  if serial:
    return tf.map_fn(lambda xs: loss(*xs), args, fn_output_signature=first.dtype)
  return tf.vectorized_map(lambda xs: loss(*xs), args)
