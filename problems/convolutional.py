"""Training a convolutional classifier on images, as a function of its weights (section 3.3)."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from l2l_tf.problems import base
from l2l_tf.problems import classification
from l2l_tf.problems import datasets

EPSILON = 1e-3  # added to variances


def convnet(
  data: datasets.Dataset,
  filters: Sequence[int] = (16, 16, 16),
  kernel_size: int = 5,
  units: int = 32,
  batch_size: int = 128,
  init_scale: float = 0.01,
  dtype: Any = tf.float32,
) -> base.Problem:
  """Cross entropy of the paper's CIFAR-10 network on random minibatches (section 3.3).

  "The model includes both convolutional and feed forward layers": a convolution, batch
  normalization, ReLU and max pooling by 2 for each of `filters`; a fully connected layer of `units`
  with batch normalization and ReLU; and a linear one to the classes. theta is `conv_i/w`
  `[kernel, kernel, in, out]` and `conv_i/offset` `[out]`, `hidden/w` and `hidden/offset`,
  `output/w` and `output/b`.

  Batch normalization subtracts the mean and divides by the standard deviation of the minibatch at
  hand, in every loss there is: no moving averages are kept, and evaluation is on minibatches too.
  What the offset does a bias would do as well, and what a scale does the weights after the ReLU,
  so layers before a normalization have neither, and all of theta_0 can be Gaussian.

  Instances differ in theta_0 and in the minibatches alone. Minibatches are drawn with replacement
  from the whole of `data`, which stays in memory. Instances are visited one after another:
  `tf.vectorized_map` of convolutions takes twice as long.

  Args:
    data: images and labels; pixels are scaled to [0, 1] here.
    filters: of each convolutional layer.
      Note: the paper gives no number; three times 16, of 5 x 5 pixels, are those of the program
        that its authors published (github.com/google-deepmind/learning-to-learn).
    kernel_size: side of the filters in pixels.
    units: of the fully connected layer; 32 in the paper.
    batch_size: examples a minibatch, at least 2; 128 in the paper.
    init_scale: standard deviation of theta_0.
      Note: the paper says only "IID Gaussian"; 0.01 is what older implementations use.
    dtype: float type of everything.

  Raises:
    ValueError: if an argument is not one of the above.
  """
  numbers = {"filters": min(filters, default=0), "kernel_size": kernel_size}
  numbers |= {"units": units, "batch_size": batch_size}
  for name, least in numbers.items():
    if least < 1:
      raise ValueError(f"{name} must be positive, got {filters if name == 'filters' else least}.")
  if batch_size < 2:
    raise ValueError(f"batch_size must be at least 2, for normalization, got {batch_size}.")
  num_examples, height, width, channels = data.images.shape
  images = tf.constant(data.images)  # uint8 [N, height, width, channels]
  labels = tf.constant(data.labels, tf.int32)
  names = [f"conv_{i + 1}" for i in range(len(filters))]
  shapes: dict[str, tuple[int, ...]] = {}
  for name, below, above in zip(names, [channels, *filters], filters):
    shapes[f"{name}/w"] = (kernel_size, kernel_size, below, above)
    shapes[f"{name}/offset"] = (above,)
    height, width = -(-height // 2), -(-width // 2)
  shapes |= {"hidden/w": (height * width * filters[-1], units), "hidden/offset": (units,)}
  shapes |= {"output/w": (units, data.num_classes), "output/b": (data.num_classes,)}

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    return classification.gaussian(shapes, init_scale, seed, dtype), {}

  def loss(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    del task
    indices = tf.random.stateless_uniform([batch_size], seed, 0, num_examples, dtype=tf.int32)
    x = tf.cast(tf.gather(images, indices), dtype) / 255
    for name in names:
      x = tf.nn.conv2d(x, params[f"{name}/w"], strides=1, padding="SAME")
      x = normalized(x, params[f"{name}/offset"], pool=2)
    x = tf.reshape(x, [batch_size, shapes["hidden/w"][0]]) @ params["hidden/w"]
    x = normalized(x, params["hidden/offset"])
    logits = x @ params["output/w"] + params["output/b"]
    return classification.cross_entropy(logits, tf.gather(labels, indices))

  return base.Problem(init, loss, serial=True, digest=data.digest)


def normalized(x: tf.Tensor, offset: tf.Tensor, pool: int = 1) -> tf.Tensor:
  """Max pooling of ReLU(offset + (x - mean) / sqrt(variance + epsilon)).

  Mean and variance are those of x over all axes but the last; derivatives of every order go through
  both. (`tf.nn.moments` stops the gradient at the mean of its variance, which is right for first
  derivatives only.) Pooling commutes with what increases, and is done first where that is cheaper.

  Args:
    x: `[batch, ..., channels]`.
    offset: `[channels]`.
    pool: side of the square that becomes one pixel; with more than 1, x is a batch of images.
  """
  x = _standardized(x) if x.shape.rank == 4 and x.dtype == tf.float32 else _by_formula(x)
  if pool > 1:
    x = tf.nn.max_pool2d(x, pool, pool, padding="SAME")
  return tf.nn.relu(x + offset)


def _by_formula(x: tf.Tensor) -> tf.Tensor:
  """(x - mean) / sqrt(variance + epsilon), by operations that can be differentiated for ever."""
  axes = list(range(x.shape.rank - 1))
  x -= tf.reduce_mean(x, axes)
  return x * tf.math.rsqrt(tf.reduce_mean(x**2, axes) + EPSILON)


@tf.custom_gradient
def _standardized(x: tf.Tensor) -> Any:
  """`_by_formula` for images in float32, and its first derivative: half the time, by one op each.

  TensorFlow has no gradient of the second of them, so higher derivatives are those of the formula.
  """
  channels = x.shape[-1]
  constants = {"scale": tf.ones([channels]), "epsilon": EPSILON, "is_training": True}
  none, zero = tf.zeros([0]), tf.zeros([channels])
  y, _, _, *kept = tf.raw_ops.FusedBatchNormV3(
    x=x, offset=zero, mean=none, variance=none, **constants
  )

  @tf.custom_gradient
  def first(x: tf.Tensor, d_y: tf.Tensor) -> Any:
    names = (f"reserve_space_{i}" for i in (1, 2, 3))
    d_x = tf.raw_ops.FusedBatchNormGradV3(
      y_backprop=d_y, x=x, **dict(zip(names, kept)), **constants
    )

    def second(dd_x: tf.Tensor) -> Any:
      with tf.GradientTape() as outer:
        outer.watch([x, d_y])
        with tf.GradientTape() as inner:
          inner.watch(x)
          y = _by_formula(x)
        again = inner.gradient(y, x, d_y)
      return outer.gradient(again, [x, d_y], dd_x)

    return d_x.x_backprop, second

  return y, lambda d_y: first(x, d_y)
