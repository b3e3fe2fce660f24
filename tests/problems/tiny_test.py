"""Small problems of many kinds: each is a function of its seed, lifted by hand as one by one."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base
from l2l_tf.problems import general
from l2l_tf.problems import sequences
from l2l_tf.problems import tiny
from l2l_tf.problems import transformations

RNG = np.random.default_rng(0)
EXAMPLES = tiny.Examples(
  RNG.normal(size=[50, 6]).astype(np.float32),
  np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 50)],
)
DIGITS = problems.Dataset(
  RNG.integers(0, 256, (40, 28, 28, 1), dtype=np.uint8), RNG.integers(0, 10, 40), 10, "random"
)
PICTURES = problems.Dataset(
  RNG.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), RNG.integers(0, 10, 40), 10, "random"
)
MIXTURE = general.mixture(DIGITS, PICTURES)
PROBLEMS = {**MIXTURE.problems, **{f"validation {n}": p for n, p in MIXTURE.validation.items()}}
SEEDS = tf.constant(base.make_seeds(4, count=3))


@pytest.mark.parametrize("name", PROBLEMS)
def test_instances_side_by_side_are_those_one_by_one(name):
  """Losses and gradients; every parameter has one, or the minibatch is made anew."""
  problem = PROBLEMS[name]
  params, tasks = base.instances(problem, SEEDS)
  losses, gradients = base.losses_and_gradients(problem, params, tasks, SEEDS)
  assert np.all(np.isfinite(losses)) and losses.shape == (3,)
  for b in range(3):
    theta, task = problem.init(SEEDS[b])
    with tf.GradientTape() as tape:
      tape.watch(theta)
      loss = problem.loss(theta, task, SEEDS[b])
    np.testing.assert_allclose(losses[b], loss, rtol=1e-4)
    for key, value in tape.gradient(loss, theta).items():
      np.testing.assert_array_equal(params[key][b], theta[key])
      np.testing.assert_allclose(gradients[key][b], value, rtol=1e-3, atol=1e-5)
      assert np.any(value != 0), key
  assert len({float(loss) for loss in losses}) == 3


def test_draws_are_uniform_and_of_their_own_seed():
  seeds = tf.constant(base.make_seeds(9, count=200))
  drawn = tiny.draw(seeds, 500, 10).numpy()
  shares = np.bincount(drawn.ravel(), minlength=10) / drawn.size
  np.testing.assert_allclose(shares, 0.1, atol=0.005)
  np.testing.assert_array_equal(tiny.draw(seeds[7:8], 500, 10)[0], drawn[7])
  assert abs(np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]) < 0.02
  following = tiny.draw(base.at_step(seeds, tf.constant(0)), 500, 10).numpy()
  assert abs(np.corrcoef(drawn.ravel(), following.ravel())[0, 1]) < 0.02


def test_another_parameterization_is_the_same_function():
  plain = tiny.dense_network(EXAMPLES, [4])
  for each in ("tensor", "coordinate", "all"):
    other = transformations.rescaled(plain, each=each)
    theta, _ = plain.init(SEEDS[0])
    changed, task = other.init(SEEDS[0])
    np.testing.assert_allclose(
      other.loss(changed, task, SEEDS[1]), plain.loss(theta, {}, SEEDS[1]), rtol=1e-5
    )
    factors = {name: np.ravel(x) for name, x in task[1].items()}
    assert all(np.all((x >= 0.0999) & (x <= 10.001)) for x in factors.values())
    assert len({float(x[0]) for x in factors.values()}) == (1 if each == "all" else len(factors))
  with pytest.raises(ValueError, match="each must be one of tensor, coordinate, all, got 'row'"):
    transformations.rescaled(plain, each="row")


def test_a_bad_start_scales_each_matrix_and_nothing_else():
  plain = tiny.dense_network(EXAMPLES, [4], normalization="layer")
  theta, changed = plain.init(SEEDS[0])[0], transformations.starting_badly(plain).init(SEEDS[0])[0]
  for name, x in theta.items():
    if x.shape.rank == 1:
      np.testing.assert_array_equal(changed[name], x)
    else:
      ratios = changed[name] / x
      np.testing.assert_allclose(ratios, ratios[0, 0], rtol=1e-5)
      assert 0.1 <= float(ratios[0, 0]) <= 10 and abs(float(ratios[0, 0]) - 1) > 1e-3


def test_noise_gives_some_examples_the_label_of_others():
  clean, noisy = (
    tiny.dense_network(EXAMPLES, [], batch_size=20, label_noise=share) for share in (0.0, 0.5)
  )
  theta, _ = clean.init(SEEDS[0])
  assert clean.loss(theta, {}, SEEDS[1]) != noisy.loss(theta, {}, SEEDS[1])
  assert noisy.loss(theta, {}, SEEDS[1]) == noisy.loss(theta, {}, SEEDS[1])


def test_the_noise_of_all_examples_is_noise():
  """Each gets the target of the next one, where a rotation by all of them would change nothing."""
  some, everything = (
    tiny.dense_network(EXAMPLES, [], batch_size=20, label_noise=share) for share in (0.0, 1.0)
  )
  theta, _ = some.init(SEEDS[0])
  assert some.loss(theta, {}, SEEDS[1]) != everything.loss(theta, {}, SEEDS[1])


def test_an_instance_has_so_many_examples_one_after_the_other():
  """With as many as there are it is the same problem; with one its batches are all the same."""
  whole, all_of_them, one = (
    tiny.dense_network(EXAMPLES, [4], num_examples=count) for count in (None, 50, 1)
  )
  theta, place = all_of_them.init(SEEDS[0])
  assert place.shape == [1] and place[0] == 0
  assert all_of_them.loss(theta, place, SEEDS[1]) == whole.loss(theta, {}, SEEDS[1])
  places = [int(one.init(seed)[1][0]) for seed in tf.constant(base.make_seeds(5, count=40))]
  assert len(set(places)) > 15 and min(places) >= 0 and max(places) < 50
  single = tiny.dense_network(tiny.Examples(*(x[places[0]][np.newaxis] for x in EXAMPLES)), [4])
  for seed in SEEDS:
    np.testing.assert_allclose(
      one.loss(theta, tf.constant(places[:1]), seed), single.loss(theta, {}, seed), rtol=1e-5
    )


def test_a_teacher_gives_raw_inputs_and_classes():
  raw = tiny.teacher(10, [16], spread=1.5, offset=2.0, num_outputs=3)
  means, deviations = raw.inputs.mean(0), raw.inputs.std(0)
  assert deviations.max() > 30 * deviations.min() and np.abs(means / deviations).max() > 1
  kinds = tiny.as_classes(raw)
  assert kinds.targets.shape == (4096, 3) and np.all(kinds.targets.sum(1) == 1)
  np.testing.assert_array_equal(kinds.targets.argmax(1), raw.targets.argmax(1))
  assert kinds.targets.mean(0).min() > 0.05


def test_made_up_texts_can_be_predicted_from_two_tokens():
  (text,) = sequences.markov_chains(6, 3000, num_chains=1)
  counts = np.zeros([6, 6, 6])
  np.add.at(counts, (text[:-2], text[1:-1], text[2:]), 1)
  right = counts.max(-1).sum() / counts.sum()
  single = counts.sum(0).max(-1).sum() / counts.sum()
  assert right > 0.6 and right > single + 0.1


@pytest.mark.slow
def test_without_pictures_there_are_fewer_problems():
  fewer = general.mixture(DIGITS)
  assert fewer.problems.keys() < MIXTURE.problems.keys()
  assert fewer.validation.keys() < MIXTURE.validation.keys()
  assert fewer.digest != MIXTURE.digest
  assert not MIXTURE.problems.keys() & {"digits", "pictures"} and set(MIXTURE.weights.values()) == {
    1
  }


@pytest.mark.parametrize(
  "options, message",
  [
    (
      {"activation": "step"},
      "activation must be one of relu, gelu, tanh, sigmoid, elu, got 'step'",
    ),
    ({"normalization": "group"}, "normalization must be one of none, batch, layer"),
    ({"loss": "hinge"}, "loss must be one of cross_entropy"),
    ({"batch_size": 0}, "batch_size and num_examples must be positive"),
    ({"num_examples": 0}, "must be positive and label_noise in 0..1, got 32, 0, 0.0"),
    ({"label_noise": 2.0}, "label_noise in 0..1, got 32, None, 2.0"),
  ],
)
def test_bad_options_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    tiny.dense_network(EXAMPLES, [4], **options)


@pytest.mark.parametrize("change", [transformations.rescaled, transformations.starting_badly])
@pytest.mark.parametrize("dtype", [tf.float64, tf.bfloat16])
def test_transformations_keep_the_type_of_the_parameters(change, dtype):
  plain = problems.Problem(
    init=lambda seed: ({"w": tf.ones([2, 2], dtype)}, {}),
    loss=lambda params, task, seed: tf.reduce_sum(params["w"] ** 2),
  )
  theta, task = change(plain).init(SEEDS[0])
  assert {x.dtype for x in theta.values()} == {dtype}
  assert change(plain).loss(theta, task, SEEDS[1]).dtype == dtype
