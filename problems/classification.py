"""Training a small classifier on images, seen as a function of its weights (paper section 3.2)."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from l2l_tf.problems import base
from l2l_tf.problems import datasets

ACTIVATIONS = {"sigmoid": tf.sigmoid, "relu": tf.nn.relu, "tanh": tf.tanh}


def mlp(
  data: datasets.Dataset,
  hidden: Sequence[int] = (20,),
  activation: str = "sigmoid",
  batch_size: int = 128,
  init_scale: float = 0.01,
  dtype: Any = tf.float32,
) -> base.Problem:
  """Cross entropy of a multilayer perceptron on random minibatches (paper section 3.2).

  Instances differ in theta_0 and in the minibatches alone. Minibatches are drawn with replacement
  from the whole of `data`, which stays in memory.

  Args:
    data: images and labels; pixels are scaled to [0, 1] here.
    hidden: units of each hidden layer; the paper's base network has `(20,)`.
    activation: "sigmoid" (the paper's base network), "relu" or "tanh".
    batch_size: examples a minibatch; 128 in the paper.
    init_scale: standard deviation of theta_0, weights and biases alike.
      Note: the paper says only "IID Gaussian"; 0.01 is what older implementations use.
    dtype: float type of everything.

  Raises:
    ValueError: if an argument is not one of the above.
  """
  if activation not in ACTIVATIONS:
    raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}.")
  if batch_size < 1 or any(units < 1 for units in hidden):
    raise ValueError(f"batch_size and hidden must be positive, got {batch_size} and {hidden}.")
  nonlinearity = ACTIVATIONS[activation]
  num_examples = data.images.shape[0]
  images = tf.constant(data.images.reshape(num_examples, -1))  # uint8 [N, pixels]
  labels = tf.constant(data.labels, tf.int32)
  sizes = [images.shape[1], *hidden, data.num_classes]
  names = [f"hidden_{i + 1}" for i in range(len(hidden))] + ["output"]

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, fan_in, fan_out in zip(names, sizes[:-1], sizes[1:]):
      shapes[f"{name}/w"] = (fan_in, fan_out)
      shapes[f"{name}/b"] = (fan_out,)
    return gaussian(shapes, init_scale, seed, dtype), {}

  def draw(seed: base.Seed) -> tf.Tensor:  # int32 [batch_size]
    return tf.random.stateless_uniform([batch_size], seed, 0, num_examples, dtype=tf.int32)

  def loss_at(params: base.Params, indices: tf.Tensor) -> tf.Tensor:
    x = tf.cast(tf.gather(images, indices), dtype) / 255
    for name in names[:-1]:
      x = nonlinearity(x @ params[f"{name}/w"] + params[f"{name}/b"])
    logits = x @ params["output/w"] + params["output/b"]
    return cross_entropy(logits, tf.gather(labels, indices))

  def loss(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    del task
    return loss_at(params, draw(seed))

  def lifted_loss(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    del tasks
    if seeds.shape[0] == 1:
      return loss_at({name: p[0] for name, p in params.items()}, draw(seeds[0]))[tf.newaxis]
    return base.lift(loss_at, params, tf.map_fn(draw, seeds))

  return base.Problem(init, loss, lifted_loss, digest=data.digest)


def gaussian(
  shapes: dict[str, tuple[int, ...]], scale: float, seed: base.Seed, dtype: Any
) -> base.Params:
  """Samples parameters of these shapes: IID Gaussian of mean 0 and standard deviation `scale`."""
  seeds = tf.random.split(seed, len(shapes))
  return {
    name: scale * tf.random.stateless_normal(shape, seeds[i], dtype=dtype)
    for i, (name, shape) in enumerate(shapes.items())
  }


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  """Mean cross entropy in nats of logits `[batch, classes]` against int labels `[batch]`."""
  return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
