"""NTM-BFGS simulates BFGS: a hand-set controller of 1 read and 3 write heads (docs/ntm_bfgs.md).

The controller computes functions of one coordinate and two averages; everything else, the memory,
the reads, the writes and their timing, is `NTMBFGS` itself.
"""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.optimizers import ntm_bfgs
from l2l_tf.optimizers import preprocessing
from l2l_tf.optimizers.global_averaging import average

N, RUNS = 10, 8


class BFGSState(NamedTuple):
  """What each coordinate remembers, `[B, n]` each."""

  trial: tf.Tensor  # 1: the next gradient is that of the trial point; 0: that of theta_k
  g: tf.Tensor  # the gradient at theta_k
  d: tf.Tensor  # the direction d_k
  s: tf.Tensor  # theta_{k+1} - theta_k; 0 before the first line search
  y: tf.Tensor  # g_{k+1} - g_k


def control_at_trial_point(g_trial: tf.Tensor, state: BFGSState):
  """Step 2k+1: the gradient at theta_k + d_k gives the exact line search. Asks for H_k y_k."""
  curvature = g_trial - state.g  # A d
  alpha = -tf.math.divide_no_nan(average(state.g * state.d), average(state.d * curvature))
  s, y = alpha * state.d, alpha * curvature
  zeros = tf.zeros([3, *s.shape], s.dtype)
  outputs = ntm_bfgs.Outputs(((alpha - 1) * state.d)[tf.newaxis], y[tf.newaxis], zeros, zeros)
  return outputs, BFGSState(tf.zeros_like(s), state.g, state.d, s, y)


def control_at_iterate(g: tf.Tensor, hy: tf.Tensor, state: BFGSState):
  """Step 2k: `hy` = H_{k-1} y_{k-1} has been read. Writes H_k and goes to the trial point."""
  s, n = state.s, g.shape[-1]
  sy, yhy = average(s * state.y), average(state.y * hy)
  rho, ratio = tf.math.divide_no_nan([tf.ones_like(sy) / n, yhy], sy)
  left = tf.stack([(1 + ratio) * rho * s, -rho * hy, -rho * s])
  right = tf.stack([s, s, hy])
  d = tf.where(sy == 0, -g, ratio * s - hy)
  outputs = ntm_bfgs.Outputs(d[tf.newaxis], tf.zeros_like(d)[tf.newaxis], left, right)
  return outputs, BFGSState(tf.ones_like(d), g, d, s, state.y)


class HandSet:
  """Puts the hand-set controller in the place of the LSTM."""

  def initial_controller(self, params):
    return BFGSState(*[tf.zeros_like(params["theta"])] * 5)

  def control(self, inputs, state):
    g, read_result = tf.unstack(inputs)
    at_trial_point = control_at_trial_point(g, state)
    at_iterate = control_at_iterate(g, read_result, state)
    trial = state.trial == 1
    return tf.nest.map_structure(lambda a, b: tf.where(trial, a, b), at_trial_point, at_iterate)


class HandSetNTMBFGS(HandSet, optimizers.NTMBFGS):
  pass


class HandSetNTMLBFGS(HandSet, optimizers.NTMLBFGS):
  pass


def quadratics(seed=0):
  """Random A `[RUNS, N, N]`, b and theta_0 `[RUNS, N]` of theta^T A theta / 2 - b^T theta."""
  rng = np.random.default_rng(seed)
  w = rng.normal(size=(RUNS, 2 * N, N))
  return np.einsum("bki,bkj->bij", w, w) / N, rng.normal(size=(RUNS, N)), rng.normal(size=(RUNS, N))


def dense_bfgs(a, b, theta, num_steps):
  """Inverse-Hessian BFGS with exact line search [Nocedal and Wright 2006, section 6.1], from H = I.

  Returns:
    theta_0 ... theta_num_steps, and the last H.
  """
  h, identity, iterates = np.eye(N), np.eye(N), [theta]
  g = a @ theta - b
  for _ in range(num_steps):
    d = -h @ g
    s = -(g @ d) / (d @ a @ d) * d
    theta = theta + s
    next_g = a @ theta - b
    y, g = next_g - g, next_g
    rho = 1 / (y @ s)
    h = (identity - rho * np.outer(s, y)) @ h @ (identity - rho * np.outer(y, s))
    h += rho * np.outer(s, s)
    iterates.append(theta)
  return np.array(iterates), h


def run_hand_set(optimizer, a, b, theta, num_steps):
  """theta at the even steps of the optimizer, `[num_steps + 1, RUNS, N]`, and its last state."""
  state, iterates = optimizer.initial_state({"theta": tf.constant(theta)}), [theta]
  for t in range(2 * num_steps + 1):  # the last step writes what the last line search has found
    gradients = {"theta": tf.linalg.matvec(a, theta) - b}
    updates, state = optimizer(gradients, state)
    theta = theta + updates["theta"].numpy()
    if t % 2:
      iterates.append(theta)
  return np.array(iterates), state


@pytest.mark.parametrize(
  "kind, options",
  [(HandSetNTMBFGS, {}), (HandSetNTMLBFGS, {"history": 2 * N + 1})],
  ids=["full", "limited"],
)
def test_the_memory_simulates_bfgs(kind, options):
  a, b, theta = quadratics()
  heads = {"num_read_heads": 1, "num_write_heads": 3}
  optimizer = kind(**heads, preprocessing=preprocessing.Rescale(), dtype=tf.float64, **options)
  iterates, state = run_hand_set(optimizer, a, b, theta, N)
  basis = np.broadcast_to(np.eye(N)[:, np.newaxis], (N, RUNS, N))
  columns = optimizer.memory.read(state.memory, tf.constant(basis)).numpy()
  for run in range(RUNS):
    expected, h = dense_bfgs(a[run], b[run], theta[run], N)
    np.testing.assert_allclose(iterates[:, run], expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(columns[:, run].T, h, rtol=0, atol=1e-6)
    # Exact line search: n steps reach the minimum, and H is the inverse Hessian.
    np.testing.assert_allclose(iterates[-1, run], np.linalg.solve(a[run], b[run]), atol=1e-8)
    np.testing.assert_allclose(h, np.linalg.inv(a[run]), rtol=0, atol=1e-6)
    assert np.linalg.norm(iterates[N // 2, run] - iterates[-1, run]) > 1e-3
