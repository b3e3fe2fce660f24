"""Persistent evolution strategies: unbiased over windows, and a run that goes on where it was."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.problems.base import make_seeds
from l2l_tf.training import evolution
from l2l_tf.training.persistent_trainer import PersistentTrainer
from tests import tiny_evolution
from tests.tiny_evolution import general
from tests.tiny_evolution import lstm
from tests.tiny_evolution import mixture

CONFIG = tiny_evolution.CONFIG.replace(estimator="pes", unroll_length=5)


def _flat(tensors):
  return np.concatenate([np.ravel(x) for x in tensors])


def test_windows_add_up_to_the_whole_run():
  """The same perturbation in every window: losses, theta and the objective are those of one run."""
  rule, problem = general(), problems.quadratic(3)
  seeds = tf.constant(make_seeds(2, count=3))
  phi, _ = evolution.perturb(rule.trainable_variables, seeds, 0.1)
  length = tf.constant(20)
  begun = evolution.start(problem, rule, seeds)
  whole, value, mean = evolution.objectives(problem, rule, phi, begun, length, length)
  carry, values, means = begun, 0.0, 0.0
  for _ in range(4):
    carry, part, own = evolution.objectives(problem, rule, phi, carry, tf.constant(5), length)
    values, means = values + part, means + own / 4
  np.testing.assert_allclose(values, value, rtol=1e-4)
  np.testing.assert_allclose(means, mean, rtol=1e-4)
  np.testing.assert_allclose(carry.params["theta"], whole.params["theta"], rtol=1e-4)


class Drift(optimizers.Optimizer):
  """Adds phi at each step: the variable, or a value for each instance."""

  def __init__(self, value=None):
    super().__init__("drift")
    self.value = tf.Variable(0.3) if value is None else value

  def with_phi(self, phi):
    return Drift(phi[0])

  def initial_state(self, params):
    return ()

  def __call__(self, gradients, state, params=None):
    return {"x": tf.reshape(self.value, [-1, 1]) + 0 * gradients["x"]}, state


def test_it_sees_what_windows_alone_do_not():
  """Log f = x = t phi, so the objective's gradient is 0.3 mean t + 0.7 mean of the last t.

  Of a window's own perturbation t is counted from its start alone: that is truncation's bias.
  """
  problem = problems.Problem(
    lambda seed: ({"x": tf.zeros([1])}, {}), lambda params, task, seed: tf.exp(params["x"][0])
  )
  rule, pairs, sigma, steps, window = Drift(), 1024, 0.01, 20, 5
  seeds, length = tf.constant(make_seeds(5, count=pairs)), tf.constant(steps)

  @tf.function(autograph=False)  # the loops over the pairs are slow out of a graph
  def start():
    return evolution.start(problem, rule, seeds)

  @tf.function(autograph=False)
  def follow(carry, k):
    phi, (noise,) = evolution.perturb([rule.value], seeds + tf.stack([k, 0]), sigma)
    size = tf.constant(window)
    return noise, *evolution.objectives(problem, rule, phi, carry, size, length)[:2]

  carry, total = start(), tf.zeros([pairs])
  persistent = alone = 0.0
  for k in range(steps // window):
    noise, carry, values = follow(carry, tf.constant(k))
    total += noise
    differences = evolution.differences(values)
    persistent += float(evolution.gradient(differences, [total], sigma)[0])
    alone += float(evolution.gradient(differences, [noise], sigma)[0])
  assert persistent == pytest.approx(0.3 * 10.5 + 0.7 * 19.5, rel=0.2)
  assert alone == pytest.approx(0.3 * 3 + 0.7 * 4.5, rel=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("make", [general, lstm])
def test_training_lowers_the_validation_loss(make):
  options = {"num_epochs": 3, "episodes_per_epoch": 5, "num_tasks": 8, "learning_rate": 0.03}
  trainer = PersistentTrainer(problems.bowl(3), make(), CONFIG.replace(**options))
  _, before = trainer.validate()
  while not trainer.done:
    trainer.run_epoch()
  assert trainer.progress.best_loss < 0.8 * before and trainer.progress.bad_steps == 0


def test_an_episode_is_run_after_run_of_whole_windows():
  config = CONFIG.replace(num_steps=500, shortest=5, episodes_per_epoch=10**5)
  trainer = PersistentTrainer(mixture(), general(), config)
  counts = []
  for trainer.progress.episode in range(50):
    trainer._begin_episode()
    firsts, own = zip(*trainer._runs)
    assert sum(own) == 100 and firsts == tuple(np.cumsum([0, *own[:-1]]))
    counts += own[:-1]
  assert min(counts) == 1 and 20 < max(counts) < 100
  assert trainer._run_of(0)[0] == 0 and trainer._run_of(99) == trainer._runs[-1]


@pytest.mark.slow
@pytest.mark.parametrize("make", [general, lstm])
def test_a_run_restored_amid_an_episode_goes_on_to_the_same_numbers(tmp_path, make):
  def trainer():
    made = PersistentTrainer(mixture(), make(), CONFIG.replace(shortest=5))
    return made, tf.train.Checkpoint(**made.trackables())

  first, checkpoint = trainer()
  for _ in range(6):
    first.step()
  assert 0 < first.progress.window < 4
  first.before_saving()
  path = checkpoint.save(str(tmp_path / "checkpoint"))
  second, checkpoint = trainer()
  checkpoint.restore(path).assert_consumed()
  second.progress = type(first.progress).from_json(first.progress.to_json())
  second.after_restoring()
  for _ in range(5):
    assert first.step() == second.step()
  np.testing.assert_array_equal(_flat(first.phi), _flat(second.phi))
