"""Painting a photograph in the style of another picture, as a function of the pixels (3.4)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from l2l_tf.problems import base
from l2l_tf.problems import vgg

if TYPE_CHECKING:  # it needs Pillow, and neural art none of that
  from l2l_tf.problems.photographs import Photographs

CONTENT_LAYER = "block3_conv3"  # Johnson et al. 2016, section 4.1
STYLE_LAYERS = tuple(f"block{b}_conv1" for b in range(1, 6))  # Gatys et al. 2015, Methods
GREY, UNIT = 127.5, 10.0  # grey levels: pixel = GREY + UNIT theta
_FOREIGN_SEED = "A seed must begin with the index of a photograph, as those of `Problem.seeds` do:"


def style_transfer(
  photographs: "Photographs",
  style: np.ndarray | Sequence[np.ndarray],
  network: vgg.Network,
  content_weight: float = 1.0,
  style_weight: float = 1.0,
  smoothness_weight: float = 2.0,
  init_scale: float = 3.0,
  dtype: Any = tf.float32,
) -> base.Problem:
  """What a picture lacks of a photograph's content and a painting's style (Gatys et al. 2015).

  theta is `image` `[height, width, 3]`: red, green and blue in units of ten grey levels from the
  middle, 127.5, not clipped. (The unit decides what an update of 1 is, the size of what an LSTM
  gives without postprocessing: half of all levels would be far too much.) With the activations
  F_l(x) `[positions, filters]` of layer l of VGG-16 and their Gram matrices
  G_l(x) = F_l^T F_l / positions:

    f(theta) = height width (content_weight   |F_c(theta) - F_c(photo)|^2 / |F_c(photo)|^2
                           + style_weight     mean_l |G_l(theta) - G_l(style)|^2 / |G_l(style)|^2
                           + smoothness_weight  mean of squared differences of neighbours / 127.5^2)

  Style layers are those of Gatys et al., l = conv1_1, 2_1, 3_1, 4_1, 5_1 with equal weights, and
  average pooling is theirs too. "Lreg", which the paper names and Gatys et al. do not have, is the
  total variation of Mahendran and Vedaldi 2015 (section 3) with exponent 2: squared differences to
  the right and the lower neighbour.

  Note: Gatys et al. match the content in conv4_2 of VGG-19, in pictures of some 500 pixels a side.
    Of 64 pixels that layer keeps 8 x 8 positions, and photographs cannot be recognized; c is
    conv3_3, the layer of Johnson et al. 2016 for VGG-16.
  Note: Gatys et al. take half the sum of squared differences for the content, and 1 / 4 of the mean
    for the Gram matrices, of a network whose weights were scaled so that every filter's mean
    activation is one. Here each layer is measured against what it is to match instead: that as well
    makes layers alike, needs no statistics of a data set, and a term of 1 means the same for all
    photographs, styles and sizes. The factor height width makes f a sum over pixels, so that the
    gradient of one pixel does not shrink as the picture grows.

  Instances differ in the photograph, in theta_0, Gaussian noise about mid-grey, and, where there
  are K > 1 styles, in the style. The first word of a seed is the index of the photograph
  (`Photographs.indices`); `init` fails at any other word. The second, which is random, modulo K is
  the index of the style, so that all optimizers meet the same; the task has it as `style`, an int32
  scalar. Instances side by side are one batch of images to the network.

  Note: the paper has one style at a time, and a new one at test (section 3.4).

  Args:
    photographs: content images.
    style: uint8 `[height, width, 3]`, of any size, or K of those, each of a size of its own.
    network: VGG-16.
    content_weight: of the content term; 0 leaves it out.
    style_weight: likewise.
    smoothness_weight: likewise.
      Note: the paper gives none of the weights. With these, content and style can both be
        seen in pictures of 64 pixels.
    init_scale: standard deviation of theta_0, here 30 grey levels; the paper says "IID Gaussian".
    dtype: float type of everything.

  Raises:
    ValueError: if a weight is negative or all are zero, or if there is no style.
  """
  weights = {"content": content_weight, "style": style_weight, "smoothness": smoothness_weight}
  if min(weights.values()) < 0 or not any(weights.values()):
    raise ValueError(f"Weights must not be negative, nor all zero; got {weights}.")
  images = tf.constant(photographs.images)
  shape = images.shape[1:]
  layers = [CONTENT_LAYER] * (content_weight > 0) + [*STYLE_LAYERS] * (style_weight > 0)
  layers_of_type = {k: [tf.cast(v, dtype) for v in pair] for k, pair in network.layers.items()}
  network = network._replace(layers=layers_of_type)
  styles = [style] if getattr(style, "ndim", None) == 3 else list(style)
  if not styles:
    raise ValueError("At least one style is needed, got none.")
  style_grams = _stacked_grams([tf.cast(pixels, dtype) for pixels in styles], network)

  def init(seed: base.Seed) -> tuple[base.Params, base.Task]:
    index = seed[0]
    known = tf.debugging.Assert((index >= 0) & (index < images.shape[0]), [_FOREIGN_SEED, index])
    with tf.control_dependencies([known]):  # before anything else may fail
      index = tf.identity(index)
    theta = init_scale * tf.random.stateless_normal(shape, seed, dtype=dtype)
    photo = tf.cast(images[index], dtype)[tf.newaxis]
    content = vgg.features(photo, network, [CONTENT_LAYER])[CONTENT_LAYER][0]
    task = {"content": content}
    if len(styles) > 1:
      task["style"] = tf.math.floormod(seed[1], len(styles))
    return {"image": theta}, task

  def lifted_loss(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    del seeds
    pixels = to_pixels(params["image"])
    found = vgg.features(pixels, network, layers) if layers else {}
    total = smoothness_weight * roughness(pixels / GREY)
    if content_weight:
      total += content_weight * relative(found[CONTENT_LAYER], tasks["content"])
    if style_weight:
      targets = style_grams  # [1, filters, filters], broadcast, or one an instance
      if len(styles) > 1:
        targets = {name: tf.gather(x, tasks["style"]) for name, x in style_grams.items()}
      terms = [relative(gram(found[name]), targets[name]) for name in STYLE_LAYERS]
      total += style_weight * tf.add_n(terms) / len(terms)
    return shape[0] * shape[1] * total

  def loss(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    return lifted_loss(*tf.nest.map_structure(lambda x: x[tf.newaxis], (params, task, seed)))[0]

  return base.Problem(init, loss, lifted_loss, serial=True, indices=photographs.indices)


def to_pixels(theta: tf.Tensor) -> tf.Tensor:
  """Grey levels, not clipped."""
  return GREY + UNIT * theta


def _stacked_grams(styles: Sequence[tf.Tensor], network: vgg.Network) -> dict[str, tf.Tensor]:
  """Gram matrices of K pictures `[height, width, 3]`, `[K, filters, filters]` a layer."""
  found = [vgg.features(pixels[tf.newaxis], network, STYLE_LAYERS) for pixels in styles]
  return {name: tf.concat([gram(x[name]) for x in found], 0) for name in STYLE_LAYERS}


def gram(x: tf.Tensor) -> tf.Tensor:
  """The mean products of pairs of filters, `[B, filters, filters]`, of `[B, h, w, filters]`."""
  positions = x.shape[1] * x.shape[2]
  x = tf.reshape(x, [-1, positions, x.shape[3]])
  return tf.matmul(x, x, transpose_a=True) / positions


def relative(x: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
  """|x - target|^2 / |target|^2 of each instance, `[B]`, of `[B, ...]`."""
  axes = list(range(1, x.shape.rank))
  return tf.reduce_sum((x - target) ** 2, axes) / tf.reduce_sum(target**2, axes)


def roughness(x: tf.Tensor) -> tf.Tensor:
  """Squared differences to the right and the lower neighbour, `[B]`, of `[B, h, w, 3]`.

  Each kind is averaged over its pairs and the colours.
  """
  right = x[:, :, 1:] - x[:, :, :-1]
  below = x[:, 1:] - x[:, :-1]
  return tf.reduce_mean(right**2, [1, 2, 3]) + tf.reduce_mean(below**2, [1, 2, 3])
