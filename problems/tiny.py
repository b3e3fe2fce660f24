"""Small dense networks for a general optimizer, written for B instances at once (lifted by hand).

What other small problems need, too: draws, losses, theta_0.
"""

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from l2l_tf.problems import base

ACTIVATIONS = {
  "relu": tf.nn.relu,
  "gelu": tf.nn.gelu,
  "tanh": tf.tanh,
  "sigmoid": tf.sigmoid,
  "elu": tf.nn.elu,
}
NORMALIZATIONS = ("none", "batch", "layer")
LOSSES = ("cross_entropy", "squared_error", "sigmoid_cross_entropy")
_EPSILON = 1e-5


class Examples(NamedTuple):
  """Data in memory: `inputs` float `[N, d]`, `targets` float `[N, k]` (one-hot for classes)."""

  inputs: np.ndarray
  targets: np.ndarray


def draw(seeds: tf.Tensor, count: int, bound: int) -> tf.Tensor:
  """Integers below `bound`, int32 `[B, count]`: row b is a function of seed b, int32 `[2]`, alone.

  A hash of the seed and the place (the finalizer of MurmurHash3), as `tf.random.stateless_uniform`
  takes one seed a call, and a loop over B costs more than a step of a tiny network.
  """
  words = tf.bitcast(seeds, tf.uint32)
  place = tf.cast(tf.range(count), tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
  x = _mixed(words[:, :1] * tf.constant(0x85EBCA6B, tf.uint32) + place)
  x = _mixed(x + words[:, 1:] * tf.constant(0xC2B2AE35, tf.uint32))
  return tf.cast(x % tf.constant(bound, tf.uint32), tf.int32)


def _mixed(x: tf.Tensor) -> tf.Tensor:
  for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32)))
    x = x * tf.constant(factor, tf.uint32)
  return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(16, tf.uint32)))


