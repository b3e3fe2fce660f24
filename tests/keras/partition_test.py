"""LearnedOptimizer with a Partition: which variables of a Keras model each group takes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from l2l_tf import optimizers
from tests import keras_models as models

CONV = ["first/kernel", "first/bias", "norm/gamma", "norm/beta", "second/kernel"]
FC = ["dense/kernel", "norm_1/gamma", "norm_1/beta", "out/kernel", "out/bias"]


def model() -> keras.Model:
  """Convolutions, batch normalizations and dense layers, 10 trainable variables."""
  keras.utils.set_random_seed(1)
  layers = [
    keras.layers.Conv2D(3, 3, activation="relu", name="first"),
    keras.layers.BatchNormalization(name="norm"),
    keras.layers.DepthwiseConv2D(3, use_bias=False, name="second"),
    keras.layers.Flatten(),
    keras.layers.Dense(4, use_bias=False, name="dense"),
    keras.layers.BatchNormalization(name="norm_1"),
    keras.layers.Dense(2, name="out"),
  ]
  return keras.Sequential([keras.Input((7, 7, 1)), *layers])


def two(**groups) -> optimizers.Partition:
  parts = {name: optimizers.CoordinatewiseLSTM((4, 3), seed=k) for k, name in enumerate(groups)}
  return optimizers.Partition(parts)


def partition() -> optimizers.Partition:
  return two(conv=None, fc=None)


def gradients(variables, step):
  rng = np.random.default_rng([3, step])
  return [tf.constant(rng.normal(size=v.shape), tf.float32) for v in variables]


def split(variables):
  """The variables of the convolutions, and the others."""
  conv = [v for v in variables if "/".join(v.path.split("/")[-2:]) in CONV]
  return conv, [v for v in variables if not any(v is c for c in conv)]


def follow(optimizer, together, singles, apart, num_steps=4):
  """The same gradients for all variables together, and for those of each group apart."""
  for step in range(num_steps):
    given = gradients(together, step)
    optimizer.apply(given, together)
    by_path = {v.path: g for v, g in zip(apart, given)}
    for single, own in zip(singles, split(apart)):
      single.apply([by_path[v.path] for v in own], own)


@pytest.mark.parametrize("state_dtype", [None, "bfloat16"])
def test_each_group_is_updated_as_by_an_optimizer_of_its_own(state_dtype):
  together, apart = model().trainable_variables, model().trainable_variables
  assert ["/".join(v.path.split("/")[-2:]) for v in together] == [*CONV, *FC]
  optimizer = l2l_tf.LearnedOptimizer(partition(), state_dtype=state_dtype)
  groups = partition().groups
  singles = [l2l_tf.LearnedOptimizer(groups[g], state_dtype=state_dtype) for g in ("conv", "fc")]
  follow(optimizer, together, singles, apart)
  models.assert_equal(together, apart, atol=1e-6)
  assert all(np.any(a != b) for a, b in zip(models.values(together), model().get_weights()[:2]))


def test_frozen_convolutions_keep_their_states():
  variables = model().trainable_variables
  optimizer = l2l_tf.LearnedOptimizer(partition())
  optimizer.build(variables)
  conv, fc = split(variables)
  sizes = [sum(int(np.prod(v.shape)) for v in group) for group in (conv, fc)]
  before = models.values(conv)
  optimizer.apply(gradients(fc, 0), fc)
  states = [s for s in models.states(optimizer)[2:] if s.shape[-1] == sizes[0]]
  assert len(states) == 4 and not any(np.any(s) for s in states)
  models.assert_equal(conv, before)
  others = [s for s in models.states(optimizer)[2:] if s.shape[-1] == sizes[1]]
  assert len(others) == 4 and all(np.any(s) for s in others)


@pytest.mark.slow
@pytest.mark.parametrize("conv", [optimizers.CoordinatewiseLSTM, optimizers.General])
def test_groups_that_see_the_parameters_get_them(conv):
  """A group of `General` moves its weights as one alone does."""
  groups = {"conv": conv((4,), seed=1), "fc": optimizers.General((4,), seed=2)}
  together, apart = model().trainable_variables, model().trainable_variables
  optimizer = l2l_tf.LearnedOptimizer(optimizers.Partition(groups))
  singles = [l2l_tf.LearnedOptimizer(groups[g]) for g in ("conv", "fc")]
  follow(optimizer, together, singles, apart)
  models.assert_equal(together, apart, atol=1e-6)
  before = models.values(model().trainable_variables)
  assert all(np.any(a != b) for a, b in zip(models.values(together), before))


@pytest.mark.slow
def test_fit_and_a_saved_model_go_on_to_the_same_numbers(tmp_path):
  rng = np.random.default_rng(0)
  images, labels = rng.normal(size=(16, 7, 7, 1)), rng.integers(0, 2, 16)
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

  def fit(trained):
    trained.fit(images, labels, batch_size=8, epochs=2, shuffle=False, verbose=0)

  straight, stopped = model(), model()
  for trained in (straight, stopped):
    trained.compile(l2l_tf.LearnedOptimizer(partition()), loss)
    fit(trained)
  stopped.save(tmp_path / "m.keras")
  loaded = keras.models.load_model(tmp_path / "m.keras")
  assert loaded.optimizer.learned.config() == partition().config()
  fit(straight)
  fit(loaded)
  models.assert_equal(loaded.get_weights(), straight.get_weights(), atol=1e-6)


@pytest.mark.parametrize(
  "groups, shapes, message",
  [
    (
      ["conv", "fc"],
      [(4,), ()],
      "No parameter has a label, so none of the groups conv, fc can take",
    ),
    (["conv"], [(3, 3, 1, 2), (5, 2)], "label 'fc', but the groups are conv"),
  ],
)
def test_variables_that_fit_no_group_are_named(groups, shapes, message):
  variables = [keras.Variable(np.zeros(shape), name="x") for shape in shapes]
  optimizer = l2l_tf.LearnedOptimizer(two(**dict.fromkeys(groups)))
  with pytest.raises(ValueError, match=message) as info:
    optimizer.build(variables)
  assert "\n" not in str(info.value)
