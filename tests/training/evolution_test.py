"""Evolution strategies: their gradient, their pairs, their trainer."""

import math

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.problems.base import Mixture
from l2l_tf.problems.base import make_seeds
from l2l_tf.training import evolution
from l2l_tf.training.evolution_trainer import EvolutionTrainer
from tests.tiny_evolution import CONFIG
from tests.tiny_evolution import general
from tests.tiny_evolution import lstm
from tests.tiny_evolution import mixture


@pytest.mark.slow
def test_that_each_of_many_problems_is_compiled_is_no_reason_to_warn(monkeypatch):
  own = {str(n): problems.bowl(n) for n in range(1, 7)}
  config = CONFIG.replace(num_steps=2, num_tasks=1, validation_runs=1, episodes_per_epoch=24)
  trainer = EvolutionTrainer(Mixture(own, dict.fromkeys(own, 1.0), own), lstm(), config)
  warnings = []
  monkeypatch.setattr(tf.get_logger(), "warning", lambda *args: warnings.append(args))
  trainer.validate()
  while not trainer.epoch_complete:
    trainer.step()
  assert not warnings


def test_the_gradient_is_that_of_the_smoothed_quadratic():
  """E f(x + sigma e) of x'Ax / 2 + b'x has the gradient Ax + b, whatever sigma."""
  rng = np.random.default_rng(0)
  a = rng.normal(size=[5, 5])
  a, b, x = (tf.constant(y, tf.float32) for y in (a + a.T, rng.normal(size=5), rng.normal(size=5)))
  seeds, sigma = tf.constant(make_seeds(3, count=20_000)), 0.7
  perturb = tf.function(evolution.perturb)  # its loop over the pairs is slow out of a graph
  (both,), noise = perturb([x], seeds, sigma)
  values = 0.5 * tf.einsum("pi,ij,pj->p", both, a, both) + tf.linalg.matvec(both, b)
  (found,) = evolution.gradient(evolution.differences(values), noise, sigma)
  exact = tf.linalg.matvec(a, x) + b
  np.testing.assert_allclose(found, exact, atol=4 * float(tf.norm(exact)) / math.sqrt(20_000))


def test_a_pair_is_symmetric_and_a_function_of_its_own_seed():
  phi = [tf.ones([2, 3]), tf.zeros([4])]
  seeds = tf.constant(make_seeds(1, count=3))
  both, noise = evolution.perturb(phi, seeds, 0.5)
  for x, pair, e in zip(phi, both, noise):
    np.testing.assert_allclose(pair[:3] + pair[3:], tf.stack([2 * x] * 3), rtol=1e-6)
    np.testing.assert_allclose(pair[:3] - x, 0.5 * e, rtol=1e-5, atol=1e-6)
  _, last = evolution.perturb(phi, seeds[2:], 0.5)
  for a, b in zip(noise, last):
    np.testing.assert_array_equal(a[2:], b)
  assert len({float(x) for x in np.ravel(noise[0])}) == 18


@pytest.mark.slow
def test_for_small_perturbations_it_is_backpropagation():
  """The objective's gradient through the unroll, second derivatives and all."""
  rule, problem, steps = general(), problems.quadratic(3), 10
  seeds = tf.constant(make_seeds(5, count=1))
  with tf.GradientTape() as tape:
    carry, _ = unroll.start(problem, rule, seeds)
    _, losses = unroll.unroll(problem, rule, carry, steps, second_derivatives=True)
    log = tf.math.log(losses[:, 0])
    value = 0.3 * tf.reduce_mean(log) + 0.7 * log[-1]
  exact = tf.concat(
    [tf.reshape(g, [-1]) for g in tape.gradient(value, rule.trainable_variables)], 0
  )
  pairs, sigma = 3000, 1e-3
  noise_seeds = tf.constant(make_seeds(6, count=pairs))

  @tf.function(autograph=False)
  def run():
    phi, noise = evolution.perturb(rule.trainable_variables, noise_seeds, sigma)
    carry, _ = unroll.start(problem, rule, tf.repeat(seeds, 2 * pairs, axis=0))
    length = tf.constant(steps)
    return noise, evolution.objectives(problem, rule, phi, carry, length, length)[1:]

  noise, (values, means) = run()
  np.testing.assert_allclose(tf.reduce_mean(means), tf.reduce_mean(losses), rtol=1e-2)
  found = evolution.gradient(evolution.differences(values), noise, sigma)
  found = tf.concat([tf.reshape(g, [-1]) for g in found], 0)
  cosine = float(tf.reduce_sum(found * exact) / (tf.norm(found) * tf.norm(exact)))
  expected = 1 / math.sqrt(1 + exact.shape[0] / pairs)  # of so many random directions
  assert cosine == pytest.approx(expected, abs=0.02)


