"""The part of docs/format.md on general optimizers, in NumPy: it must do what TensorFlow does."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.storage import optimizer_files
from tests.storage.format_test import read

SHAPES = {"w": (4, 3), "b": (3,), "filter": (2, 2, 1, 2), "scalar": ()}
BETAS = (0.0, 0.9, 0.99)


def rms(x):
  return np.sqrt(np.mean(x**2))


def ratio(a, b):
  return np.divide(a, b, out=np.zeros(np.shape(a)), where=np.asarray(b) != 0)


def log(x):
  return np.log(np.clip(x, 1e-6, 1e6))


def cosine(a, b):
  return ratio(np.sum(a * b), np.sqrt(np.sum(a**2)) * np.sqrt(np.sum(b**2)))


class Tensor:
  """What is kept of one parameter."""

  def __init__(self, theta):
    self.theta_0 = theta
    self.m, self.v = [np.zeros(theta.shape)] * 3, np.zeros(theta.shape)
    self.s, self.memory, self.seen = 0.0, 0.0, np.zeros(13)

  def look(self, gradient, theta, t):
    """Averages; returns the directions, the unit and what is seen but for the mean of shares."""
    gradient = np.where(np.isfinite(gradient), gradient, 0.0)
    self.s = self.s or rms(gradient)
    g = np.clip(ratio(gradient, self.s * np.ones(np.shape(gradient))), -1e15, 1e15)
    self.m = [b * m + (1 - b) * g for b, m in zip(BETAS, self.m)]
    self.v = 0.99 * self.v + 0.01 * g**2
    root = np.sqrt(self.v + 1e-10 * self.v.mean() + 1e-36)
    correction = np.sqrt(1 - 0.99**t)
    d = [ratio(m / (1 - b**t) * correction, root) for b, m in zip(BETAS, self.m)]
    is_matrix = theta.ndim >= 2
    fan_in = np.prod(theta.shape[:-1]) if is_matrix else 1
    unit = max(rms(theta), 0.03 / np.sqrt(fan_in) if is_matrix else 0.3)
    way, growth = theta - self.theta_0, 0.5 * log(self.v.mean() / (1 - 0.99**t))
    share = growth + np.log(self.s or 1.0) + log(unit) + 0.5 * np.log(theta.size)
    pairs = [(d[0], d[1]), (d[0], d[2]), (d[1], d[2]), *((x, way) for x in d)]
    f = [cosine(a, b) for a, b in pairs]
    f += [np.tanh(rms(d[0]) - 1), 0.3 * log(rms(d[1])), 0.3 * log(rms(d[2]))]
    f += [0.2 * log(rms(way) / unit), 0.2 * growth, 0.2 * log(rms(theta) / unit), share]
    self.static = [float(is_matrix), np.log(fan_in) / 5, np.log(theta.size) / 10]
    return d, unit, np.array(f)


def orthogonal(u):
  """Newton and Schulz's iteration, three rounds, on a matrix; its RMS and its zeros stay."""
  x = u.reshape(-1, u.shape[-1]) if u.ndim > 1 else u.reshape(1, -1)
  if not (1 < min(x.shape) <= 64 and x.size <= 2**16):
    return u
  x = x.T if x.shape[0] < x.shape[1] else x
  y = ratio(x, np.sqrt(np.sum(x**2)) * np.ones(x.shape))
  for _ in range(3):
    product = y.T @ y
    y = 3.4445 * y + y @ (-4.775 * product + 2.0315 * product @ product)
  y = np.where(x != 0, y, 0)
  y = ratio(y, rms(y) * np.ones(y.shape)) * rms(x)
  return (y if y.shape[1] == u.shape[-1] and y.shape[0] == u.size // u.shape[-1] else y.T).reshape(
    u.shape
  )


def run(config, tensors, gradients, start):
  """theta after the gradients `{name: [T, ...]}`, from `{name: [...]}`."""
  theta = dict(start)
  kept = {name: Tensor(x) for name, x in theta.items()}
  num_steps = len(next(iter(gradients.values())))
  for t in range(1, num_steps + 1):
    looks = {n: kept[n].look(gradients[n][t - 1], theta[n], t) for n in theta}
    mean_share = np.mean([f[-1] for _, _, f in looks.values()])
    for n, (_, _, f) in looks.items():
      f[-1] = 0.2 * np.clip(f[-1] - mean_share, -10, 10)
      kept[n].seen = 0.9 * kept[n].seen + 0.1 * f
    seen = {n: tensor.seen / (1 - 0.9**t) for n, tensor in kept.items()}
    everywhere = np.mean(list(seen.values()), 0)
    time = np.tanh(t / 10 ** np.arange(0, 5.5, 0.5) - 1)
    for k, (n, (d, unit, _)) in enumerate(looks.items()):
      place = [k / (len(theta) - 1), np.log(len(theta)) / 5]
      x = np.concatenate([seen[n], everywhere, kept[n].static, place, time, [kept[n].memory]])
      layers = len(config["hidden"]) + 1
      for layer in range(1, layers + 1):
        x = x @ tensors[f"layer_{layer}/w"] + tensors[f"layer_{layer}/b"]
        x = np.tanh(x) if layer < layers else x
      kept[n].memory = np.clip(kept[n].memory + 0.03 * np.tanh(x[1]), -3, 3)
      step = min(0.01 * np.exp(x[0] + kept[n].memory), 0.5)
      w = np.exp(x[2:] - x[2:].max())
      u = sum(share * direction for share, direction in zip(w / w.sum(), d))
      update = step * unit * u / max(rms(u), 1)
      theta[n] = theta[n] - (orthogonal(update) if config.get("orthogonal") else update)
  return theta


@pytest.mark.parametrize("turned", [False, True])
def test_a_program_without_tensorflow_can_run_a_general_optimizer(tmp_path, turned):
  rng = np.random.default_rng(0)
  optimizer = optimizers.General((6, 5), orthogonal=turned)
  for variable in optimizer.trainable_variables:
    variable.assign(rng.normal(size=variable.shape, scale=0.4))
  optimizer_files.save_optimizer(str(tmp_path), optimizer, {})
  config, tensors = read(str(tmp_path))
  assert config.pop("kind") == "general" and config.pop("hidden") == [6, 5] and len(tensors) == 6
  assert config == ({"orthogonal": True} if turned else {})
  config |= {"hidden": [6, 5]}
  start = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
  start["b"] *= 0
  gradients = {name: rng.normal(size=[12, *shape]) for name, shape in SHAPES.items()}
  gradients["filter"][:3] = 0
  gradients["w"][5, 0, 0] = np.nan
  theta = {name: tf.constant(x[np.newaxis], tf.float32) for name, x in start.items()}
  state = optimizer.initial_state(theta)
  for t in range(12):
    g = {name: tf.constant(x[t : t + 1], tf.float32) for name, x in gradients.items()}
    updates, state = optimizer(g, state, theta)
    theta = {name: theta[name] + updates[name] for name in theta}
  expected = run(config, {n: x.astype(np.float64) for n, x in tensors.items()}, gradients, start)
  for name, x in expected.items():
    np.testing.assert_allclose(theta[name][0], x, rtol=1e-3, atol=1e-4)
    assert np.abs(x - start[name]).max() > 1e-2
