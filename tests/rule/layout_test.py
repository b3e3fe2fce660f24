"""Sums and spreads over parameters of many sizes are those of a loop over them."""

import numpy as np
import pytest

from l2l_tf.rule import layout as layouts
from l2l_tf.rule import ops as rule_ops
from l2l_tf.rule.layout import Layout
from l2l_tf.rule.parameters import RuleOnParameters
from l2l_tf.rule.partial import Partial
from l2l_tf.rule.phi import Phi

OPS = rule_ops.of("tensorflow")
CASES = {
  "one": [(5,)],
  "of one size, apart": [(2, 3), (4,), (6,), (), (0, 7), (3, 2)],
  "of one size, together": [(4,), (4,), (2, 2), (3,)],
  "many": [(3, 2), (2,)] * 20,
  "large": [(4,), (200, 100), (3,), (3,), (200, 100), (2,), (130, 140)],
}


def of_each(x: np.ndarray, layout: Layout) -> list[np.ndarray]:
  return np.split(x, np.cumsum(layout.sizes)[:-1], axis=-1)


@pytest.fixture(name="layout", params=CASES.values(), ids=CASES)
def _layout(request):
  return Layout(request.param)


@pytest.fixture(name="most_apart", params=[0, 8], autouse=True)
def _most_apart(request, monkeypatch):
  monkeypatch.setattr(layouts, "MOST_APART", request.param)
  return request.param


def test_parts_are_the_small_and_each_large(most_apart):
  layout = Layout(CASES["large"])
  apart = [[0, 2, 3, 5], [6], [1], [4]] if most_apart else [[0, 2, 3, 5], [6], [1, 4]]
  assert [part.numbers for part in layout.parts] == apart
  assert [part.count for part in layout.parts] == [1, 1, 1, 1] if most_apart else [1, 1, 2]
  assert layout.in_one_call == bool(most_apart)


def test_what_is_cut_is_joined_again(layout):
  x = np.random.default_rng(0).normal(size=(3, layout.n)).astype(np.float32)
  pieces = layout.cut(OPS, x)
  for part, piece in zip(layout.parts, pieces):
    own = [of_each(x, layout)[k] for k in part.numbers]
    expected = np.stack(own, 1) if part.count > 1 else np.concatenate(own, 1)
    np.testing.assert_array_equal(piece, np.reshape(expected, [3 * part.count, -1]))
  np.testing.assert_array_equal(layout.joined(OPS, pieces), x)
  tensors = layout.tensors(OPS, pieces)
  assert [tuple(tensor.shape[1:]) for tensor in tensors] == layout.all_shapes
  found = np.concatenate([np.reshape(tensor, [3, -1]) for tensor in tensors], 1)
  np.testing.assert_array_equal(found, x)
  rows = layout.rows(OPS, tensors)
  for part, piece in zip(layout.parts, pieces):
    np.testing.assert_array_equal(part.of_rows(OPS, rows), piece)
    sample = part.sample(piece)
    np.testing.assert_array_equal(part.of_sampled_rows(OPS, rows), sample)
    np.testing.assert_array_equal(part.of_sampled(OPS, x), sample)


def test_means_and_spreads(layout):
  x = np.random.default_rng(0).normal(size=(3, layout.n)).astype(np.float32)
  pieces = layout.cut(OPS, x)
  in_order = lambda values: layout.in_order(OPS, values)  # noqa: E731
  means = in_order([part.means(OPS, piece) for part, piece in zip(layout.parts, pieces)])
  expected = [one.mean(-1) for one in of_each(x, layout)]
  np.testing.assert_allclose(means, np.stack(expected, 1), rtol=1e-4, atol=1e-6)
  rms = in_order([part.rms(OPS, piece) for part, piece in zip(layout.parts, pieces)])
  expected = [np.sqrt((one**2).mean(-1)) for one in of_each(x, layout)]
  np.testing.assert_allclose(rms, np.stack(expected, 1), rtol=1e-4)
  own = [part.spread(OPS, part.of_each(OPS, means)) for part in layout.parts]
  spread = layout.joined(OPS, [np.broadcast_to(one, y.shape) for one, y in zip(own, pieces)])
  np.testing.assert_array_equal(spread, np.repeat(means, layout.sizes, axis=1))


def test_products_are_of_the_sample(layout):
  rows = np.random.default_rng(0).normal(size=(2, 3, layout.n)).astype(np.float32)
  found = []
  for part in layout.parts:
    sampled = [part.sample(part.of(OPS, rows[:, k])) for k in range(3)]
    found.append(part.products(OPS, np.stack(sampled, 1)))
  products = layout.in_order(OPS, found)
  for k, one in enumerate(of_each(rows, layout)):
    step = layouts._step(layout.sizes[k])
    one = one[..., ::step]
    expected = np.einsum("bin,bjn->bij", one, one) / one.shape[-1]
    np.testing.assert_allclose(products[:, k], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("active", [(1, 0, 1, 0, 1), (0, 1, 0, 0, 1), (0, 0, 0, 1, 0)])
def test_what_rests_keeps_its_state(active):
  shapes = [(2, 3), (4,), (0, 7), (), (2,)]
  rng, n = np.random.default_rng(1), 13
  rule = RuleOnParameters(OPS, Phi([]), shapes)
  state = rule.initial_state(lambda shape, _: rng.normal(size=shape).astype(np.float32))
  partial = Partial(shapes, active)
  own = partial.select(OPS, state)
  on_n = np.repeat(active, [6, 4, 0, 1, 2]).astype(bool)
  on_parameters = np.array(active, bool)[[0, 1, 3, 4]]
  np.testing.assert_array_equal(own.v, state.v[:, on_n])
  np.testing.assert_array_equal(own.statistics, state.statistics[:, on_parameters])
  changed = type(own).of([x + 1 for x in own.leaves()])
  merged = partial.merge(OPS, state, changed)
  assert merged.v.shape == (1, n) and float(merged.t) == float(changed.t)
  np.testing.assert_array_equal(merged.v, state.v + on_n)
  np.testing.assert_array_equal(merged.averages[1], state.averages[1] + on_n)
  np.testing.assert_array_equal(merged.memory, state.memory + on_parameters)