def gac() -> optimizers.GlobalAveragingLSTM:
  return optimizers.GlobalAveragingLSTM((3,), num_gacs=1, seed=1)


def ntm() -> optimizers.NTMBFGS:
  return optimizers.NTMBFGS((3,), num_gacs=1, seed=1)


def one_phi() -> optimizers.Optimizer:
  """An LSTM that cannot have a phi for each instance."""
  optimizer = lstm()
  optimizer.with_phi = lambda phi: None
  return optimizer


def of_instance(carry: unroll.Carry, b: int, in_turn: bool) -> list[tf.Tensor]:
  """All tensors of the carry, as if the instance were alone."""
  if in_turn:
    return tf.nest.flatten(tf.nest.map_structure(lambda x: x[b], carry))
  own = tf.nest.map_structure(lambda x: x[b : b + 1], carry._replace(step=carry.seeds))
  state = tf.nest.map_structure(lambda x: np.swapaxes(x, 0, 1), own.state)
  return tf.nest.flatten(own._replace(state=state, step=carry.step))


@pytest.mark.slow
@pytest.mark.parametrize("make", [lstm, gac, ntm, one_phi])
def test_each_pair_does_what_its_phi_does(make):
  """Side by side, or in turn if the optimizer can have but one phi."""
  optimizer, problem = make(), problems.bowl(3)
  before = [v.numpy() for v in optimizer.trainable_variables]
  seeds = tf.constant(make_seeds(2, count=2))
  phi, _ = evolution.perturb(optimizer.trainable_variables, seeds, 0.1)
  twice = tf.concat([seeds, seeds], 0)

  @tf.function(autograph=False)
  def run():
    carry, length = evolution.start(problem, optimizer, seeds), tf.constant(6)
    return evolution.objectives(problem, optimizer, phi, carry, length, length)

  carry, values, means = run()
  for variable, value in zip(optimizer.trainable_variables, before):
    np.testing.assert_array_equal(variable, value)
  for b in range(4):
    for variable, each in zip(optimizer.trainable_variables, phi):
      variable.assign(each[b])
    own, _ = unroll.start(problem, optimizer, twice[b : b + 1])
    own, losses = unroll.unroll(problem, optimizer, own, 6)
    losses = losses[:, 0]
    np.testing.assert_allclose(means[b], np.mean(losses), rtol=1e-5)
    in_turn = make in (ntm, one_phi)
    received = of_instance(carry, b, in_turn)
    for found, wanted in zip(received, tf.nest.flatten(own), strict=True):
      np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    expected = 0.3 * np.mean(np.log(losses)) + 0.7 * np.log(losses[-1])
    np.testing.assert_allclose(values[b], expected, rtol=1e-4)


def test_losses_of_all_scales_mix():
  units = evolution.normalised(tf.constant([1e-6, -1e-6, 0.0, 1e-3]), tf.constant(2.5e-7))
  np.testing.assert_allclose(units, [0.002, -0.002, 0, 2.0], rtol=1e-5)
  still = evolution.normalised(tf.zeros([3]), tf.constant(0.0))
  np.testing.assert_array_equal(still, [0, 0, 0])


def exploding():
  """A bowl that has no numbers once theta is large."""
  bowl = problems.bowl(3)

  def loss(params, task, seed):
    value = bowl.loss(params, task, seed)
    return tf.where(tf.reduce_max(tf.abs(params["theta"])) > 1.5, math.nan, value)

  return problems.Problem(bowl.init, loss)


