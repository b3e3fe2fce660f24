"""LearnedOptimizer warns once when it diverges, and never on its own ground."""

import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from l2l_tf.config.problems import Quadratic
from l2l_tf.keras import watch
from l2l_tf.problems import base
from tests import keras_models as models

BEYOND = "is beyond what it was trained on"
COUNT, FIRST = watch.PATIENCE, watch.FIRST_STEPS


def count(norms):
  """How many gradients of these norms were too large in a row, at the end."""
  seen = tf.zeros([4])
  for norm in norms:
    seen = watch.follow(seen, tf.constant(norm, tf.float32))
  return int(seen[2])


LARGE = 1.01 * watch.MAX_GROWTH
NORMS = {
  "steady": ([1.0] * 100, 0),
  "smaller": ([1.0, 1.0] + [1e-9] * 50 + [1.0] * 50, 0),
  "at the limit": ([1.0] * FIRST + [watch.MAX_GROWTH] * 50, 0),
  "nine steps": ([1.0] * FIRST + [LARGE] * (COUNT - 1), COUNT - 1),
  "nine steps, and again": ([1.0] * FIRST + 5 * ([LARGE] * (COUNT - 1) + [1.0]), 0),
  "ten steps": ([1.0] * FIRST + [LARGE] * COUNT, COUNT),
  "it stays": ([1.0] * FIRST + [LARGE] * COUNT + [1.0] * 20, COUNT),
  "the larger of the first": ([0.1, 1.0] + [0.9 * LARGE] * 50, 0),
  "nothing at first": ([0.0] * 20 + [1.0] * 20, 0),
  "not finite": ([1.0, math.nan], COUNT),
  "infinite at once": ([math.inf], COUNT),
}


@pytest.mark.parametrize("case", NORMS)
def test_what_is_counted(case):
  norms, expected = NORMS[case]
  assert count(norms) == expected


def regression():
  """A table of 8 columns with targets of size 40, and a ReLU network from a fixed theta_0."""
  dice = np.random.default_rng(1)
  x = dice.normal(size=(320, 8)).astype(np.float32)
  y = (x @ dice.normal(size=(8, 1)) * 14).astype(np.float32)
  keras.utils.set_random_seed(0)
  layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(1)]
  return keras.Sequential([keras.Input((8,)), *layers]), x, y


def fit(model, x, y, epochs=6, **options):
  """Ten steps an epoch; returns the epochs' losses, the warnings, and the steps without them."""
  steps = []
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    count = keras.callbacks.LambdaCallback(
      on_train_batch_end=lambda batch, logs: steps.append(len(said(caught)))
    )
    options = {"batch_size": 32, "verbose": 0, "callbacks": [count], **options}
    losses = model.fit(x, y, epochs=epochs, **options).history["loss"]
  return losses, said(caught), steps.count(0)


def said(caught):
  return [str(warning.message) for warning in caught if BEYOND in str(warning.message)]


@pytest.mark.slow
@pytest.mark.parametrize(
  "how, soon",
  [({"jit_compile": False}, True), ({"run_eagerly": True}, True), ({"jit_compile": True}, False)],
)
def test_a_regression_that_diverges_is_warned_of_once(how, soon):
  """At once, or after `fit` where XLA keeps Python out."""
  model, x, y = regression()
  model.compile(l2l_tf.LearnedOptimizer("mnist_lstm"), "mse", **how)
  start = float(np.mean((model.predict(x, verbose=0) - y) ** 2))
  losses, texts, steps = fit(model, x, y)
  assert losses[-1] > 1e6 > 2000 > start
  (text,) = texts
  assert "(mnist_lstm; l2l_tf.pretrained.card('mnist_lstm') says where it works)" in text
  for words in (
    "LearnedOptimizer() without a name",
    "Adam",
    "pretrained.list()",
    "`update_scale`",
    "standardized",
    "docs/faq.md",
  ):
    assert words in text
  assert steps < 30 if soon else steps == 60
  assert fit(model, x, y, epochs=1)[1] == []
  model.optimizer.reset()
  model.set_weights(regression()[0].get_weights())
  assert len(fit(model, x, y)[1]) == 1


@pytest.mark.slow
def test_the_one_for_any_model_neither_diverges_nor_warns():
  """Where `mnist_lstm` does; gradients of any size are nothing to it, but NaN is."""
  model, x, y = regression()
  model.compile(l2l_tf.LearnedOptimizer(), "mse", jit_compile=False)
  losses, texts, _ = fit(model, x, 1000 * y)
  assert losses[-1] < 0.9 * losses[0] and texts == []
  theta, optimizer = models.variables(), l2l_tf.LearnedOptimizer()
  optimizer.build(theta)
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for k in range(20):
      optimizer.apply([10.0**k * tf.ones(v.shape) for v in theta], theta)
    assert said(caught) == []
    optimizer.apply([tf.fill(v.shape, np.nan) for v in theta], theta)
    (text,) = said(caught)
  assert "not finite in the data or the model" in text and "pretrained.list()" not in text


