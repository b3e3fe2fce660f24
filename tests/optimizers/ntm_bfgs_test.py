"""Tests of NTM-BFGS and NTM-L-BFGS: symmetries, identities, and meta-gradients of all that share.

That a hand-set controller simulates BFGS is tested in hand_set_bfgs_test.py.
"""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import unroll
from l2l_tf.optimizers import preprocessing
from l2l_tf.problems.base import make_seeds
from l2l_tf.problems.quadratics import quadratic
from l2l_tf.storage import optimizer_files
from tests import unroll_test
from tests.optimizers.coordinatewise_test import gradient_sequence
from tests.optimizers.coordinatewise_test import run

SEEDS = make_seeds(6, count=2)
KINDS = {
  "lstm_gac": optimizers.GlobalAveragingLSTM,
  "ntm_bfgs": optimizers.NTMBFGS,
  "ntm_lbfgs": optimizers.NTMLBFGS,
}
NTMS = ("ntm_bfgs", "ntm_lbfgs")


def make(kind, **options):
  """A small optimizer whose heads and biases are far from their small initial values."""
  options = {"layer_sizes": (4, 3), "num_gacs": 2, "dtype": tf.float64, "seed": 5, **options}
  optimizer = KINDS[kind](**options)
  rng = np.random.default_rng(7)
  for variable in optimizer.trainable_variables:
    variable.assign_add(rng.normal(scale=0.3, size=variable.shape))
  return optimizer


