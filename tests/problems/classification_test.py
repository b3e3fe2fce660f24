"""Tests of the classifiers: the loss against NumPy, the minibatches, theta_0."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base
from l2l_tf.problems import classification

ACTIVATIONS = {
  "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
  "relu": lambda x: np.maximum(x, 0),
  "tanh": np.tanh,
}
SEED = tf.constant([3, 4])


def pictures(count=30, classes=4):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (count, 2, 3, 1), dtype=np.uint8)
  return problems.Dataset(images, np.arange(count) % classes, classes, "random")


def numpy_loss(params, data, activation):
  """The mean cross entropy over all of `data`."""
  x = data.images.reshape(len(data.images), -1) / 255
  layers = list(dict.fromkeys(name.split("/")[0] for name in params))
  for name in layers:
    x = x @ params[f"{name}/w"].numpy() + params[f"{name}/b"].numpy()
    if name != "output":
      x = ACTIVATIONS[activation](x)
  logs = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
  return -np.mean(logs[np.arange(len(x)), data.labels])


def test_the_table_of_activations():
  assert classification.ACTIVATIONS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(5,), (4, 3), ()])
def test_loss_equals_numpy(activation, hidden):
  """On data of one example, so that every minibatch is that example many times."""
  data = pictures(count=1)
  problem = problems.mlp(data, hidden, activation, 8, init_scale=1.0, dtype=tf.float64)
  params, task = problem.init(SEED)
  loss = problem.loss(params, task, SEED)
  assert float(loss) == pytest.approx(numpy_loss(params, data, activation), rel=1e-10)


def test_minibatches_are_drawn_evenly_from_all_the_data():
  """The mean loss over many minibatches is the loss over all the data."""
  data = pictures()
  problem = problems.mlp(data, (5,), batch_size=10, init_scale=1.0, dtype=tf.float64)
  params, task = problem.init(SEED)
  step_loss = tf.function(lambda t: problem.loss(params, task, base.at_step(SEED, t)))
  losses = [float(step_loss(tf.constant(t))) for t in range(300)]
  error = np.std(losses) / 300**0.5
  assert len(set(losses)) == 300 and error > 0
  expected = numpy_loss(params, data, "sigmoid")
  assert np.mean(losses) == pytest.approx(expected, abs=4 * error)
  assert float(step_loss(tf.constant(7))) == losses[7]


def test_gradient_equals_finite_differences():
  problem = problems.mlp(pictures(), (5,), "tanh", 8, init_scale=0.7, dtype=tf.float64)
  params, task = problem.init(SEED)
  with tf.GradientTape() as tape:
    tape.watch(params)
    loss = problem.loss(params, task, SEED)
  gradients = tape.gradient(loss, params)
  rng = np.random.default_rng(1)
  for name, gradient in gradients.items():
    direction = rng.normal(size=gradient.shape)
    shifted = [
      float(problem.loss({**params, name: params[name] + h * direction}, task, SEED))
      for h in (1e-6, -1e-6)
    ]
    slope = (shifted[0] - shifted[1]) / 2e-6
    assert slope == pytest.approx(np.sum(gradient * direction), rel=1e-6, abs=1e-9)


def test_the_papers_base_network():
  images = np.zeros((3, 28, 28, 1), np.uint8)
  data = problems.Dataset(images, np.zeros(3, np.int64), 10, "black")
  problem = problems.mlp(data)
  params, task = problem.init(SEED)
  assert {name: tuple(p.shape) for name, p in params.items()} == {
    "hidden_1/w": (784, 20),
    "hidden_1/b": (20,),
    "output/w": (20, 10),
    "output/b": (10,),
  }
  assert sum(p.shape.num_elements() for p in params.values()) == 15_910
  assert float(problem.loss(params, task, SEED)) == pytest.approx(np.log(10), abs=0.1)


@pytest.mark.parametrize("scale", [0.01, 0.3])
def test_theta_0_is_gaussian_of_the_given_scale(scale):
  data = problems.Dataset(np.zeros((1, 28, 28, 1), np.uint8), np.zeros(1, np.int64), 10, "black")
  params, _ = problems.mlp(data, (50, 50), init_scale=scale).init(SEED)
  for name, p in params.items():
    tolerance = 5 * scale / p.shape.num_elements() ** 0.5
    assert abs(np.mean(p)) < tolerance, name
    assert np.std(p) == pytest.approx(scale, abs=tolerance), name
  assert len(np.unique(np.concatenate([p.numpy().ravel() for p in params.values()]))) > 40_000


def test_cross_entropy_of_extreme_logits_is_finite():
  logits = tf.constant([[1e4, 0.0], [0.0, 1e4]])
  loss = classification.cross_entropy(logits, tf.constant([0, 0]))
  assert float(loss) == pytest.approx(5e3)


@pytest.mark.parametrize(
  "options, message",
  [
    ({"activation": "gelu"}, "activation must be one of .*relu.*, got 'gelu'"),
    ({"batch_size": 0}, r"must be positive, got 0 and \(20,\)"),
    ({"hidden": (20, 0)}, r"must be positive, got 128 and \(20, 0\)"),
  ],
)
def test_bad_arguments_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    problems.mlp(pictures(), **options)
