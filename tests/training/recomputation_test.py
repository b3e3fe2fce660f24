"""Tests of the meta-gradient with activations recomputed."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import long_unrolls
from benchmarks import measuring
from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.config.training import Training
from l2l_tf.optimizers import blocks
from l2l_tf.problems.base import make_seeds
from l2l_tf.training import meta_trainer
from l2l_tf.training import recomputation

WEIGHTS = np.array([1.0, 0.3, 0.0, 2.0, 1.5, 0.7])  # of the losses
OPTIMIZERS = {
  "lstm": lambda: optimizers.CoordinatewiseLSTM((4, 3), dtype=tf.float64),
  "blocks": lambda: blocks.Blocks(optimizers.CoordinatewiseLSTM((4,), dtype=tf.float64)),
  "lstm_gac": lambda: optimizers.GlobalAveragingLSTM((4,), num_gacs=2, dtype=tf.float64),
  "ntm_lbfgs": lambda: optimizers.NTMLBFGS((4,), num_gacs=2, history=3, dtype=tf.float64),
  "partition": lambda: optimizers.Partition(
    {"all": optimizers.CoordinatewiseLSTM((4,), dtype=tf.float64)}, lambda name, shape: "all"
  ),
}


@pytest.mark.slow
@pytest.mark.parametrize("second_derivatives", [False, True])
@pytest.mark.parametrize(
  "name, segment_length", [("lstm", 1), ("lstm", 6), *((name, 2) for name in OPTIMIZERS)]
)
def test_the_gradient_is_that_of_the_whole_window(name, segment_length, second_derivatives):
  problem, optimizer = problems.quadratic(3, dtype=tf.float64), OPTIMIZERS[name]()
  carry, _ = unroll.start(problem, optimizer, make_seeds(1, count=2))
  carry, _ = unroll.unroll(problem, optimizer, carry, 3)  # the middle of a run

  @tf.function(autograph=False)
  def whole(carry):
    with tf.GradientTape() as tape:
      end, losses = unroll.unroll(problem, optimizer, carry, 6, second_derivatives)
      meta_loss = tf.reduce_sum(WEIGHTS * tf.reduce_mean(losses, axis=1))
    return end, losses, tape.gradient(meta_loss, optimizer.trainable_variables)

  @tf.function(autograph=False)
  def in_segments(carry):
    return recomputation.losses_and_gradients(
      problem, optimizer, carry, 6, segment_length, WEIGHTS, second_derivatives
    )

  for a, b in zip(tf.nest.flatten(whole(carry)), tf.nest.flatten(in_segments(carry))):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_meta_training_takes_the_same_steps():
  phi = []
  for gradient in ("full", "segments:5"):
    config = Training(num_steps=10, unroll_length=10, meta_gradient=gradient, learning_rate=0.01)
    optimizer = optimizers.CoordinatewiseLSTM((4,))
    trainer = meta_trainer.MetaTrainer(problems.quadratic(3), optimizer, config)
    for _ in range(3):
      trainer.step()
    phi.append(trainer.phi)
  for a, b in zip(*phi):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["segments", "second_derivatives"])
def test_a_length_that_does_not_divide_the_window_is_named(kind):
  assert Training(meta_gradient=f"{kind}:5", unroll_length=20).segment_length == 5
  with pytest.raises(ValueError, match="a multiple of the segments .*, got 20 and 3"):
    Training(meta_gradient=f"{kind}:3", unroll_length=20)


@pytest.mark.slow
def test_a_long_window_takes_the_memory_of_a_short_one():
  """Two segments or eight: only one at a time holds its activations."""
  peak = {}
  for unroll_length in (10, 40):
    row = measuring.in_own_process(long_unrolls.measure, unroll_length, 1, "bundled", 5)
    peak[unroll_length] = row["peak_mib"]
  assert 0 < peak[40] < 1.5 * peak[10]  # 4 times, were all segments alive
