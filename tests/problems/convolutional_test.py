"""Tests of the convolutional network: the loss against NumPy, derivatives, instances."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base
from l2l_tf.problems import convolutional

SEED = tf.constant([3, 4])
OPTIONS = {"filters": (3, 2), "kernel_size": 3, "units": 5, "dtype": tf.float64}


def pictures(count=30, size=8, classes=4):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
  return problems.Dataset(images, np.arange(count) % classes, classes, "random")


def small(batch_size=6, init_scale=0.5, size=8):
  """A network of two convolutions in float64."""
  return problems.convnet(
    pictures(size=size), batch_size=batch_size, init_scale=init_scale, **OPTIONS
  )


def convolved(x, w):
  """Same-padded correlation of `[batch, height, width, in]`, pixel by pixel."""
  margin, (height, width) = w.shape[0] // 2, x.shape[1:3]
  padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
  result = np.zeros((*x.shape[:3], w.shape[3]))
  for i in range(w.shape[0]):
    for j in range(w.shape[1]):
      result += padded[:, i : i + height, j : j + width] @ w[i, j]
  return result


def relu_of_normalized(x, offset):
  axes = tuple(range(x.ndim - 1))
  deviation = np.sqrt(x.var(axis=axes) + convolutional.EPSILON)
  return np.maximum((x - x.mean(axis=axes)) / deviation + offset, 0)


def pooled(x):
  """The largest of each 2 x 2 pixels; at an odd edge of those that are there."""
  odd = [(0, side % 2) for side in x.shape[1:3]]
  x = np.pad(x, ((0, 0), *odd, (0, 0)), constant_values=-np.inf)
  batch, height, width, channels = x.shape
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def numpy_loss(params, images, labels):
  """Convolution, batch normalization, ReLU, pooling, in this order; then the two dense layers."""
  p = {name: value.numpy() for name, value in params.items()}
  x = images / 255
  for name in ("conv_1", "conv_2"):
    x = pooled(relu_of_normalized(convolved(x, p[f"{name}/w"]), p[f"{name}/offset"]))
  x = relu_of_normalized(x.reshape(len(x), -1) @ p["hidden/w"], p["hidden/offset"])
  logits = x @ p["output/w"] + p["output/b"]
  logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
  return -np.mean(logs[np.arange(len(x)), labels])


@pytest.mark.parametrize("size", [8, 6, 5])
def test_loss_equals_numpy(size):
  problem, data = small(size=size), pictures(size=size)
  params, task = problem.init(SEED)
  indices = tf.random.stateless_uniform([6], SEED, 0, 30, dtype=tf.int32).numpy()
  expected = numpy_loss(params, data.images[indices], data.labels[indices])
  assert float(problem.loss(params, task, SEED)) == pytest.approx(expected, rel=1e-10)


def gradients_at(problem, params):
  with tf.GradientTape() as tape:
    tape.watch(params)
    loss = problem.loss(params, {}, SEED)
  return tape.gradient(loss, params)


def moved(params, direction, h):
  return {name: theta + h * direction[name] for name, theta in params.items()}


def test_gradient_and_its_own_derivative_equal_finite_differences():
  """Of every parameter, batch normalization's statistics included: <d, grad> and H d."""
  problem = small()
  params, _ = problem.init(SEED)
  rng = np.random.default_rng(1)
  gradients, h = gradients_at(problem, params), 1e-6
  for name in params:
    direction = {n: rng.normal(size=p.shape) * (n == name) for n, p in params.items()}
    ends = [moved(params, direction, sign * h) for sign in (1, -1)]
    slope = float(problem.loss(ends[0], {}, SEED) - problem.loss(ends[1], {}, SEED)) / (2 * h)
    expected = float(tf.reduce_sum(gradients[name] * direction[name]))
    assert slope == pytest.approx(expected, rel=1e-6, abs=1e-9), name
    with tf.GradientTape() as tape:
      tape.watch(params)
      inner = gradients_at(problem, params)
      along = tf.add_n([tf.reduce_sum(g * direction[n]) for n, g in inner.items()])
    product = tape.gradient(along, params, unconnected_gradients="zero")
    after, before = (gradients_at(problem, end) for end in ends)
    for other in params:
      numeric = (after[other] - before[other]) / (2 * h)
      np.testing.assert_allclose(product[other], numeric, rtol=1e-5, atol=1e-8, err_msg=other)


