"""An optimizer of your own, trained without touching the package: examples/own_optimizer.py

  python bin/train.py --problem=quadratic --optimizer=examples.own_optimizer:tiny

Of each coordinate it keeps two averages, of the gradient and of its square. A network of 40 numbers
makes the update of three: the gradient and its average, both in units of the second average, and
the time. The network is the same for all coordinates, so that it fits any problem.
"""

from typing import NamedTuple

import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.optimizers import base


class State(NamedTuple):
  m: tf.Tensor  # [B, n], the average of the gradients
  v: tf.Tensor  # [B, n], that of their squares
  t: tf.Tensor  # [B], steps


class Tiny(optimizers.Optimizer):
  def __init__(self, seed: int, units: int = 8):
    super().__init__("tiny")
    w = tf.random.stateless_normal([3, units], [seed, 0])
    self.w1, self.b1 = tf.Variable(w, name="w1"), tf.Variable(tf.zeros([units]), name="b1")
    self.w2 = tf.Variable(tf.zeros([units]), name="w2")

  def initial_state(self, params):
    zeros = tf.zeros_like(base.flatten(params))
    return State(zeros, zeros, zeros[:, 0])

  def __call__(self, gradients, state, params=None):
    g, t = base.flatten(gradients), state.t + 1  # [B, n], [B]
    m, v = 0.9 * state.m + 0.1 * g, 0.95 * state.v + 0.05 * g**2
    size, time = tf.sqrt(v) + 1e-10, tf.ones_like(g) * tf.math.log(t / 10)[:, tf.newaxis]
    inputs = tf.stack([g / size, m / size, time], axis=-1)  # [B, n, 3]
    hidden = tf.tanh(tf.einsum("bnf,fu->bnu", inputs, self.w1) + self.b1)
    step = 0.1 * tf.exp(-0.3 * time)  # what meta-training begins with: plain, slowly shorter
    update = -step * (m / size + tf.einsum("bnu,u->bn", hidden, self.w2))
    return base.unflatten(update, gradients), State(m, v, t)


def tiny(seed: int) -> optimizers.Optimizer:
  """What --optimizer=examples.own_optimizer:tiny calls."""
  return Tiny(seed)
