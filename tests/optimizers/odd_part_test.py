"""The odd part of every learned optimizer: it turns with the gradient, and rests without one."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf.optimizers import axes
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import odd_part
from l2l_tf.storage import optimizer_files
from tests.optimizers import conformance_test as conformance

INNER = [name for name in conformance.LEARNED if name != "odd_part"]


def odd(name):
  return odd_part.of(conformance.OPTIMIZERS[name]())


def negative(gradients):
  return {name: -g for name, g in gradients.items()}


@pytest.mark.parametrize("name", INNER)
def test_the_updates_turn_with_the_gradients(name):
  optimizer = odd(name)
  updates, _ = conformance.run(optimizer)
  turned, _ = conformance.run(optimizer, [negative(g) for g in conformance.GRADIENTS])
  conformance.assert_close([negative(u) for u in turned], updates, rtol=0, atol=0)


@pytest.mark.parametrize("name", [n for n in INNER if n != "partition"])
def test_it_is_half_the_difference_of_two_runs(name):
  """On gradients and on their negatives, each with a memory of its own."""
  inner = conformance.OPTIMIZERS[name]()
  (plus, _), (minus, _) = (
    conformance.run(inner, sequence)
    for sequence in (conformance.GRADIENTS, [negative(g) for g in conformance.GRADIENTS])
  )
  expected = [{n: 0.5 * (p[n] - m[n]) for n in p} for p, m in zip(plus, minus)]
  received, _ = conformance.run(optimizers.OddPart(inner))
  conformance.assert_close(received, expected, rtol=1e-5, atol=1e-7)


def test_that_of_a_partition_is_its_groups():
  whole = odd("partition")
  assert type(whole) is optimizers.Partition
  assert {type(group) for group in whole.groups.values()} == {optimizers.OddPart}
  assert odd_part.of(whole).config() == whole.config()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", pretrained.list())
def test_zero_gradients_move_nothing(name, jit_compile):
  """All of them, or those of one parameter and of half of another."""
  shipped, _ = optimizer_files.load_optimizer(pretrained.directory(name))
  optimizer = odd_part.of(shipped)
  call = tf.function(optimizer.__call__, autograph=False, jit_compile=jit_compile)
  params = {"w": tf.ones([1, 9, 5]), "b": tf.ones([1, 5]), "kernel": tf.ones([1, 2, 2, 1, 3])}
  rng = np.random.default_rng(0)
  half = np.where(np.arange(9)[:, np.newaxis] % 2, 0, np.ones([9, 5]))
  for mask in ({}, {"w": half}):
    state = optimizer.initial_state(params)
    moved = {key: np.zeros(x.shape) for key, x in params.items()}
    for _ in range(20):
      g = {key: np.zeros(x.shape) for key, x in params.items()}
      g |= {key: rng.normal(size=g[key].shape) * own for key, own in mask.items()}
      g = {key: tf.constant(x, tf.float32) for key, x in g.items()}
      updates, state = call(g, state, params)
      moved = {key: x + updates[key].numpy() for key, x in moved.items()}
    for key, total in moved.items():
      at_rest = np.broadcast_to(mask.get(key, 0) == 0, total.shape)
      assert not np.any(total[at_rest]), key
      assert np.all(total[~at_rest]), key


def test_a_coordinate_that_had_a_gradient_may_move_on_without():
  """As under Adam, whose averages do not forget at once."""
  optimizer = odd("lstm")
  sequence = [conformance.GRADIENTS[0], tf.nest.map_structure(tf.zeros_like, conformance.THETA)]
  (_, last), _ = conformance.run(optimizer, sequence)
  assert all(np.any(u) for u in last.values())


@pytest.mark.parametrize("name", ["lstm", "partition"])
def test_in_blocks_it_is_the_same(name, monkeypatch):
  monkeypatch.setattr(blocks, "SIZE", 4)
  optimizer = odd(name)
  inside = blocks.split(optimizer)
  parts = inside.groups.values() if name == "partition" else [inside]
  assert {type(part) for part in parts} == {blocks.Blocks}
  received, state = conformance.run(inside)
  expected, whole = conformance.run(optimizer)
  conformance.assert_close(received, expected, rtol=1e-5, atol=1e-7)
  merged, whole = (
    [
      tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), own)
      for *_, own in o.parts(conformance.THETA, of_all)
    ]
    for o, of_all in ((inside, state), (optimizer, whole))
  )
  conformance.assert_close(merged, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", INNER)
def test_parameters_at_rest_are_unknown_to_it(name):
  """`partial_step` on two of four is the optimizer of these two."""
  optimizer = odd(name)
  names = ["kernel", "w"]
  shapes = {key: shape[1:] for key, shape in conformance.SHAPES.items()}
  some = lambda tensors: {key: tensors[key] for key in names}  # noqa: E731
  state, alone = (
    optimizer.initial_state(conformance.THETA),
    optimizer.initial_state(some(conformance.THETA)),
  )
  for gradients in conformance.GRADIENTS[:3]:
    theta = some(conformance.THETA)
    updates, state = optimizer.partial_step(some(gradients), state, shapes, theta)
    expected, alone = optimizer(some(gradients), alone, theta)
    conformance.assert_close(updates, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["general", "lstm"])
def test_a_phi_for_each_instance(name):
  optimizer = conformance.OPTIMIZERS[name]()
  phi = [tf.stack([v, 0.5 * v]) for v in optimizer.trainable_variables]
  two = odd(name).with_phi(phi)
  assert isinstance(two, optimizers.OddPart)
  received, _ = conformance.run(two)
  expected, _ = conformance.run(optimizers.OddPart(optimizer))
  for r, e in zip(received, expected):
    conformance.assert_close({n: x[0] for n, x in r.items()}, {n: x[0] for n, x in e.items()}, 1e-5)
  assert odd("ntm_bfgs").with_phi([]) is None


def test_files_differ_from_those_of_the_optimizer_in_the_config_alone(tmp_path):
  inner = conformance.OPTIMIZERS["lstm_gac"]()
  optimizer = optimizers.OddPart(inner)
  assert optimizer.config() == {"kind": "odd_part", "optimizer": inner.config()}
  same = optimizer_files.weights_to_bytes(inner)
  assert optimizer_files.weights_to_bytes(optimizer) == same
  loaded = optimizer_files.from_bytes(optimizer.config(), same, "it")
  conformance.assert_close(conformance.run(loaded), conformance.run(optimizer), rtol=0, atol=0)


@pytest.mark.parametrize(
  "inner, message",
  [
    (None, "must be an object"),
    ({"kind": "adam"}, "Unknown kind of optimizer 'adam'"),
    ({"kind": "odd_part", "optimizer": {"kind": "lstm"}}, "Unknown kind of optimizer 'odd_part'"),
    ({"kind": "partition", "groups": {}}, "Unknown kind of optimizer 'partition'"),
  ],
)
def test_hostile_configs(inner, message):
  with pytest.raises(ValueError, match=message):
    optimizer_files.optimizer_from_config({"kind": "odd_part", "optimizer": inner})


def test_what_has_no_odd_part():
  with pytest.raises(TypeError, match="takes an optimizer, got 'lstm'"):
    optimizers.OddPart("lstm")
  for whole in (odd("lstm"), conformance.OPTIMIZERS["partition"]()):
    with pytest.raises(ValueError, match="cannot take a (OddPart|Partition); odd_part.of"):
      optimizers.OddPart(whole)


def test_the_axes_of_its_state_are_known():
  state = odd("lstm").initial_state(conformance.THETA)
  assert axes.of(state) == [".Bn"] * 8 + ["Bn"]
