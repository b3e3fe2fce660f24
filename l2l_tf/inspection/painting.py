"""One picture painted by an optimizer, step by step and within bounds of memory (section 3.4)."""

from collections.abc import Callable
import functools
import io
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from l2l_tf import surroundings
from l2l_tf import unroll
from l2l_tf.optimizers import Optimizer
from l2l_tf.optimizers import blocks
from l2l_tf.problems import base
from l2l_tf.problems import neural_art

with surroundings.extra("art"):
  from PIL import Image


class Painting(NamedTuple):
  """A picture and how it came about."""

  pixels: np.ndarray  # uint8 [height, width, 3]
  losses: np.ndarray  # f(theta_0), ..., f(theta_T), [T+1]


def paint(
  problem: base.Problem,
  optimizer: Optimizer,
  seed: np.ndarray,
  num_steps: int,
  on_step: Callable[[float], None] = lambda loss: None,
) -> Painting:
  """Runs `optimizer` on one instance of `problems.style_transfer`.

  A coordinatewise LSTM visits the pixels block by block, so that its gates take no more memory than
  its state.

  Args:
    problem: what to paint.
    optimizer: what paints.
    seed: int32 `[2]`.
    num_steps: T.
    on_step: is given each f(theta_t), t > 0.
  """
  optimizer = blocks.split(optimizer, in_turn=True)
  graph = functools.partial(tf.function, autograph=False)
  carry, loss = graph(lambda seeds: unroll.start(problem, optimizer, seeds))(seed[np.newaxis])
  step = graph(lambda carry: unroll.unroll(problem, optimizer, carry, 1))
  losses = [float(loss[0])]
  for _ in range(num_steps):
    carry, loss = step(carry)
    losses.append(float(loss[0, 0]))
    on_step(losses[-1])
  pixels = np.clip(np.rint(neural_art.to_pixels(carry.params["image"][0])), 0, 255)
  return Painting(pixels.astype(np.uint8), np.array(losses))


def encoded(pixels: np.ndarray, image_format: str) -> bytes:
  """The file of a picture, uint8 `[height, width, 3]`, in a format that Pillow writes."""
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, image_format)
  return buffer.getvalue()
