"""Tests of the memories of NTM-BFGS: against dense matrices, each other, and in compiled loops."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.optimizers import memory as memory_lib

B, N = 2, 5


def vectors(num_steps, heads, seed=0):
  """Random vectors `[num_steps, heads, B, N]`."""
  return np.random.default_rng(seed).normal(size=(num_steps, heads, B, N))


def written(memory, left, right):
  """The contents after writing the steps of `left` and `right`, `[steps, heads, B, N]`."""
  contents = memory.initial(B, N, tf.float64)
  for a, b in zip(left, right, strict=True):
    contents = memory.write(contents, tf.constant(a), tf.constant(b))
  return contents


def dense(left, right):
  """The identity plus the sum of outer products, `[B, N, N]`."""
  return np.eye(N) + np.einsum("thbi,thbj->bij", left, right)


MEMORIES = {
  "full": lambda heads: memory_lib.FullMemory(),
  "limited": lambda heads: memory_lib.LimitedMemory(history=8, num_heads=heads),
}


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_new_memory_reads_as_the_identity(kind):
  memory = MEMORIES[kind](3)
  r = vectors(1, 2)[0]
  contents = memory.initial(B, N, tf.float64)
  np.testing.assert_array_equal(memory.read(contents, tf.constant(r)), r)


@pytest.mark.parametrize("kind", MEMORIES)
@pytest.mark.parametrize("heads", [1, 3])
def test_reads_equal_dense_matrices(kind, heads):
  memory = MEMORIES[kind](heads)
  left, right, r = vectors(6, heads, 1), vectors(6, heads, 2), vectors(1, 2, 3)[0]
  result = memory.read(written(memory, left, right), tf.constant(r))
  expected = np.einsum("bij,hbj->hbi", dense(left, right), r)
  np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [8, 3])
def test_limited_with_enough_capacity_equals_full(steps):
  full, limited = (MEMORIES[kind](3) for kind in ("full", "limited"))
  left, right, r = vectors(steps, 3, 4), vectors(steps, 3, 5), tf.constant(vectors(1, 1, 6)[0])
  expected = full.read(written(full, left, right), r)
  result = limited.read(written(limited, left, right), r)
  np.testing.assert_allclose(result, expected, rtol=0, atol=1e-10)


def test_limited_is_bounded_and_drops_the_oldest_write():
  memory = memory_lib.LimitedMemory(history=4, num_heads=3)
  left, right, r = vectors(7, 3, 7), vectors(7, 3, 8), vectors(1, 1, 9)[0]
  first = memory.initial(B, N, tf.float64)
  for steps in range(1, 8):
    contents = written(memory, left[:steps], right[:steps])
    tf.nest.map_structure(lambda x, y: x.shape.assert_is_compatible_with(y.shape), contents, first)
    kept = slice(max(0, steps - 4), steps)
    expected = np.einsum("bij,hbj->hbi", dense(left[kept], right[kept]), r)
    np.testing.assert_allclose(memory.read(contents, tf.constant(r)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("kind", MEMORIES)
def test_a_compiled_loop_equals_eager_steps(kind, jit_compile):
  memory = MEMORIES[kind](2)
  left, right, r = vectors(11, 2, 1), vectors(11, 2, 2), tf.constant(vectors(1, 1, 3)[0])

  @tf.function(autograph=False, jit_compile=jit_compile)
  def loop(left, right):
    def body(t, contents):
      return t + 1, memory.write(contents, left[t], right[t])

    start = (tf.constant(0), memory.initial(B, N, tf.float64))
    _, contents = tf.while_loop(lambda t, _: t < 11, body, start, maximum_iterations=11)
    return memory.read(contents, r)

  expected = memory.read(written(memory, left, right), r)
  result = loop(tf.constant(left), tf.constant(right))
  np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
  "options, message",
  [
    ({"history": 0}, "history must be an integer of at least 1, got 0"),
    ({"history": 2.0}, r"history must be an integer of at least 1, got 2\.0"),
    ({"history": 3, "num_heads": 0}, "num_heads must be an integer of at least 1, got 0"),
  ],
)
def test_bad_sizes_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    memory_lib.LimitedMemory(**options)
