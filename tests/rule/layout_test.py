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


def parts(x: np.ndarray, layout: Layout) -> list[np.ndarray]:
  return np.split(x, np.cumsum(layout.sizes)[:-1], axis=-1)


@pytest.mark.parametrize("shapes", CASES.values(), ids=CASES)
def test_means_and_spreads(shapes):
  layout, rng = Layout(shapes), np.random.default_rng(0)
  x = rng.normal(size=(3, layout.n)).astype(np.float32)
  means = layout.means(OPS, x)
  expected = [part.mean(-1) for part in parts(x, layout)]
  np.testing.assert_allclose(means, np.stack(expected, 1), rtol=1e-4, atol=1e-6)
  rms = [np.sqrt((part**2).mean(-1)) for part in parts(x, layout)]
  np.testing.assert_allclose(layout.rms(OPS, x), np.stack(rms, 1), rtol=1e-4)
  spread = np.broadcast_to(layout.spread(OPS, means), x.shape)
  np.testing.assert_array_equal(spread, np.repeat(means, layout.sizes, axis=1))


@pytest.mark.parametrize("shapes", CASES.values(), ids=CASES)
def test_products_are_of_the_sample(shapes):
  layout, rng = Layout(shapes), np.random.default_rng(0)
  rows = rng.normal(size=(2, 3, layout.n)).astype(np.float32)
  sampled = np.stack([layout.sample(OPS, rows[:, k]) for k in range(3)], 1)
  products = layout.products(OPS, sampled)
  for k, part in enumerate(parts(rows, layout)):
    step = layouts._step(layout.sizes[k])
    part = part[..., ::step]
    expected = np.einsum("bin,bjn->bij", part, part) / part.shape[-1]
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
