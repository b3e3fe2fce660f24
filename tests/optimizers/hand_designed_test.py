"""Tests of the rivals: against loops written from Torch7's `optim`, and against Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers

# Each function below is one file of https://github.com/torch/optim with its default constants:
# a step on a vector x with gradient dfdx, in place, its memory in the dictionary `state`.


def sgd(x, dfdx, rate, state):
  x -= rate * dfdx


def adam(x, dfdx, rate, state):
  beta1, beta2, epsilon = 0.9, 0.999, 1e-8
  state["t"] = state.get("t", 0) + 1
  state["m"] = state.get("m", 0) * beta1 + (1 - beta1) * dfdx
  state["v"] = state.get("v", 0) * beta2 + (1 - beta2) * dfdx * dfdx
  denominator = np.sqrt(state["v"]) + epsilon
  correction1 = 1 - beta1 ** state["t"]
  correction2 = 1 - beta2 ** state["t"]
  x -= rate * np.sqrt(correction2) / correction1 * state["m"] / denominator


def rmsprop(x, dfdx, rate, state):
  alpha, epsilon = 0.99, 1e-8
  state["m"] = state.get("m", 0) * alpha + (1 - alpha) * dfdx * dfdx
  x -= rate * dfdx / (np.sqrt(state["m"]) + epsilon)


def adadelta(x, dfdx, rate, state):  # Torch7 has no rate; it multiplies the step alone
  rho, epsilon = 0.9, 1e-6
  state["var"] = state.get("var", 0) * rho + (1 - rho) * dfdx * dfdx
  std = np.sqrt(state["var"] + epsilon)
  delta = np.sqrt(state.get("accDelta", 0) + epsilon) / std * dfdx
  x -= rate * delta
  state["accDelta"] = state.get("accDelta", 0) * rho + (1 - rho) * delta * delta


def adagrad(x, dfdx, rate, state):
  state["var"] = state.get("var", 0) + dfdx * dfdx
  x -= rate * dfdx / (np.sqrt(state["var"]) + 1e-10)


def rprop(x, dfdx, rate, state):
  state.setdefault("delta", np.zeros_like(x))
  state.setdefault("stepsize", np.full_like(x, rate))
  for i in range(len(x)):
    product = dfdx[i] * state["delta"][i]
    gradient = dfdx[i]
    if product > 0:
      state["stepsize"][i] = min(state["stepsize"][i] * 1.2, 50)
    elif product < 0:
      state["stepsize"][i] = max(state["stepsize"][i] * 0.5, 1e-6)
      gradient = 0.0
    x[i] -= np.sign(gradient) * state["stepsize"][i]
    state["delta"][i] = gradient


TORCH7 = {
  "adam": adam,
  "rmsprop": rmsprop,
  "sgd": sgd,
  "adadelta": adadelta,
  "adagrad": adagrad,
  "rprop": rprop,
}
RATES = [0.003, 0.05, 0.4]  # one for each of three instances
SCALES = np.array([1.0, 0.3, 0.02, 1e-3, 1.0, 1e-9])  # of the coordinates' gradients


def gradient_of(x, t):
  """Of a stretched bowl with noise that depends on the step."""
  noise = np.random.default_rng(t).normal(size=6)
  return SCALES * (x - np.arange(6) / 6 + 0.3 * noise)


def trajectory(optimizer, thetas, num_steps):
  """Runs `optimizer` on a parameter `[3, 2]` beside one `[B, 2, 2]`: flat points `[T, B, 6]`."""
  thetas = np.array(thetas)
  batch = len(thetas)

  def split(flat):
    return {"a": tf.constant(flat[:, :2]), "b": tf.constant(flat[:, 2:].reshape(batch, 2, 2))}

  state = optimizer.initial_state(split(thetas))
  points = []
  for t in range(num_steps):
    gradients = np.stack([gradient_of(theta, t) for theta in thetas])
    updates, state = optimizer(split(gradients), state)
    thetas = thetas + tf.concat([updates["a"], tf.reshape(updates["b"], [batch, 4])], axis=1)
    points.append(thetas := thetas.numpy())
  return np.stack(points)


def starts(batch):
  return np.random.default_rng(99).normal(size=(batch, 6))


def test_every_rival_is_here():
  assert TORCH7.keys() == optimizers.HAND_DESIGNED.keys()


@pytest.mark.parametrize("name", TORCH7)
def test_200_steps_equal_torch7(name):
  points = trajectory(optimizers.HAND_DESIGNED[name](RATES), starts(3), 200)
  for b, rate in enumerate(RATES):
    x, state = starts(3)[b], {}
    for t in range(200):
      TORCH7[name](x, gradient_of(x, t), rate, state)
      np.testing.assert_allclose(points[t, b], x, rtol=1e-9, atol=1e-12, err_msg=f"step {t}")


@pytest.mark.parametrize("name", TORCH7)
def test_rates_of_instances_equal_separate_runs(name):
  make = optimizers.HAND_DESIGNED[name]
  together = trajectory(make(RATES), starts(3), 20)
  for b, rate in enumerate(RATES):
    alone = trajectory(make(rate), starts(3)[b : b + 1], 20)
    np.testing.assert_allclose(together[:, b], alone[:, 0], rtol=1e-12)


# Keras: its Adam and SGD follow the same conventions. RMSprop and Adagrad have epsilon inside the
# root, and Adagrad a first sum of 0.1, so they agree with epsilon = 0 and a first sum of 0.
# Adadelta agrees as it is.
KERAS = {
  "sgd": lambda rate: keras.optimizers.SGD(rate),
  "adam": lambda rate: keras.optimizers.Adam(rate, epsilon=1e-8),
  "rmsprop": lambda rate: keras.optimizers.RMSprop(rate, rho=0.99, epsilon=0.0),
  "adadelta": lambda rate: keras.optimizers.Adadelta(rate, rho=0.9, epsilon=1e-6),
  "adagrad": lambda rate: keras.optimizers.Adagrad(rate, 0.0, epsilon=0.0),
}


@pytest.mark.parametrize("name", KERAS)
def test_updates_equal_keras(name):
  ours, theirs = optimizers.HAND_DESIGNED[name](0.05), KERAS[name](0.05)
  gradients = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
  variable = keras.Variable(np.zeros(4, np.float32))
  state = ours.initial_state({"x": tf.zeros([1, 4])})
  x = np.zeros(4)
  for g in gradients:
    updates, state = ours({"x": tf.constant(g[np.newaxis])}, state)
    x += updates["x"][0]
    theirs.apply([tf.constant(g)], [variable])
    np.testing.assert_allclose(variable.numpy(), x, rtol=1e-5, atol=1e-6)


def test_rprop_by_hand():
  """First step 0.1; grows while the sign stays, halves and waits a step when it turns."""
  optimizer = optimizers.Rprop(0.1)
  state = optimizer.initial_state({"x": tf.zeros([1, 1], tf.float64)})
  moves = []
  for g in [3.0, 1.0, 0.1, -5.0, -5.0, -5.0, 2.0, -1.0, 0.0, -1.0]:
    updates, state = optimizer({"x": tf.constant([[g]], tf.float64)}, state)
    moves.append(float(updates["x"][0, 0]))
  expected = [-0.1, -0.12, -0.144, 0.0, 0.072, 0.0864, 0.0, 0.0432, 0.0, 0.0432]
  np.testing.assert_allclose(moves, expected, rtol=1e-12)


def test_rprop_keeps_its_step_sizes_within_limits():
  optimizer = optimizers.Rprop([40.0, 1.5e-6])
  state = optimizer.initial_state({"x": tf.zeros([2, 1], tf.float64)})
  for sign in [1.0, 1.0, 1.0]:  # 40, 48, 50; and 1.5e-6 turned down three times, then up
    updates, state = optimizer({"x": tf.constant([[sign], [sign]], tf.float64)}, state)
  assert float(updates["x"][0, 0]) == -50.0
  for sign in [-1.0, -1.0, 1.0, 1.0, -1.0, -1.0]:
    updates, state = optimizer({"x": tf.constant([[sign], [sign]], tf.float64)}, state)
  assert float(updates["x"][1, 0]) == pytest.approx(1e-6)


@pytest.mark.parametrize("name", TORCH7)
def test_a_grid_of_rates_in_one_call(name):
  rates = [1e-6 * 2.0**k for k in range(30)]
  optimizer = optimizers.HAND_DESIGNED[name](rates)
  gradients = {"x": tf.constant(np.tile([[2.0, -0.5]], [30, 1]))}
  updates, _ = optimizer(gradients, optimizer.initial_state(gradients))
  steps = np.asarray(rates)[:, np.newaxis] * -np.sign([[2.0, -0.5]])
  factor = {
    "sgd": [[2.0, 0.5]],
    "adam": 1 / (1 + 1e-8 / (np.sqrt(1e-3) * np.array([[2.0, 0.5]]))),
    "rmsprop": 10.0,
    "adadelta": [[g * np.sqrt(1e-6) / np.sqrt(0.1 * g * g + 1e-6) for g in (2.0, 0.5)]],
    "adagrad": 1.0,
    "rprop": 1.0,
  }[name]
  expected = np.clip(steps, -50, 50) if name == "rprop" else steps * factor
  np.testing.assert_allclose(updates["x"], expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
@pytest.mark.parametrize("name", optimizers.HAND_DESIGNED)
def test_in_sixteen_bits_they_do_what_they_do_in_float32(name, dtype):
  """Their slots are float32: else Adam stands still in bfloat16 and is infinite in float16."""
  start = tf.constant([[3.0, -2.0, 0.5, 0.0]])
  ends = []
  for x in (start, tf.cast(start, dtype)):
    optimizer = optimizers.HAND_DESIGNED[name](0.05)
    state = optimizer.initial_state({"x": x})
    for _ in range(20):
      updates, state = optimizer({"x": x}, state)  # of |x|^2 / 2
      x += updates["x"]
    assert updates["x"].dtype == x.dtype
    ends.append(tf.cast(x, tf.float32))
  np.testing.assert_allclose(*ends, rtol=0.1, atol=0.02)