@pytest.mark.slow
def test_what_it_advises_helps():
  model, x, y = regression()
  model.compile(l2l_tf.LearnedOptimizer("mnist_lstm", update_scale=0.01), "mse", jit_compile=False)
  losses, texts, _ = fit(model, x, y)
  assert losses[-1] < losses[0] and texts == []


def test_a_loop_of_ones_own_and_numbers_that_are_not_finite():
  theta, optimizer = models.variables(), models.learned()
  models.run(optimizer, theta)
  with pytest.warns(UserWarning, match=f"{BEYOND}.* at step 5 .* not finite") as caught:
    optimizer.apply([math.nan * g for g in models.gradients(4)], theta)
  assert len(caught) == 1
  compiled, theta = models.learned(), models.variables()
  step = tf.function(lambda gradients: compiled.apply(gradients, theta))
  step(models.gradients(0))
  with pytest.warns(UserWarning, match=BEYOND):
    step([math.inf * g for g in models.gradients(1)])


@pytest.mark.parametrize("make", [l2l_tf.LearnedOptimizer, models.learned])
def test_many_numbers_of_16_bits_are_finite(make):
  """Their sum is not."""
  theta = [keras.Variable(np.ones((300, 300)), dtype="float16")]
  optimizer = make()
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    optimizer.apply([keras.ops.ones((300, 300), dtype="float16")], theta)
  assert math.isfinite(float(optimizer._watch.seen[3]))


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [False, True])
def test_a_saved_model_is_watched_anew_and_knows_its_card(tmp_path, wrap):
  model, x, y = regression()
  optimizer = l2l_tf.LearnedOptimizer("mnist_lstm")
  optimizer = keras.optimizers.LossScaleOptimizer(optimizer) if wrap else optimizer
  model.compile(optimizer, "mse", jit_compile=False)
  model.train_on_batch(x[:32], y[:32])
  model.save(str(tmp_path / "m.keras"))
  loaded = keras.models.load_model(str(tmp_path / "m.keras"))
  loaded.jit_compile = False
  _, texts, _ = fit(loaded, x, y)
  assert len(texts) == 1 and "card('mnist_lstm')" in texts[0]


def test_files_hold_nothing_of_it_but_the_card(tmp_path):
  """So those of before fit; and a file cannot name what is no card."""
  optimizer, theta = models.learned(), models.variables()
  models.run(optimizer, theta)
  assert not any("seen" in v.path for v in optimizer.variables)
  path = tf.train.Checkpoint(optimizer=optimizer).save(str(tmp_path / "c"))
  assert not any("seen" in name for name, _ in tf.train.list_variables(path))
  config = l2l_tf.LearnedOptimizer("mnist_lstm").get_config()
  assert config["card"] == "mnist_lstm"
  for card, expected in (("mnist_lstm", "mnist_lstm"), ("adam", None), ([1], None)):
    again = l2l_tf.LearnedOptimizer.from_config({**config, "card": card})
    assert again.get_config()["card"] == expected
  del config["card"]
  assert l2l_tf.LearnedOptimizer.from_config(config).get_config()["card"] is None


def test_a_directory_is_named(tmp_path):
  l2l_tf.save_optimizer(str(tmp_path), models.KINDS["lstm"](), {})
  optimizer, theta = l2l_tf.LearnedOptimizer(tmp_path), models.variables()
  with pytest.warns(UserWarning, match=rf"\({tmp_path}\) is beyond"):
    optimizer.apply([math.nan * g for g in models.gradients(0)], theta)
  assert int(optimizer.iterations) == 1


QUADRATICS = [name for name in l2l_tf.pretrained.list() if name.startswith("quadratic")]


@pytest.mark.parametrize("name", QUADRATICS)
def test_no_false_alarm_on_quadratics(name):
  problem, _ = Quadratic().build()
  (seed,) = base.make_seeds(3, count=1)
  params, task = problem.init(tf.constant(seed))
  theta = tf.Variable(params["theta"])
  optimizer = l2l_tf.LearnedOptimizer(name)
  optimizer.build([theta])

  @tf.function(autograph=False)
  def step():
    with tf.GradientTape() as tape:
      loss = problem.loss({"theta": tf.convert_to_tensor(theta)}, task, tf.constant(seed))
    optimizer.apply(tape.gradient(loss, [theta]), [theta])
    return loss

  with warnings.catch_warnings():
    warnings.simplefilter("error")
    losses = [float(step()) for _ in range(100)]
    optimizer.finalize_variable_values([theta])
  assert losses[-1] < 0.01 * losses[0]
