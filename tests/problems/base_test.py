"""Tests of problems.base: seeds, and what lifts one instance to many."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import base
from tests import sources


def test_seeds_are_a_function_of_their_name():
  seeds = base.make_seeds(5, base.Stream.TEST, count=4)
  assert seeds.shape == (4, 2) and seeds.dtype == np.int32
  np.testing.assert_array_equal(seeds, base.make_seeds(5, base.Stream.TEST, count=4))
  np.testing.assert_array_equal(seeds, base.make_seeds(5, base.Stream.TEST, count=9)[:4])


def test_streams_are_disjoint():
  """Also from the minibatch seeds of any of the first thousand steps of another instance."""
  streams = [base.make_seeds(seed, s, count=50) for seed in (0, 1) for s in base.Stream]
  streams += [base.make_seeds(0, base.Stream.META_TRAINING, epoch, 1, count=50) for epoch in (0, 1)]
  streams += [base.make_seeds(count=50), base.make_seeds(0, count=50)]
  everything = {tuple(seed) for seeds in streams for seed in seeds}
  assert len(everything) == 50 * len(streams)
  assert len({first for first, _ in everything}) == len(everything)  # at_step keeps the first word


def test_no_seeds():
  assert base.make_seeds(1, count=0).shape == (0, 2)


@pytest.mark.parametrize("words", [(5, base.Stream.TEST), (5, base.Stream.META_TRAINING, 2, 3)])
def test_the_seeds_of_instances_begin_with_their_indices_where_there_are_some(words):
  plain = problems.bowl(2)
  seeds = plain.seeds(*words, count=4)
  np.testing.assert_array_equal(seeds, base.make_seeds(*words, count=4))
  indexed = plain._replace(indices=lambda stream, words: words % 7 + 100 * stream)
  found = indexed.seeds(*words, count=4)
  assert found.dtype == np.int32
  np.testing.assert_array_equal(found[:, 0], seeds[:, 0].view(np.uint32) % 7 + 100 * words[1])
  np.testing.assert_array_equal(found[:, 1], seeds[:, 1])


def test_instances_come_through_that_door():
  """Other users of `make_seeds`: perturbations of phi, and Keras models that are no `Problem`."""
  users = set()
  for name, source in sources.read().items():
    if not name.startswith("tests.") and "make_seeds" in (sources.ROOT / source.path).read_text():
      users.add(name)
  others = {"l2l_tf.training.evolution_trainer", "benchmarks.keras_experiments"}
  assert users == {"l2l_tf.problems.base"} | others
  assert "make_seeds" not in (sources.ROOT / "README.md").read_text()


def test_minibatch_seeds_differ_at_every_step_and_wrap_around():
  seeds = tf.constant([[1, 5], [2, 2**31 - 1]])
  at = [base.at_step(seeds, tf.constant(t)).numpy() for t in range(3)]
  np.testing.assert_array_equal(np.array(at)[:, 0], [[1, 6], [1, 7], [1, 8]])
  np.testing.assert_array_equal(np.array(at)[:, 1, 0], 2)
  assert len({int(a[1, 1]) for a in at}) == 3
  np.testing.assert_array_equal(base.at_step(seeds[0], tf.constant(1)), [1, 7])


def test_instances_are_those_of_init():
  problem = problems.quadratic(3)
  seeds = base.make_seeds(1, count=4)
  params, tasks = base.instances(problem, tf.constant(seeds))
  assert params["theta"].shape == (4, 3) and tasks["w"].shape == (4, 3, 3)
  for b, seed in enumerate(seeds):
    one = problem.init(tf.constant(seed))
    for lifted, single in zip(tf.nest.flatten((params, tasks)), tf.nest.flatten(one), strict=True):
      np.testing.assert_array_equal(lifted[b], single)


@pytest.mark.parametrize("count", [1, 3])
def test_lift_applies_the_loss_to_each_instance(count):
  x = tf.constant(np.arange(2.0 * count).reshape(count, 2))
  shift = {"by": tf.constant(np.arange(1.0 * count))}
  lifted = base.lift(lambda p, s: tf.reduce_sum(p["x"] ** 2) + s["by"], {"x": x}, shift)
  np.testing.assert_allclose(lifted, (x.numpy() ** 2).sum(axis=1) + np.arange(count))


def test_a_lifted_loss_takes_precedence():
  problem = problems.bowl(2)._replace(lifted_loss=lambda params, tasks, seeds: seeds[:, 0] * 10)
  seeds = tf.constant([[1, 0], [2, 0]])
  params, tasks = base.instances(problem, seeds)
  np.testing.assert_array_equal(base.losses(problem, params, tasks, seeds), [10, 20])
