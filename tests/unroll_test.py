"""Tests of the unroll: its identities, and its meta-gradients against finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.problems.base import at_step
from l2l_tf.problems.base import make_seeds
from tests import adapted
from tests.problems import convolutional_test

STEPS = 7
SEEDS = make_seeds(3, count=2)


def small_mlp():
  """A classifier of random pictures: two parameters a layer, new minibatches at every step."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (40, 2, 3, 1), dtype=np.uint8)
  data = problems.Dataset(images, rng.integers(0, 3, 40), 3, "random")
  return problems.mlp(data, (4,), "tanh", batch_size=8, init_scale=0.5, dtype=tf.float64)


PROBLEMS = {
  "quadratic": lambda: problems.quadratic(4, dtype=tf.float64),
  "bowl": lambda: problems.bowl(4, dtype=tf.float64),
  "mlp": small_mlp,
  "from_keras": lambda: adapted.keras_model(tf.float64),  # lifted by tf.map_fn
  "convnet": convolutional_test.small,  # with batch normalization; with a Partition
}


def lstm(seed=1):
  return optimizers.CoordinatewiseLSTM((3, 2), output_scale=0.2, seed=seed, dtype=tf.float64)


def learned(name):
  """What learns on the problem of that name."""
  return lstm() if name != "convnet" else optimizers.Partition({"conv": lstm(), "fc": lstm(2)})


def compiled(problem, optimizer, num_steps):
  return tf.function(
    lambda carry: unroll.unroll(problem, optimizer, carry, num_steps), autograph=False
  )


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [lstm(), optimizers.Adam(0.1)], ids=["lstm", "adam"])
def test_two_unrolls_of_20_are_one_of_40(optimizer):
  problem = small_mlp()
  carry, _ = unroll.start(problem, optimizer, SEEDS)
  whole_carry, whole = compiled(problem, optimizer, 40)(carry)
  half = compiled(problem, optimizer, 20)
  middle, first = half(carry)
  end, second = half(middle)
  assert whole.shape == (40, 2) and int(middle.step) == 20 and int(end.step) == 40
  np.testing.assert_allclose(tf.concat([first, second], axis=0), whole, rtol=1e-12)
  tf.nest.map_structure(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), end, whole_carry
  )


def plain_first_order_losses(problem, optimizer, carry, num_steps):
  """Figure 2 without the dashed edges: only the optimizer's input is a constant."""
  params, state, losses = carry.params, carry.state, []
  for t in range(num_steps + 1):
    with tf.GradientTape() as tape:
      tape.watch(params)
      loss = tf.stack(
        [
          problem.loss(
            {name: p[b] for name, p in params.items()},
            tf.nest.map_structure(lambda x, b=b: x[b], carry.task),
            at_step(carry.seeds[b], tf.constant(t)),
          )
          for b in range(2)
        ]
      )
    losses.append(loss)
    gradients = tape.gradient(loss, params)
    updates, state = optimizer(tf.nest.map_structure(tf.stop_gradient, gradients), state)
    params = {name: theta + updates[name] for name, theta in params.items()}
  return tf.stack(losses[1:])  # f(theta_0) does not depend on phi


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_linearised_losses_have_the_plain_first_order_values_and_gradient(name):
  problem, optimizer = PROBLEMS[name](), learned(name)
  carry, _ = unroll.start(problem, optimizer, SEEDS)
  weights = np.random.default_rng(5).normal(size=(STEPS, 2))  # every loss counts on its own

  def value_and_gradient(losses_of):
    with tf.GradientTape() as tape:
      losses = losses_of()
      total = tf.reduce_sum(weights * losses)
    return losses, tape.gradient(total, optimizer.trainable_variables)

  losses, gradients = value_and_gradient(lambda: unroll.unroll(problem, optimizer, carry, STEPS)[1])
  plain, expected = value_and_gradient(
    lambda: plain_first_order_losses(problem, optimizer, carry, STEPS)
  )
  np.testing.assert_allclose(losses, plain, rtol=1e-12)
  for a, b in zip(gradients, expected, strict=True):
    assert np.abs(b).max() > 1e-6
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def meta_gradient(problem, optimizer, carry, second_derivatives):
  @tf.function(autograph=False)
  def compute():
    with tf.GradientTape() as tape:
      _, losses = unroll.unroll(problem, optimizer, carry, STEPS, second_derivatives)
      total = tf.reduce_sum(losses)
    return tape.gradient(total, optimizer.trainable_variables)

  return compute()


