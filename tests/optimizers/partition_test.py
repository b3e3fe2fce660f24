"""Tests of Partition: labels, coverage, and the same numbers as its parts."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.config.training import Training
from l2l_tf.evaluation.protocol import curves
from l2l_tf.evaluation.protocol import final_losses
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import partition
from l2l_tf.optimizers.partition import conv_or_fc
from l2l_tf.problems.base import make_seeds
from l2l_tf.storage import optimizer_files
from l2l_tf.training import sampled_backprop
from l2l_tf.training.meta_trainer import MetaTrainer
from tests import coloured_digits
from tests.problems import convolutional_test

SEEDS = make_seeds(5, count=2)


def lstm(seed=1, dtype=tf.float64):
  return optimizers.CoordinatewiseLSTM((3,), output_scale=0.2, seed=seed, dtype=dtype)


def two(label=conv_or_fc):
  return optimizers.Partition({"conv": lstm(1), "fc": lstm(2)}, label)


@pytest.mark.parametrize(
  "name, shape, label",
  [
    ("conv_1/w", (5, 5, 3, 16), "conv"),
    ("features/kernel", (3, 3, 8, 8), "conv"),
    ("video", (2, 3, 3, 8, 8), "conv"),
    ("model/Conv1D/kernel", (3, 8, 16), "conv"),
    ("attention/query/kernel", (8, 2, 4), "fc"),
    ("hidden/w", (256, 32), "fc"),
    ("conv_1/w_of_dense", (4, 4), "fc"),
    ("conv_1/offset", (16,), None),
    ("scalar", (), None),
  ],
)
def test_the_label_function(name, shape, label):
  assert conv_or_fc(name, shape) == label


C, F = "conv", "fc"


@pytest.mark.parametrize(
  "shapes, expected",
  [
    (  # of convolutional_test: offsets and biases have the prefix of their layer
      {"conv_1/w": (3, 3, 3, 4), "conv_1/b": (4,), "out/b": (2,), "out/w": (4, 2)},
      [C, C, F, F],
    ),
    (  # as Keras has them: normalizations follow the layer that they belong to
      {
        **{"0/m/conv2d/kernel": (3, 3, 1, 4), "1/m/conv2d/bias": (4,), "2/m/bn/gamma": (4,)},
        **{"3/m/bn/beta": (4,), "4/m/dense/kernel": (9, 4), "5/m/bn_1/gamma": (4,)},
      },
      [C, C, C, C, F, F],
    ),
    ({"shift": (3,), "kernel": (3, 3, 3, 4), "w": (9, 4), "b": (4,)}, [C, C, F, F]),
    ({"b": (4,), "w": (9, 4)}, [F, F]),
  ],
)
def test_vectors_go_with_their_layer(shapes, expected):
  assert list(two().labels(shapes).values()) == expected


def test_every_parameter_is_in_exactly_one_group():
  problem = convolutional_test.small()
  params, _ = problem.init(tf.constant([1, 2]))
  params = {name: p[tf.newaxis] for name, p in params.items()}
  parts = two().split(params)
  assert {name: group for group, part in parts.items() for name in part} == {
    **dict.fromkeys(["conv_1/w", "conv_1/offset", "conv_2/w", "conv_2/offset"], "conv"),
    **dict.fromkeys(["hidden/w", "hidden/offset", "output/w", "output/b"], "fc"),
  }
  assert sum(map(len, parts.values())) == len(params)
  updates, _ = two()(params, two().initial_state(params))
  assert list(updates) == list(params)


def test_a_label_without_a_group_is_named():
  other = optimizers.Partition({"dense": lstm()})
  with pytest.raises(partition.LabelError) as info:
    other.labels({"a/w": (2, 3), "b/w": (3, 3, 2, 2)})
  assert str(info.value) == (
    "The parameter 'a/w' of shape [2, 3] has the label 'fc', but the groups are dense."
  )


def test_parameters_without_any_label_are_named():
  with pytest.raises(partition.LabelError, match="No parameter has a label, so none of the groups"):
    two().labels({"theta": (10,)})


def test_a_group_without_parameters_cannot_be_trained():
  shapes = {"hidden/w": (4, 3), "hidden/b": (3,)}
  two().check(shapes)
  message = "None of the parameters hidden/w, hidden/b is for the group 'conv'"
  with pytest.raises(partition.LabelError, match=message):
    two().check(shapes, every_group=True)
  blocks.split(two()).check(shapes)
  lstm().check(shapes, every_group=True)  # not a partition


@pytest.mark.parametrize(
  "groups, label, error, message",
  [
    ({}, conv_or_fc, ValueError, "groups must be one or more optimizers by name"),
    ({"a/b": lstm()}, conv_or_fc, ValueError, "without /, got"),
    ({"conv": 3}, conv_or_fc, TypeError, "The group 'conv' must be an optimizer, got 3"),
    ({"conv": lstm()}, "by_size", ValueError, "Unknown label function 'by_size'; known: conv_or"),
  ],
)
def test_bad_arguments_are_named(groups, label, error, message):
  with pytest.raises(error, match=message):
    optimizers.Partition(groups, label)


def test_each_group_does_what_its_optimizer_does_alone():
  problem, both = convolutional_test.small(), two()
  carry, _ = unroll.start(problem, both, SEEDS)
  state, alone = carry.state, {g: o.initial_state(p) for o, p, g in _groups(both, carry.params)}
  for step in range(3):
    gradients = {name: g * 10.0**-step for name, g in carry.gradients.items()}
    updates, state = both(gradients, state)
    for optimizer, part, group in _groups(both, gradients):
      expected, alone[group] = optimizer(part, alone[group])
      for name in part:
        np.testing.assert_array_equal(updates[name], expected[name])


def _groups(both, tensors):
  return [(both.groups[group], part, group) for group, part in both.split(tensors).items()]


def window(problem, optimizer, runner, how):
  """Losses and meta-gradient of four steps from the second one, of one instance."""
  carry, _ = unroll.start(problem, runner, SEEDS[:1])
  carry, _ = unroll.unroll(problem, runner, carry, 2)
  weights = tf.constant([1.0, 0.5, 2.0, 1.0], tf.float64)
  if how == "sampled":
    return sampled_backprop.losses_and_gradients(problem, runner, carry, 4, 1000, weights)[1:]
  with tf.GradientTape() as tape:
    _, losses = unroll.unroll(problem, runner, carry, 4)
    total = tf.reduce_sum(weights * tf.reduce_mean(losses, axis=1))
  return losses, tape.gradient(total, optimizer.trainable_variables)


def assert_close(first, second, rtol=1e-8):
  for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
    assert np.abs(b).max() > 1e-7
    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-8 * np.abs(b).max())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["plain", "sampled"])
def test_groups_that_share_their_weights_are_one_optimizer(how):
  problem, single = convolutional_test.small(), lstm()
  shared = optimizers.Partition({"conv": single, "fc": single})
  assert len(shared.trainable_variables) == len(single.trainable_variables)
  results = [
    tf.function(lambda o=o: window(problem, o, o, how), autograph=False)() for o in (shared, single)
  ]
  assert_close(*results)


@pytest.mark.slow
def test_sampled_coordinates_and_blocks_give_the_meta_gradient(monkeypatch):
  """With all coordinates in the sample, and groups in several blocks each."""
  monkeypatch.setattr(blocks, "SIZE", 100)
  problem, both = convolutional_test.small(), two()
  split = blocks.split(both)
  sizes = {
    group: len(state)
    for group, state in split.initial_state(
      {"c": tf.zeros([1, 3, 3, 3, 6], tf.float64), "f": tf.zeros([1, 20, 8], tf.float64)}
    ).items()
  }
  assert sizes == {"conv": 2, "fc": 2}
  expected = tf.function(lambda: window(problem, both, both, "plain"), autograph=False)()
  assert len(expected[1]) == 8
  for how in ("plain", "sampled"):
    assert_close(
      tf.function(lambda h=how: window(problem, both, split, h), autograph=False)(), expected
    )


@pytest.mark.slow
def test_two_lstms_learn_to_train_a_convnet_on_real_images():
  """Digits in colour, 8 x 8 pixels; what counts are digits that meta-training never sees."""
  size = {"filters": (4, 4), "kernel_size": 3, "units": 8, "batch_size": 32}
  seen, held_out = (problems.convnet(coloured_digits.load(s, 8), **size) for s in ("train", "test"))
  groups = {g: optimizers.CoordinatewiseLSTM((8,), seed=k) for g, k in (("conv", 1), ("fc", 2))}
  both = optimizers.Partition(groups)
  evaluate = lambda: final_losses(curves(held_out, both, make_seeds(0, 3, count=4), 20)).mean()  # noqa: E731
  before = evaluate()
  options = {"num_steps": 20, "unroll_length": 10, "num_epochs": 4, "episodes_per_epoch": 10}
  options |= {"learning_rate": 0.01, "learning_rate_decay": 1.0, "validation_runs": 4}
  options |= {"meta_gradient": "sampled:100"}
  trainer = MetaTrainer(seen, both, Training(**options))
  rows = [trainer.run_epoch() for _ in range(4)]
  trainer.use_best()
  assert all(row["bad_steps"] == 0 for row in rows)
  assert evaluate() < before - 0.2


@pytest.mark.slow
def test_a_small_sample_is_unbiased():
  problem, both = convolutional_test.small(), two()
  carry, _ = unroll.start(problem, both, SEEDS[:1])

  @tf.function(autograph=False)
  def estimate(limit, shift):
    shifted = carry._replace(seeds=carry.seeds + shift)
    frozen = problem._replace(loss=lambda p, task, seed: problem.loss(p, task, seed - shift))
    results = sampled_backprop.losses_and_gradients(
      frozen, both, shifted, 3, limit, tf.ones([3], tf.float64)
    )
    return tf.concat([tf.reshape(g, [-1]) for g in results[2]], axis=0)

  truth = estimate(1000, tf.constant(0)).numpy()
  estimates = np.array([estimate(20, tf.constant(1000 * k)) for k in range(1, 81)])
  error = np.linalg.norm(estimates.mean(axis=0) - truth)
  spread = np.sqrt(estimates.var(axis=0, ddof=1).sum() / len(estimates))
  assert 0 < spread < 0.5 * np.linalg.norm(truth) and error < 3 * spread


def general(seed):
  rule = optimizers.General((4,), seed=seed)
  w = rule.trainable_variables[-1]  # 0 at first
  w.assign(tf.random.stateless_normal(w.shape, [seed, 5]))
  return rule


@pytest.mark.parametrize(
  "groups, expected",
  [
    ((lstm, lstm), (True, False, False)),
    ((general, general), (False, True, True)),
    ((lstm, general), (False, True, False)),
    ((general, lambda seed: optimizers.GlobalAveragingLSTM((5,))), (False, True, False)),
  ],
)
def test_it_says_of_itself_what_its_groups_say(groups, expected):
  both = optimizers.Partition({g: make(k) for k, (g, make) in enumerate(zip("ab", groups))})
  for optimizer in (both, both.map(lambda part: part), blocks.split(both)):
    assert (optimizer.coordinatewise, optimizer.sees_params, optimizer.scale_free) == expected


@pytest.mark.parametrize("shared", [False, True])
def test_a_phi_for_each_instance_goes_to_the_groups(shared):
  rng = np.random.default_rng(0)
  theta = {"k": rng.normal(size=(2, 3, 3, 1, 2)), "w": rng.normal(size=(2, 4, 3))}
  theta = {name: tf.constant(x, tf.float32) for name, x in theta.items()}
  first = general(1)
  both = optimizers.Partition({"conv": first, "fc": first if shared else general(2)})
  shift = lambda x, by: x + by * tf.random.stateless_normal(x.shape, [7, by])  # noqa: E731
  values = [[shift(v, by) for v in both.trainable_variables] for by in (0, 1)]
  together = both.with_phi([tf.stack(pair) for pair in zip(*values)])
  updates, _ = together(theta, together.initial_state(theta), theta)
  for b, phi in enumerate(values):
    for variable, value in zip(both.trainable_variables, phi):
      variable.assign(value)
    own = {name: x[b : b + 1] for name, x in theta.items()}
    expected, _ = both(own, both.initial_state(own), own)
    for name, update in expected.items():
      assert np.any(update != 0)
      np.testing.assert_allclose(updates[name][b], update[0], rtol=1e-5, atol=1e-8)


def test_one_phi_for_all_instances_if_a_group_can_have_no_other():
  both = optimizers.Partition({"conv": general(1), "fc": optimizers.NTMBFGS((5,), num_gacs=1)})
  assert both.with_phi(both.trainable_variables) is None


def test_a_label_function_of_your_own_works_and_cannot_be_saved(tmp_path):
  halves = optimizers.Partition({"a": lstm(1), "b": lstm(2)}, lambda name, shape: name[:1])
  assert halves.labels({"a1": (2,), "b1": (3,), "a2": (1,)}) == {"a1": "a", "b1": "b", "a2": "a"}
  with pytest.raises(ValueError, match="cannot be saved: only those of partition.LABELS"):
    optimizer_files.save_optimizer(str(tmp_path), halves, {})


CONFIG = {"kind": "partition", "label": "conv_or_fc"}


@pytest.mark.parametrize(
  "config, message",
  [
    (CONFIG, "groups must be there, got nothing"),
    (CONFIG | {"groups": {}}, "groups must not be empty"),
    (
      CONFIG | {"groups": {str(k): {} for k in range(17)}},
      "groups must have at most 16 elements, got 17",
    ),
    (CONFIG | {"groups": {"a": {"kind": "gru"}}}, "Unknown kind of optimizer 'gru'"),
    (CONFIG | {"groups": {"a": CONFIG}}, "Unknown kind of optimizer 'partition'"),
    (
      CONFIG | {"groups": {"a": {"kind": "lstm"}}, "label": "os"},
      "label must be one of conv_or_fc; got 'os'",
    ),
    (
      CONFIG | {"groups": {"a": {"kind": "lstm"}}, "label": ["x"]},
      "label must be one of conv_or_fc; got",
    ),
    (
      CONFIG | {"groups": {"a": {"kind": "lstm"}}, "seed": 1},
      "Unknown option 'seed' for PartitionOf",
    ),
  ],
)
def test_a_foreign_config_is_refused(config, message):
  with pytest.raises(ValueError, match=message):
    optimizer_files.optimizer_from_config(config)
