"""Tests of meta-training: it converges, traces once, survives bad steps, and keeps the best."""

import math

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.config.training import Training
from l2l_tf.optimizers import preprocessing
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import make_seeds
from l2l_tf.training import counters
from l2l_tf.training import trainer as trainer_lib
from l2l_tf.training.loss_weights import loss_weights
from l2l_tf.training.meta_trainer import MetaTrainer

SMALL = Training(
  num_steps=8, unroll_length=4, num_epochs=3, episodes_per_epoch=2, validation_runs=3, seed=1
)


def lstm(**options):
  options = {"layer_sizes": (4,), "preprocessing": preprocessing.Rescale(), **options}
  return optimizers.CoordinatewiseLSTM(**options)


def trainer(problem=None, optimizer=None, **options):
  config = SMALL.replace(**options)
  return MetaTrainer(problem or problems.bowl(3), optimizer or lstm(), config)


def broken_bowl(value=math.nan):
  """A bowl whose loss is not finite once theta moves."""
  bowl = problems.bowl(3)

  def loss(params, task, seed):
    moved = tf.reduce_any(params["theta"] != task["theta_0"])
    return tf.where(moved, value, bowl.loss(params, task, seed))

  def init(seed):
    params, task = bowl.init(seed)
    return params, {**task, "theta_0": params["theta"]}

  return problems.Problem(init, loss)


def train_epoch(meta):
  reports = []
  while not meta.epoch_complete:
    reports.append(meta.step())
  return reports, meta.end_epoch()


def values(variables):
  return [v.numpy() for v in tf.nest.flatten(variables)]