def test_runs_that_are_no_numbers_count_as_bad_and_no_more():
  problem, optimizer = exploding(), optimizers.SGD(1e3)
  carry, _ = unroll.start(problem, optimizer, tf.constant(make_seeds(1, count=2)))
  _, values, _ = evolution.objective(problem, optimizer, carry, tf.constant(5), tf.constant(5))
  np.testing.assert_allclose(values, math.log(evolution.WORST), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("make", [general, lstm])
def test_training_lowers_the_validation_loss(make):
  options = {"episodes_per_epoch": 10, "learning_rate": 0.1}
  trainer = EvolutionTrainer(problems.bowl(3), make(), CONFIG.replace(**options))
  _, before = trainer.validate()
  while not trainer.done:
    trainer.run_epoch()
  assert trainer.progress.best_loss < 0.7 * before and trainer.progress.bad_steps == 0


def test_a_mixture_draws_its_problems_by_weight_and_lengths_log_uniformly():
  names, lengths = [], []
  options = {"shortest": 5, "num_steps": 500, "episodes_per_epoch": 10**5}
  config = CONFIG.replace(**options)
  trainer = EvolutionTrainer(mixture(bowl=3.0, quadratic=1.0), general(), config)
  for trainer.progress.episode in range(400):
    trainer._begin_episode()
    names.append(trainer._name)
    lengths.append(trainer._length)
  assert names.count("bowl") == pytest.approx(300, abs=40)
  assert min(lengths) >= 5 and max(lengths) <= 500
  assert np.median(lengths) == pytest.approx(50, rel=0.25)


@pytest.mark.slow
def test_a_mixture_is_validated_by_the_geometric_mean():
  trainer = EvolutionTrainer(mixture(), general(), CONFIG)
  curve, final = trainer.validate()
  alone = []
  for name, held_out in mixture().validation.items():
    assert name not in mixture().problems
    single = EvolutionTrainer(held_out, trainer.optimizer, CONFIG)
    alone.append(single.validate()[0])
  np.testing.assert_allclose(curve, np.sqrt(alone[0] * alone[1]), rtol=1e-5)
  assert final == pytest.approx(np.mean(curve[-10:]))


@pytest.mark.slow
def test_compiled_by_xla_a_step_is_the_same():
  """Of instances without random numbers, which XLA draws in another way."""
  seeds, phi = tf.constant(make_seeds(1, count=3)), general().trainable_variables
  both, _ = evolution.perturb(phi, seeds[:1], 0.1)
  corner = problems.Problem(
    lambda seed: ({"x": tf.sin(tf.cast(seed[0] % 1000, tf.float32) + tf.range(4.0))}, {}),
    lambda params, task, seed: tf.reduce_sum(params["x"] ** 2),
  )
  rule = general()

  def run():
    carry, length = evolution.start(corner, rule, seeds[:1]), tf.constant(7)
    return evolution.objectives(corner, rule, both, carry, length, length)[1:]

  plain, compiled = (tf.function(run, autograph=False, jit_compile=jit) for jit in (False, True))
  for a, b in zip(plain(), compiled()):
    np.testing.assert_allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize(
  "options, message",
  [
    ({"shortest": 21}, "shortest must be at most num_steps, got 21 and 20"),
    ({"meta_gradient": "second_derivatives"}, "meta_gradient is of backpropagation"),
    ({"estimator": "pes", "meta_gradient": "segments:5"}, "meta_gradient is .* pes"),
    ({"estimator": "pes", "unroll_length": 7}, "num_steps must be a multiple of unroll_length"),
    ({"perturbation": 0.0}, "perturbation must be at least 1e-06"),
    ({"estimator": "magic"}, "estimator must be one of backprop, es, pes"),
  ],
)
def test_bad_options_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    CONFIG.replace(**options)


def test_a_negative_loss_is_an_error_as_it_has_no_logarithm():
  bowl = problems.bowl(3)
  below = bowl._replace(loss=lambda *args: bowl.loss(*args) - 100.0, lifted_loss=None)
  config = CONFIG.replace(num_steps=2, validation_runs=1)
  trainer = EvolutionTrainer(below, lstm(), config)
  with pytest.raises(evolution.NegativeLoss, match="the mean loss of a meta-step was -9.*backprop"):
    trainer.step()


def test_an_optimizer_and_a_problem_in_float64():
  optimizer = optimizers.CoordinatewiseLSTM((3,), dtype=tf.float64)
  before = [v.numpy() for v in optimizer.trainable_variables]
  config = CONFIG.replace(num_steps=2, validation_runs=1)
  trainer = EvolutionTrainer(problems.bowl(3, tf.float64), optimizer, config)
  assert trainer.step().finite
  assert any((v.numpy() != b).any() for v, b in zip(optimizer.trainable_variables, before))