def gradient(function, x):
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = function(x)
  return tape.gradient(y, x)


@pytest.mark.parametrize("graph", [False, True])
def test_images_in_float32_have_the_derivatives_of_the_formula(graph):
  """Where one operation takes its place: value, gradient, and two derivatives of that."""
  rng = np.random.default_rng(2)
  x, offset, along = (rng.normal(size=s) for s in ((4, 6, 6, 3), (3,), (4, 3, 3, 3)))

  def derivatives(x, offset):
    """Of a weighted sum of the outputs, then each of the squares of the one before."""
    values, weights = [convolutional.normalized(x, offset, pool=2)], tf.cast(along, x.dtype)
    derive = lambda x: tf.reduce_sum(weights * convolutional.normalized(x, offset, pool=2))  # noqa: E731
    for _ in range(3):
      values.append(gradient(derive, x))
      derive = lambda x, f=derive: tf.reduce_sum(gradient(f, x) ** 2)  # noqa: E731
    return values

  expected = derivatives(tf.constant(x), tf.constant(offset))
  call = tf.function(derivatives, autograph=False) if graph else derivatives
  got = call(tf.constant(x, tf.float32), tf.constant(offset, tf.float32))
  for order, (a, b) in enumerate(zip(got, expected)):
    assert float(tf.norm(b)) > 0.1, order
    scale = np.abs(b).max()
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * scale, err_msg=f"order {order}")


@pytest.mark.slow
def test_serial_instances_have_their_own_losses_and_gradients():
  """Also of second order, through the loop over instances."""
  problem, seeds = small(), tf.constant(base.make_seeds(2, count=3))
  params, tasks = base.instances(problem, seeds)

  @tf.function(autograph=False)
  def of_all(params):
    with tf.GradientTape() as tape:
      tape.watch(params)
      losses, gradients = base.losses_and_gradients(problem, params, tasks, seeds)
      total = tf.add_n([tf.reduce_sum(g**2) for g in gradients.values()])
    return losses, gradients, tape.gradient(total, params)

  losses, gradients, second = of_all(params)
  for b in range(3):
    one = {name: p[b] for name, p in params.items()}
    with tf.GradientTape() as outer:
      outer.watch(one)
      with tf.GradientTape() as tape:
        tape.watch(one)
        loss = problem.loss(one, {}, seeds[b])
      own = tape.gradient(loss, one)
      total = tf.add_n([tf.reduce_sum(g**2) for g in own.values()])
    own_second = outer.gradient(total, one)
    assert float(losses[b]) == pytest.approx(float(loss), rel=1e-10)
    for name in params:
      np.testing.assert_allclose(gradients[name][b], own[name], rtol=1e-8, atol=1e-12)
      np.testing.assert_allclose(second[name][b], own_second[name], rtol=1e-7, atol=1e-11)


def test_the_papers_network():
  data = problems.Dataset(np.zeros((3, 32, 32, 3), np.uint8), np.zeros(3, np.int64), 10, "black")
  problem = problems.convnet(data)
  params, task = problem.init(SEED)
  assert {name: tuple(p.shape) for name, p in params.items()} == {
    **{"conv_1/w": (5, 5, 3, 16), "conv_1/offset": (16,)},
    **{"conv_2/w": (5, 5, 16, 16), "conv_2/offset": (16,)},
    **{"conv_3/w": (5, 5, 16, 16), "conv_3/offset": (16,)},
    **{"hidden/w": (256, 32), "hidden/offset": (32,)},
    **{"output/w": (32, 10), "output/b": (10,)},
  }
  assert sum(p.shape.num_elements() for p in params.values()) == 22_602
  assert float(problem.loss(params, task, SEED)) == pytest.approx(np.log(10), abs=0.1)


@pytest.mark.parametrize(
  "options, message",
  [
    ({"filters": ()}, r"filters must be positive, got \(\)"),
    ({"filters": (3, 0)}, r"filters must be positive, got \(3, 0\)"),
    ({"kernel_size": 0}, "kernel_size must be positive, got 0"),
    ({"units": -1}, "units must be positive, got -1"),
    ({"batch_size": 0}, "batch_size must be positive, got 0"),
    ({"batch_size": 1}, "batch_size must be at least 2, for normalization, got 1"),
  ],
)
def test_bad_arguments_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    problems.convnet(pictures(), **options)