def assert_equal(first, second):
  for a, b in zip(first, second, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def trained():
  """Three epochs of a tiny training: the trainer, its phi before, reports and rows."""
  meta = trainer(num_tasks=2)
  before = values(meta.phi)
  epochs = [train_epoch(meta) for _ in range(3)]
  return meta, before, epochs


@pytest.mark.slow
def test_an_epoch_at_once_is_an_epoch_step_by_step():
  by_steps, at_once = trainer(), trainer()
  _, row = train_epoch(by_steps)
  assert_equal(row.values(), at_once.run_epoch().values())
  assert_equal(values(by_steps.phi), values(at_once.phi))


@pytest.mark.slow
@pytest.mark.parametrize("other", ["segments:2", "sampled:3"])
def test_in_double_precision_too_all_ways_agree(other):
  phis = []
  for gradient in ("full", other):
    optimizer = lstm(dtype=tf.float64)
    meta = trainer(problems.quadratic(3, dtype=tf.float64), optimizer, meta_gradient=gradient)
    before = values(meta.phi)
    assert meta.step().finite
    phis.append(values(meta.phi))
    assert any(np.any(a != b) for a, b in zip(before, phis[-1]))
  for a, b in zip(*phis, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def test_one_trace_for_all_meta_steps(trained):
  meta, before, epochs = trained
  assert sum(len(reports) for reports, _ in epochs) == 12
  assert meta._meta_step.experimental_get_tracing_count() == 1
  assert meta._rollout._start.experimental_get_tracing_count() == 2  # episodes, validation
  assert meta._rollout._follow.experimental_get_tracing_count() == 1
  assert all(np.any(a != b) for a, b in zip(before, values(meta.phi), strict=True))


def test_an_epoch_is_counted(trained):
  meta, _, epochs = trained
  assert meta.done and meta.progress.epoch == 3 and meta.meta_steps == 12
  for number, (reports, row) in enumerate(epochs, start=1):
    assert row["epoch"] == number and row["bad_steps"] == 0
    assert row["meta_loss"] == pytest.approx(np.mean([r.loss for r in reports]))
    assert row["gradient_norm"] == pytest.approx(np.mean([r.gradient_norm for r in reports]))
    assert all(r.finite for r in reports)
    assert row["validation_curve"].shape == (9,)
    assert row["validation_final_loss"] == pytest.approx(row["validation_curve"].mean())
  assert [row["epoch"] for row in meta.progress.history] == [1, 2, 3]


def test_progress_round_trip(trained):
  progress = trained[0].progress
  assert counters.Progress.from_json(progress.to_json()) == progress
  fresh = counters.Progress()
  assert counters.Progress.from_json(fresh.to_json()) == fresh  # best_loss is infinite


def test_the_first_meta_step_is_adam_on_the_meta_gradient():
  meta = trainer(num_tasks=2, max_gradient_norm=0.0, learning_rate=0.01)
  before = values(meta.phi)
  seeds = make_seeds(1, Stream.META_TRAINING, 0, 1, count=2)
  carry, _ = unroll.start(meta.problem, meta.optimizer, seeds)
  with tf.GradientTape() as tape:
    _, losses = unroll.unroll(meta.problem, meta.optimizer, carry, 4)
    total = tf.reduce_mean(tf.reduce_sum(losses, axis=0))
  gradients = tape.gradient(total, meta.phi)
  report = meta.step()
  assert report.loss == pytest.approx(float(total) / 4, rel=1e-5)
  assert report.gradient_norm == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-4)
  for old, new, g in zip(before, values(meta.phi), gradients, strict=True):
    step = -0.01 * g / (np.abs(g) + 1e-8 / math.sqrt(1e-3))  # Adam's first
    np.testing.assert_allclose(new - old, step, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("power, expected", [(0.0, [1.0] * 8), (1.0, [k / 4 for k in range(1, 9)])])
def test_losses_are_weighted_by_the_step_of_the_episode(power, expected):
  meta = trainer(num_steps=8, unroll_length=4, loss_weight_power=power)
  weights = [loss_weights(meta.config, tf.constant(start)) for start in (0, 4)]
  np.testing.assert_allclose(np.ravel(weights), expected, rtol=1e-6)
  first = meta.step()
  seeds = make_seeds(1, Stream.META_TRAINING, 0, 1, count=meta.config.num_tasks)
  fresh = trainer(num_steps=8, unroll_length=4)
  with tf.GradientTape() as tape:
    carry, _ = unroll.start(fresh.problem, fresh.optimizer, seeds)
    _, losses = unroll.unroll(fresh.problem, fresh.optimizer, carry, 4)
    total = tf.reduce_sum(weights[0] * tf.reduce_mean(losses, axis=1))
  norm = tf.linalg.global_norm(tape.gradient(total, fresh.phi))
  assert first.gradient_norm == pytest.approx(float(norm), rel=1e-4)
  assert first.loss == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-5)  # unweighted


@pytest.mark.slow
def test_gradient_clipping():
  bounded, free = trainer(max_gradient_norm=1e-3), trainer(max_gradient_norm=0.0)
  norm = bounded.step().gradient_norm
  assert norm == free.step().gradient_norm and norm > 1e-3  # reported unclipped
  clipped, unclipped = (
    math.sqrt(sum(np.sum(m**2) for m in values(meta.meta_state.m))) for meta in (bounded, free)
  )
  assert clipped == pytest.approx(0.1 * 1e-3, rel=1e-4)  # m is 0.1 of the first gradient
  assert unclipped == pytest.approx(0.1 * norm, rel=1e-4)


def test_learning_rate_follows_a_cosine_from_first_to_final():
  meta = trainer(learning_rate=0.3, learning_rate_decay=1 / 3)  # 3 epochs of 4 meta-steps
  rates = []
  for epoch in range(3):
    for episode in (1, 2):
      for window in (0, 1):
        meta.progress = counters.Progress(epoch=epoch, episode=episode, window=window)
        rates.append(meta.learning_rate())
  assert rates[0] == 0.3
  assert rates[6] == pytest.approx(0.2)  # half way
  assert all(a > b for a, b in zip(rates, rates[1:], strict=False))
  meta.progress = counters.Progress(epoch=3)
  assert meta.learning_rate() == pytest.approx(0.1)


@pytest.mark.slow
def test_meta_training_on_the_bowl_converges():
  config = Training(
    num_steps=40, unroll_length=10, num_tasks=16, num_epochs=6, episodes_per_epoch=20,
    learning_rate=0.01, validation_runs=50,
  )  # fmt: skip
  meta = MetaTrainer(problems.bowl(5), lstm(layer_sizes=(8, 8)), config)
  curve, before = meta.validate()
  assert curve[0] == pytest.approx(2.0, rel=0.2)  # E (theta - c)^2 of two unit normals
  while not meta.done:
    train_epoch(meta)
  assert before > 0.5
  assert meta.progress.best_loss < 0.02
  assert meta.progress.bad_steps == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_bad_steps_are_skipped_counted_and_end_in_diverged(value):
  meta = trainer(broken_bowl(value), max_bad_steps=3)
  phi, state = values(meta.phi), values(meta.meta_state)
  for number in (1, 2):
    report = meta.step()
    assert not report.finite
    assert meta.progress.bad_steps == meta.progress.bad_in_a_row == number
    assert meta.progress.episode == number  # a bad step ends its episode
  with pytest.raises(trainer_lib.Diverged, match="3 meta-steps in a row .*`learning_rate`"):
    meta.progress.episode = 0  # the epoch has two episodes only
    meta.step()
  assert_equal(values(meta.phi), phi)
  assert_equal(values(meta.meta_state), state)


def test_a_good_step_ends_the_count_of_bad_ones():
  meta = trainer()
  meta.progress.bad_steps = meta.progress.bad_in_a_row = 2
  assert meta.step().finite
  assert (meta.progress.bad_steps, meta.progress.bad_in_a_row) == (2, 0)


def test_an_epoch_of_bad_steps_is_never_the_best():
  meta = trainer(broken_bowl(), max_bad_steps=100)
  reports, row = train_epoch(meta)
  assert [r.finite for r in reports] == [False, False]
  assert row["bad_steps"] == 2 and math.isnan(row["meta_loss"])
  assert row["validation_final_loss"] == math.inf and not row["improved"]
  assert meta.progress.best_epoch == 0 and meta.progress.best_loss == math.inf


def test_the_best_by_final_validation_loss_is_kept(monkeypatch):
  meta = trainer(num_epochs=4)
  finals = iter([3.0, 1.0, 2.0, 1.0])
  monkeypatch.setattr(meta, "validate", lambda between: (np.ones(9), next(finals)))
  phi, improved = [], []
  for _ in range(4):
    _, row = train_epoch(meta)
    phi.append(values(meta.phi))
    improved.append(row["improved"])
  assert improved == [True, True, False, False]
  assert meta.progress.best_epoch == 2 and meta.progress.best_loss == 1.0
  assert any(np.any(a != b) for a, b in zip(phi[1], phi[3], strict=True))
  meta.use_best()
  assert_equal(values(meta.phi), phi[1])


def test_patience_stops_after_so_many_epochs_without_a_better_phi(monkeypatch):
  meta = trainer(num_epochs=50, episodes_per_epoch=1, patience=2)
  finals = iter([3.0, 2.0, 2.5, 2.0, 1.0])
  monkeypatch.setattr(meta, "validate", lambda between: (np.ones(9), next(finals)))
  while not meta.done:
    train_epoch(meta)
  assert meta.progress.epoch == 4 and meta.progress.best_epoch == 2


def test_final_validation_loss_is_the_mean_of_the_last_ten_steps():
  meta = trainer(num_steps=16)
  seeds = make_seeds(1, Stream.VALIDATION, count=3)
  losses = unroll.rollout(meta.problem, meta.optimizer, seeds, 16).numpy()
  curve, final = meta.validate()
  np.testing.assert_allclose(curve, losses.mean(axis=1), rtol=1e-5)
  assert final == pytest.approx(losses[-10:].mean(), rel=1e-5)


def test_a_window_that_does_not_divide_the_episode_is_named():
  with pytest.raises(ValueError, match="multiple of unroll_length, got 10 and 4"):
    Training(num_steps=10, unroll_length=4)


def test_a_rate_that_rises_is_named():
  with pytest.raises(ValueError, match="learning_rate_decay must be at most 1, got 10.0"):
    Training(learning_rate=1e-3, learning_rate_decay=10.0)
  assert Training(learning_rate_decay=0.0).final_learning_rate == 0.0


@pytest.mark.slow
def test_compiled_by_xla_it_takes_the_same_steps():
  """The same meta-steps but for rounding."""
  trainers = [trainer(jit_compile=compiled) for compiled in (False, True)]
  for _ in range(3):
    plain, compiled = (meta.step() for meta in trainers)
    assert compiled.loss == pytest.approx(plain.loss, rel=1e-4)
    assert compiled.gradient_norm == pytest.approx(plain.gradient_norm, rel=1e-3)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float64])
def test_a_phi_of_any_float_type_is_trained_and_stays_finite(dtype):
  """In bfloat16 Adam's steps were 0, in float16 infinite."""
  optimizer = optimizers.CoordinatewiseLSTM((4,), dtype=dtype)
  config = Training(num_steps=4, unroll_length=2, num_tasks=2, validation_runs=2)
  trainer = MetaTrainer(problems.bowl(4, dtype), optimizer, config.replace(learning_rate=0.03))
  before = [v.numpy().astype(np.float64) for v in trainer.phi]
  assert all(trainer.step().finite for _ in range(3))
  moved = [abs(v.numpy().astype(np.float64) - old).max() for v, old in zip(trainer.phi, before)]
  assert 0.01 < max(moved) < 0.2