@pytest.mark.parametrize("kind", NTMS)
def test_a_permutation_of_the_coordinates_permutes_the_updates(kind):
  optimizer = make(kind)
  sequence = gradient_sequence(10, {"theta": (1, 12)})
  order = np.random.default_rng(1).permutation(12)
  permuted = [{"theta": tf.gather(g["theta"], order, axis=1)} for g in sequence]
  for updates, others in zip(run(optimizer, sequence), run(optimizer, permuted), strict=True):
    expected = updates["theta"].numpy()[:, order]
    assert len(np.unique(expected)) == 12
    np.testing.assert_allclose(others["theta"], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", NTMS)
def test_instances_are_independent(kind):
  optimizer = make(kind)
  sequence = gradient_sequence(6, {"w": (3, 4), "b": (3, 2)})
  together = run(optimizer, sequence)
  for b in range(3):
    alone = run(optimizer, [{k: g[b : b + 1] for k, g in gs.items()} for gs in sequence])
    for name in ("w", "b"):
      np.testing.assert_allclose(alone[-1][name][0], together[-1][name][b], rtol=0, atol=1e-12)


def test_limited_history_equals_full_until_it_is_exceeded():
  sequence = gradient_sequence(9, {"theta": (2, 6)})
  full = run(make("ntm_bfgs"), sequence)
  for history in (9, 30, 4):
    limited = run(make("ntm_lbfgs", history=history), sequence)
    for t, (updates, expected) in enumerate(zip(limited, full, strict=True)):
      difference = np.abs(updates["theta"] - expected["theta"]).max()
      # Write 5 drops write 1 from a history of 4; the read after it enters step 5 (from 0).
      assert difference < 1e-10 if t < 5 or history >= 9 else difference > 1e-9, (history, t)


def test_a_read_sees_the_write_of_its_own_step():
  optimizer = make("ntm_bfgs", num_read_heads=2)
  (gradients,) = gradient_sequence(1, {"theta": (2, 6)})
  state = optimizer.initial_state(gradients)
  features = optimizer.preprocessing(gradients["theta"])
  inputs = tf.concat([features, state.read_results], axis=0)
  outputs, _ = optimizer.control(inputs, state.controller)
  updates, state = optimizer(gradients, state)
  memory = np.eye(6) + np.einsum("hbi,hbj->bij", outputs.left, outputs.right)
  np.testing.assert_allclose(state.memory, memory, rtol=0, atol=1e-14)
  expected = np.einsum("bij,rbj->rbi", memory, outputs.read)
  np.testing.assert_allclose(state.read_results, expected, rtol=0, atol=1e-13)
  np.testing.assert_array_equal(updates["theta"], outputs.update[0])


def test_the_memory_matters():
  sequence = gradient_sequence(4, {"theta": (1, 6)})
  optimizer = make("ntm_bfgs")
  before = run(optimizer, sequence)
  for variable in optimizer.write_heads.trainable_variables:
    variable.assign(tf.zeros_like(variable))
  after = run(optimizer, sequence)
  np.testing.assert_array_equal(before[0]["theta"], after[0]["theta"])
  assert np.abs(before[1]["theta"] - after[1]["theta"]).max() > 1e-6


def test_the_memory_starts_near_the_identity_and_stays_finite():
  problem, optimizer = quadratic(10), optimizers.NTMBFGS(preprocessing=preprocessing.Rescale())
  carry, _ = unroll.start(problem, optimizer, SEEDS)
  carry, losses = tf.function(lambda c: unroll.unroll(problem, optimizer, c, 100), autograph=False)(
    carry
  )
  assert np.isfinite(losses).all()
  deviation = np.abs(carry.state.memory - np.eye(10, dtype=np.float32)).max()
  assert 0 < deviation < 10


@pytest.mark.parametrize("heads", [(1, 1), (2, 3)])
@pytest.mark.parametrize("kind", NTMS)
def test_phi_has_a_column_for_each_head(kind, heads):
  optimizer = KINDS[kind](num_read_heads=heads[0], num_write_heads=heads[1])
  prefix = optimizer.name + "/"
  assert {v.name.removeprefix(prefix): tuple(v.shape) for v in optimizer.trainable_variables} == {
    "lstm_1/w_gates:0": (2 + heads[0] + 20, 80),
    "lstm_1/b_gates:0": (80,),
    "lstm_2/w_gates:0": (40, 80),
    "lstm_2/b_gates:0": (80,),
    "linear/w:0": (20, 1),
    "linear/b:0": (1,),
    "read_heads/w:0": (20, heads[0]),
    "read_heads/b:0": (heads[0],),
    "write_heads/w:0": (20, 2 * heads[1]),
    "write_heads/b:0": (2 * heads[1],),
  }


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_optimizer_gives_the_same_updates(kind, tmp_path):
  options = {} if kind == "lstm_gac" else {"num_read_heads": 2, "num_write_heads": 1}
  original = make(kind, dtype=tf.float32, preprocessing=preprocessing.Rescale(0.5), **options)
  optimizer_files.save_optimizer(str(tmp_path / "saved"), original, {})
  loaded, _ = optimizer_files.load_optimizer(str(tmp_path / "saved"))
  assert loaded.config() == original.config()
  sequence = [
    {"theta": tf.cast(g["theta"], tf.float32)} for g in gradient_sequence(6, {"theta": (2, 4)})
  ]
  for a, b in zip(run(original, sequence), run(loaded, sequence), strict=True):
    np.testing.assert_array_equal(a["theta"], b["theta"])


@pytest.mark.parametrize(
  "kind, options, message",
  [
    ("ntm_bfgs", {"num_gacs": 4}, r"num_gacs must be an integer of 0\.\.3, .*, got 4"),
    ("ntm_bfgs", {"num_read_heads": 0}, r"num_read_heads must be an integer of 1\.\.1024, got 0"),
    ("ntm_bfgs", {"num_write_heads": 0}, r"num_write_heads must be .* 1\.\.1024, got 0"),
    ("ntm_bfgs", {"num_write_heads": 1.5}, r"num_write_heads must be .*, got 1\.5"),
    ("ntm_bfgs", {"layer_sizes": ()}, r"layer_sizes must be .*, got \(\)"),
    ("ntm_lbfgs", {"history": 0}, "history must be an integer of at least 1, got 0"),
    ("ntm_lbfgs", {"num_read_heads": -1}, "num_read_heads must be .*, got -1"),
  ],
)
def test_bad_sizes_are_named(kind, options, message):
  with pytest.raises(ValueError, match=message):
    make(kind, **options)


def meta_gradient_case(kind):
  """A problem, an optimizer and where to start. The history of 3 is shorter than the 7 steps."""
  problem = quadratic(4, dtype=tf.float64)
  options = {"history": 3} if kind == "ntm_lbfgs" else {}
  optimizer = make(kind, preprocessing=preprocessing.Rescale(0.1), **options)
  return problem, optimizer, unroll.start(problem, optimizer, SEEDS)[0]


def assert_slopes(value, phi, gradients):
  """Compares `gradients` with finite differences of `value` along each variable of phi."""
  rng = np.random.default_rng(8)
  for k, (variable, gradient) in enumerate(zip(phi, gradients, strict=True)):
    along = [rng.normal(size=v.shape) if j == k else np.zeros(v.shape) for j, v in enumerate(phi)]
    expected = float(np.sum(gradient * along[k]))
    assert abs(expected) > 1e-6, variable.name
    assert unroll_test.slope(value, phi, along) == pytest.approx(expected, rel=1e-5), variable.name


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_first_order_meta_gradient_equals_finite_differences(kind):
  """Of sum_t <grad_t, theta_t(phi)>, the gradients frozen to those of the trajectory at phi."""
  problem, optimizer, carry = meta_gradient_case(kind)
  frozen, at_t = [carry.gradients["theta"]], carry  # grad_0 ... grad_T
  one_step = unroll_test.compiled(problem, optimizer, 1)
  for _ in range(unroll_test.STEPS):
    at_t, _ = one_step(at_t)
    frozen.append(at_t.gradients["theta"])

  @tf.function(autograph=False)
  def value():
    theta, state, total = carry.params["theta"], carry.state, tf.constant(0.0, tf.float64)
    for t in range(unroll_test.STEPS):
      updates, state = optimizer({"theta": frozen[t]}, state)
      theta += updates["theta"]
      total += tf.reduce_sum(frozen[t + 1] * theta)
    return total

  gradients = unroll_test.meta_gradient(problem, optimizer, carry, second_derivatives=False)
  assert_slopes(value, optimizer.trainable_variables, gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_second_order_meta_gradient_equals_finite_differences(kind):
  problem, optimizer, carry = meta_gradient_case(kind)
  steps = unroll_test.STEPS
  value = tf.function(
    lambda: tf.reduce_sum(unroll.unroll(problem, optimizer, carry, steps)[1]), autograph=False
  )
  gradients = unroll_test.meta_gradient(problem, optimizer, carry, second_derivatives=True)
  assert_slopes(value, optimizer.trainable_variables, gradients)