def slope(value, variables, direction, h=1e-7):
  """Central difference of `value()` as the variables move along `direction`."""
  origin = [v.numpy() for v in variables]
  values = []
  for sign in (1, -1):
    for v, o, d in zip(variables, origin, direction, strict=True):
      v.assign(o + sign * h * d)
    values.append(float(value()))
  for v, o in zip(variables, origin, strict=True):
    v.assign(o)
  return (values[0] - values[1]) / (2 * h)


def directions(variables, count=4):
  """Each along one variable and one along all of them."""
  rng = np.random.default_rng(8)
  full = [rng.normal(size=v.shape) for v in variables]
  yield full
  for k in range(count - 1):
    yield [d if j == k else 0 * d for j, d in enumerate(full)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_first_order_meta_gradient_equals_finite_differences(name):
  """Of sum_t <grad_t, theta_t(phi)>, the gradients frozen to those of the trajectory at phi."""
  problem, optimizer = PROBLEMS[name](), learned(name)
  carry, _ = unroll.start(problem, optimizer, SEEDS)
  frozen, at_t = [carry.gradients], carry  # grad_0 ... grad_T
  one_step = compiled(problem, optimizer, 1)
  for _ in range(STEPS):
    at_t, _ = one_step(at_t)
    frozen.append(at_t.gradients)

  @tf.function(autograph=False)
  def value():
    params, state, total = carry.params, carry.state, tf.constant(0.0, tf.float64)
    for t in range(STEPS):
      updates, state = optimizer(frozen[t], state)
      params = {key: theta + updates[key] for key, theta in params.items()}
      total += sum(tf.reduce_sum(frozen[t + 1][key] * params[key]) for key in params)
    return total

  phi = optimizer.trainable_variables
  gradients = meta_gradient(problem, optimizer, carry, second_derivatives=False)
  for direction in directions(phi):
    expected = sum(float(np.sum(g * d)) for g, d in zip(gradients, direction, strict=True))
    assert slope(value, phi, direction) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_second_order_meta_gradient_equals_finite_differences(name):
  problem, optimizer = PROBLEMS[name](), learned(name)
  carry, _ = unroll.start(problem, optimizer, SEEDS)
  value = tf.function(
    lambda: tf.reduce_sum(unroll.unroll(problem, optimizer, carry, STEPS)[1]), autograph=False
  )
  phi = optimizer.trainable_variables
  gradients = meta_gradient(problem, optimizer, carry, second_derivatives=True)
  first_order = meta_gradient(problem, optimizer, carry, second_derivatives=False)
  h = 1e-7 if name == "convnet" else 3e-7  # its error of h^2 is larger
  for direction in directions(phi):
    expected = sum(float(np.sum(g * d)) for g, d in zip(gradients, direction, strict=True))
    assert slope(value, phi, direction, h) == pytest.approx(expected, rel=1e-6, abs=1e-8)
  differences = [np.abs(a - b).max() for a, b in zip(gradients, first_order, strict=True)]
  assert max(differences) > 1e-4  # the dashed edges do something here


@pytest.mark.slow
def test_second_derivatives_leave_the_trajectory_as_it_is():
  problem, optimizer = small_mlp(), lstm()
  carry, _ = unroll.start(problem, optimizer, SEEDS)
  _, first = unroll.unroll(problem, optimizer, carry, STEPS)
  _, second = unroll.unroll(problem, optimizer, carry, STEPS, second_derivatives=True)
  np.testing.assert_allclose(first, second, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_instances_equal_separate_runs(name):
  problem, optimizer = PROBLEMS[name](), learned(name)
  seeds = make_seeds(4, count=3)
  together = unroll.rollout(problem, optimizer, seeds, STEPS)
  assert len(np.unique(together)) == 3 * (STEPS + 1)
  for b in range(3):
    alone = unroll.rollout(problem, optimizer, seeds[b : b + 1], STEPS)
    np.testing.assert_allclose(alone[:, 0], together[:, b], rtol=1e-10)


def test_rollout_starts_at_theta_0():
  problem = small_mlp()
  losses = unroll.rollout(problem, optimizers.SGD(0.1), SEEDS, STEPS)
  assert losses.shape == (STEPS + 1, 2)
  for b, seed in enumerate(SEEDS):
    params, task = problem.init(tf.constant(seed))
    first = problem.loss(params, task, at_step(tf.constant(seed), tf.constant(0)))
    assert float(losses[0, b]) == pytest.approx(float(first), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_instances_and_minibatches_do_not_depend_on_the_optimizer(name):
  """Two optimizers that do not move meet the same losses at every step, and so the same data."""
  problem, still = PROBLEMS[name](), lstm()
  for variable in still.linear.trainable_variables:
    variable.assign(tf.zeros_like(variable))
  curve = unroll.rollout(problem, still, SEEDS, STEPS)
  rival = unroll.rollout(problem, optimizers.SGD(0.0), SEEDS, STEPS)
  np.testing.assert_allclose(curve, rival, rtol=1e-12)
  distinct = len(np.unique(np.asarray(curve)[:, 0].round(12)))
  assert distinct == (1 if name in ("quadratic", "bowl") else STEPS + 1)  # those have no noise


def test_sgd_on_the_bowl_follows_the_formula():
  problem = problems.bowl(5, dtype=tf.float64)
  losses = unroll.rollout(problem, optimizers.SGD(0.5), SEEDS, STEPS).numpy()
  ratio = (1 - 0.5 * 2 / 5) ** 2  # theta - c shrinks by 1 - rate 2 / n a step
  np.testing.assert_allclose(losses[1:] / losses[:-1], ratio, rtol=1e-9)


def test_types_that_differ_are_an_error():
  optimizer = optimizers.CoordinatewiseLSTM((3,), dtype=tf.float64)
  with pytest.raises(TypeError, match="computes in float64, .* {'theta': 'float32'}"):
    unroll.start(problems.bowl(3), optimizer, tf.zeros([1, 2], tf.int32))


def of_images(loss) -> problems.Problem:
  return problems.from_function(
    lambda seed: {"x": tf.random.stateless_normal([1, 2, 2, 1], seed)},
    lambda params, task, seed: tf.reduce_sum(loss(params["x"]) ** 2),
  )


def test_an_operation_without_a_second_derivative_is_named():
  problem = of_images(lambda x: tf.image.resize(x, [3, 3], "bicubic"))
  carry, _ = unroll.start(problem, optimizers.SGD(0.1), SEEDS)
  phi = tf.Variable(0.1)
  message = "`second_derivatives` cannot be had: ResizeBicubicGrad, .* has no gradient"
  with pytest.raises(unroll.NotDifferentiable, match=message), unroll.differentiating(True):
    with tf.GradientTape() as tape:
      _, losses = unroll.unroll(problem, optimizers.SGD(phi), carry, 2, True)
      meta_loss = tf.reduce_sum(losses)
    tape.gradient(meta_loss, phi)


def test_an_operation_without_a_derivative_is_named():
  problem = of_images(lambda x: tf.image.resize(x, [3, 3], "area"))
  with pytest.raises(unroll.NotDifferentiable, match="operation ResizeArea has no gradient"):
    unroll.start(problem, optimizers.SGD(0.1), SEEDS)


def test_an_empty_parameter_is_named():
  problem = problems.Problem(
    lambda seed: ({"a": tf.zeros([0]), "b": tf.zeros([2])}, {}),
    lambda params, task, seed: tf.reduce_sum(params["b"]),
  )
  with pytest.raises(ValueError, match=r"empty, {'a': \(0,\)}: leave them out"):
    unroll.start(problem, optimizers.SGD(0.1), SEEDS)
