"""LearnedOptimizer's `odd`: what has no gradient rests, in loops and in `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from l2l_tf import optimizers
from tests import keras_models as models

SHIPPED = l2l_tf.pretrained.list()
WORDS = np.array([[0, 2], [2, 5], [5, 0], [0, 0]] * 4)  # of 8: 0, 2 and 5 are seen


def fit_embedding(optimizer, **options):
  """The rows of an embedding before and after two epochs."""
  keras.utils.set_random_seed(1)
  embedding = keras.layers.Embedding(8, 4)
  layers = [embedding, keras.layers.Flatten(), keras.layers.Dense(2, use_bias=False)]
  model = keras.Sequential([keras.Input((2,)), *layers])
  model.compile(optimizer, "mse", **options)
  before = embedding.get_weights()[0]
  targets = np.random.default_rng(0).normal(size=(16, 2))
  model.fit(WORDS, targets, batch_size=4, epochs=2, verbose=0)
  return before, embedding.get_weights()[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHIPPED, "adam"])
def test_unseen_rows_of_an_embedding_stay_in_fit(name):
  odd = models.adam() if name == "adam" else l2l_tf.LearnedOptimizer(name, odd=True)
  before, after = fit_embedding(odd, jit_compile=False)
  seen = np.isin(np.arange(8), WORDS)
  np.testing.assert_array_equal(after[~seen], before[~seen])
  assert np.all(after[seen] != before[seen])


def test_without_it_they_wander():
  before, after = fit_embedding(l2l_tf.LearnedOptimizer("mnist_lstm"), run_eagerly=True)
  assert np.all(np.abs(after - before) > 1e-3)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", SHIPPED)
def test_zero_gradients_move_nothing(name, graph):
  theta = [tf.Variable(tf.ones([3, 2])), tf.Variable(tf.ones([]))]
  zeros = [tf.zeros_like(v) for v in theta]
  moved = {}
  for odd in (False, True):
    optimizer = l2l_tf.LearnedOptimizer(name, odd=odd)
    optimizer.build(theta)
    step = lambda o=optimizer: o.apply(zeros, theta)  # noqa: E731
    step = tf.function(step, autograph=False) if graph else step
    before = models.values(theta)
    for _ in range(10):
      step()
    moved[odd] = [np.abs(v - b).max() for v, b in zip(models.values(theta), before)]
  assert moved[True] == [0, 0]
  assert moved[False] == [0, 0] if name == "general" else min(moved[False]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in models.KINDS if k != "odd_part"])
def test_it_is_the_odd_part_in_the_same_steps(kind):
  """Twice: saved in the config it stays what it is."""
  turned = lambda g: [-x for x in g]  # noqa: E731
  starts = models.values(models.variables())
  ahead = models.run(models.learned(kind, odd=True), models.variables())
  optimizer = models.learned(kind, odd=True)
  again = l2l_tf.LearnedOptimizer.from_config(optimizer.get_config())
  back = models.run(again, models.variables(), change=turned)
  if kind != "general":  # it sees the parameters, which do not turn
    models.assert_equal(
      [a - s for a, s in zip(ahead, starts)], [s - b for s, b in zip(starts, back)], 1e-6
    )
  parts = getattr(again.learned, "groups", {"": again.learned}).values()
  assert {type(part) for part in parts} == {optimizers.OddPart}
  twice = l2l_tf.LearnedOptimizer(again.learned, odd=True)
  assert twice.learned.config() == again.learned.config()
  models.assert_equal(models.run(twice, models.variables()), ahead)


@pytest.mark.slow
def test_a_saved_model_goes_on(tmp_path):
  make = lambda: l2l_tf.LearnedOptimizer("mnist_lstm", odd=True, state_dtype="bfloat16")  # noqa: E731
  straight, stopped = models.compiled(make()), models.compiled(make())
  models.fit(straight, 1), models.fit(stopped, 1)
  stopped.save(tmp_path / "m.keras")
  loaded = keras.models.load_model(tmp_path / "m.keras")
  loaded.run_eagerly = True
  assert models.fit(loaded, 1) == models.fit(straight, 1)
  models.assert_equal(loaded.get_weights(), straight.get_weights())


@pytest.mark.parametrize("wrong", [1, "yes", None])
def test_what_is_no_choice(wrong):
  with pytest.raises(ValueError, match="odd must be True or False, got"):
    models.learned(odd=wrong)