def dense_network(
  examples: Examples,
  hidden: Sequence[int],
  activation: str = "relu",
  normalization: str = "none",
  loss: str = "cross_entropy",
  batch_size: int = 32,
  label_noise: float = 0.0,
  num_examples: int | None = None,
) -> base.Problem:
  """A multilayer perceptron on random minibatches.

  Args:
    examples: inputs and targets.
    hidden: units of the hidden layers.
    activation: one of `ACTIVATIONS`.
    normalization: before the activation: by the minibatch, by the example, or none.
    loss: one of `LOSSES`, a mean over the minibatch; the squared error is one over outputs, too.
    batch_size: examples a minibatch, drawn with replacement.
    label_noise: share of the examples, in each minibatch, that get the target of another.
    num_examples: that an instance has at most, consecutive ones from a random place; None has all.
      Few can be learned by heart.

  Raises:
    ValueError: for an unknown name or a number out of bounds.
  """
  check(activation, ACTIVATIONS, "activation")
  check(normalization, NORMALIZATIONS, "normalization")
  check(loss, LOSSES, "loss")
  if min(batch_size, 1 if num_examples is None else num_examples) < 1 or not 0 <= label_noise <= 1:
    raise ValueError(
      "batch_size and num_examples must be positive and label_noise in 0..1, got"
      f" {batch_size}, {num_examples}, {label_noise}."
    )
  inputs, targets = (tf.constant(x, tf.float32) for x in examples)
  count = min(inputs.shape[0] if num_examples is None else num_examples, inputs.shape[0])
  sizes = [inputs.shape[1], *hidden, targets.shape[1]]
  names = [f"hidden_{k + 1}" for k in range(len(hidden))] + ["output"]
  shapes: dict[str, tuple[int, ...]] = {}
  for k, name in enumerate(names):
    shapes[f"{name}/w"] = (sizes[k], sizes[k + 1])
    shapes[f"{name}/b"] = (sizes[k + 1],)
    if normalization != "none" and name != "output":
      shapes[f"{name}/scale"] = (sizes[k + 1],)
  num_noisy = round(label_noise * batch_size)

  def lifted(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    indices = draw(seeds, batch_size, count)
    indices = indices if num_examples is None else indices + tasks
    shift = num_noisy % batch_size or 1  # of all examples too each gets that of another
    wrong = tf.concat([indices[:, shift:], indices[:, :shift]], 1)
    chosen = tf.concat([wrong[:, :num_noisy], indices[:, num_noisy:]], 1) if num_noisy else indices
    x, y = tf.gather(inputs, indices), tf.gather(targets, chosen)
    for name in names:
      x = x @ params[f"{name}/w"]
      if f"{name}/scale" in params:
        x = normalized(x, normalization) * params[f"{name}/scale"][:, tf.newaxis]
      x += params[f"{name}/b"][:, tf.newaxis]
      x = ACTIVATIONS[activation](x) if name != "output" else x
    return mean_loss(loss, x, y)

  problem = glorot_problem(shapes, lifted)
  if num_examples is None:
    return problem

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    place = draw(seed[tf.newaxis] + [13, 0], 1, inputs.shape[0] - count + 1)
    return problem.init(seed)[0], place[0]

  return problem._replace(init=init)


def teacher(
  num_inputs: int,
  hidden: Sequence[int],
  activation: str = "relu",
  scale: float = 1.0,
  noise: float = 0.1,
  seed: int = 0,
  spread: float = 0.7,
  offset: float = 0.0,
  num_outputs: int = 2,
) -> Examples:
  """A regression: Gaussian inputs of unequal scales, outputs of a random network and noise.

  Args:
    num_inputs: d.
    hidden: units of the teacher's layers.
    activation: of the teacher.
    scale: of the outputs.
    noise: deviation of what is added, in units of the outputs' own.
    seed: of everything.
    spread: the scales of the inputs are 10^(+-spread).
    offset: deviation of the inputs' means, in units of their own deviations.
    num_outputs: k.
  """
  rng = np.random.default_rng([seed, num_inputs, *hidden])
  x = rng.normal(size=[4096, num_inputs])
  y = x
  for units in hidden:
    y = y @ rng.normal(size=[y.shape[1], units]) * math.sqrt(2 / y.shape[1])
    y = ACTIVATIONS[activation](tf.constant(y)).numpy()
  y = y @ rng.normal(size=[y.shape[1], num_outputs])
  y = (y - y.mean(0)) / y.std(0) + noise * rng.normal(size=y.shape)
  scales = 10 ** rng.uniform(-spread, spread, num_inputs)
  x = (x + offset * rng.normal(size=num_inputs)) * scales
  return Examples(x.astype(np.float32), (scale * y).astype(np.float32))


def as_classes(examples: Examples) -> Examples:
  """A classification: the class of an example is its largest target."""
  classes = np.eye(examples.targets.shape[1], dtype=np.float32)
  return examples._replace(targets=classes[examples.targets.argmax(1)])


def normalized(x: tf.Tensor, how: str) -> tf.Tensor:
  """Mean 0 and deviation 1 over the minibatch or over each example; `[B, batch, units]`."""
  axis = 1 if how == "batch" else 2
  mean = tf.reduce_mean(x, axis, keepdims=True)
  x = x - mean
  return x * tf.math.rsqrt(tf.reduce_mean(x**2, axis, keepdims=True) + _EPSILON)


def mean_loss(kind: str, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
  """The loss of each instance, `[B]`, from `[B, batch, k]`."""
  if kind == "cross_entropy":
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, outputs), 1)
  if kind == "squared_error":
    return tf.reduce_mean((outputs - targets) ** 2, [1, 2])
  losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs)
  return tf.reduce_mean(losses, [1, 2])


def embedded(table: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
  """Rows `[B, ...]` of tables `[B, V, d]`: `[B, ..., d]`."""
  flat = tf.reshape(rows, [rows.shape[0], -1])
  found = tf.one_hot(flat, table.shape[1]) @ table
  return tf.reshape(found, [*rows.shape, table.shape[2]])


def glorot_problem(
  shapes: dict[str, tuple[int, ...]],
  lifted: Callable[..., tf.Tensor],
  embedding_scale: float | None = None,
) -> base.Problem:
  """Glorot's uniform weights, biases 0, scales 1; embeddings as Keras's, within +-0.05."""

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    seeds, params = tf.random.split(seed, len(shapes)), {}
    for k, (name, shape) in enumerate(shapes.items()):
      if len(shape) < 2:
        params[name] = tf.ones(shape) if name.endswith("scale") else tf.zeros(shape)
        continue
      embedding = not name.endswith(("/w", "/u"))
      limit = (embedding_scale or 0.05) if embedding else math.sqrt(6 / sum(shape))
      params[name] = tf.random.stateless_uniform(shape, seeds[k], -limit, limit)
    return params, {}

  def loss(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    params, task = tf.nest.map_structure(lambda x: x[tf.newaxis], (params, task))
    return lifted(params, task, seed[tf.newaxis])[0]

  return base.Problem(init, loss, lifted)


def check(value: Any, known: Any, name: str) -> None:
  if value not in known:
    raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
