"""Tests of the coordinatewise LSTM: against a plain NumPy implementation, and its symmetries."""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf.optimizers import preprocessing
from tests.optimizers import lstm_test
from tests.optimizers import preprocessing_test


def make(**options):
  options = {"layer_sizes": (4, 3), "dtype": tf.float64, "seed": 5, **options}
  return optimizers.CoordinatewiseLSTM(**options)


def gradient_sequence(num_steps, shapes, seed=0):
  rng = np.random.default_rng(seed)
  return [
    {
      name: tf.constant(rng.normal(size=shape) * 10.0 ** rng.uniform(-6, 1, shape))
      for name, shape in shapes.items()
    }
    for _ in range(num_steps)
  ]


def run(optimizer, sequence):
  """Returns the updates of every step, started at the initial state."""
  state = optimizer.initial_state(sequence[0])
  results = []
  for gradients in sequence:
    updates, state = optimizer(gradients, state)
    results.append(updates)
  return results


def numpy_run(optimizer, sequence):
  """One coordinate a row; `sequence` holds flat gradients `[rows]`; returns flat updates."""
  layers = [(layer.w_gates.numpy(), layer.b_gates.numpy()) for layer in optimizer.layers]
  w, b = optimizer.linear.w.numpy(), optimizer.linear.b.numpy()
  rows = len(sequence[0])
  states = [(np.zeros((rows, len(b) // 4)), np.zeros((rows, len(b) // 4))) for _, b in layers]
  results = []
  for g in sequence:
    x = preprocessing_test.appendix_a(g, optimizer.preprocessing.p).T
    for k, (w_gates, b_gates) in enumerate(layers):
      states[k] = lstm_test.numpy_cell(x, *states[k], w_gates, b_gates)
      x = states[k][0]
    results.append(optimizer.output_scale * (x @ w + b)[:, 0])
  return results


def test_updates_equal_numpy():
  optimizer = make(output_scale=0.3)
  rng = np.random.default_rng(4)
  for variable in optimizer.trainable_variables:  # the biases too
    variable.assign(rng.normal(size=variable.shape))
  sequence = gradient_sequence(20, {"a/w": (2, 3, 2), "a/b": (2, 2)})
  flat = [np.concatenate([g["a/w"].numpy().ravel(), g["a/b"].numpy().ravel()]) for g in sequence]
  for updates, expected in zip(run(optimizer, sequence), numpy_run(optimizer, flat), strict=True):
    np.testing.assert_allclose(updates["a/w"], expected[:12].reshape(2, 3, 2), rtol=0, atol=1e-10)
    np.testing.assert_allclose(updates["a/b"], expected[12:].reshape(2, 2), rtol=0, atol=1e-10)


def test_a_permutation_of_the_coordinates_permutes_the_updates():
  optimizer = make()
  sequence = gradient_sequence(10, {"theta": (1, 12)})
  order = np.random.default_rng(1).permutation(12)
  permuted = [{"theta": tf.gather(g["theta"], order, axis=1)} for g in sequence]
  for updates, others in zip(run(optimizer, sequence), run(optimizer, permuted), strict=True):
    expected = updates["theta"].numpy()[:, order]
    assert len(np.unique(expected)) == 12
    np.testing.assert_allclose(others["theta"], expected, rtol=0, atol=1e-14)


def test_several_parameters_equal_one_flat_one():
  optimizer = make()
  sequence = gradient_sequence(6, {"w": (2, 3, 2), "b": (2, 5), "scalar": (2,)})
  flat = [
    {"all": tf.concat([tf.reshape(x, [2, -1]) for x in gradients.values()], axis=1)}
    for gradients in sequence
  ]
  for updates, others in zip(run(optimizer, sequence), run(optimizer, flat), strict=True):
    assert list(updates) == ["w", "b", "scalar"]
    joined = tf.concat([tf.reshape(x, [2, -1]) for x in updates.values()], axis=1)
    np.testing.assert_allclose(others["all"], joined, rtol=0, atol=1e-14)


def test_instances_are_independent():
  optimizer = make()
  sequence = gradient_sequence(6, {"w": (3, 4), "b": (3, 2)})
  together = run(optimizer, sequence)
  for b in range(3):
    alone = run(optimizer, [{k: g[b : b + 1] for k, g in gs.items()} for gs in sequence])
    for updates, others in zip(together, alone, strict=True):
      for name in updates:
        np.testing.assert_allclose(others[name][0], updates[name][b], rtol=0, atol=1e-14)


def test_phi_is_what_the_paper_says():
  optimizer = optimizers.CoordinatewiseLSTM()
  prefix = optimizer.name + "/"
  assert {v.name.removeprefix(prefix): tuple(v.shape) for v in optimizer.trainable_variables} == {
    "lstm_1/w_gates:0": (22, 80),
    "lstm_1/b_gates:0": (80,),
    "lstm_2/w_gates:0": (40, 80),
    "lstm_2/b_gates:0": (80,),
    "linear/w:0": (20, 1),
    "linear/b:0": (1,),
  }


def test_the_seed_decides_phi():
  first, same, other = (make(seed=s).trainable_variables for s in (5, 5, 6))
  for a, b in zip(first, same, strict=True):
    np.testing.assert_array_equal(a, b)
  for name, a, b in ((a.name, a, b) for a, b in zip(first, other, strict=True)):
    assert ("/b" in name) == np.array_equal(a, b), name


def test_config_builds_the_same_optimizer():
  original = make(preprocessing=preprocessing.Rescale(2.0), output_scale=0.7)
  assert original.config() == {
    "kind": "lstm",
    "layer_sizes": [4, 3],
    "preprocessing": {"name": "rescale", "factor": 2.0},
    "output_scale": 0.7,
    "dtype": "float64",
  }


@pytest.mark.parametrize(
  "options, message",
  [
    ({"layer_sizes": ()}, r"layer_sizes must be .* 1..1024, got \(\)"),
    ({"layer_sizes": (20, 0)}, r"layer_sizes .* got \(20, 0\)"),
    ({"layer_sizes": (2000,)}, r"layer_sizes .* got \(2000,\)"),
    ({"layer_sizes": (True,)}, r"layer_sizes .* got \(True,\)"),
    ({"layer_sizes": (2.0,)}, r"layer_sizes .* got \(2.0,\)"),
    ({"output_scale": float("nan")}, "output_scale must be a number other than 0, got nan"),
    ({"output_scale": "1"}, "output_scale must be a number other than 0, got '1'"),
    ({"output_scale": 0.0}, "output_scale must be a number other than 0, got 0.0"),
  ],
)
def test_bad_arguments_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    make(**options)


@pytest.mark.parametrize(
  "kind", [optimizers.CoordinatewiseLSTM, optimizers.GlobalAveragingLSTM], ids=["lstm", "gac"]
)
def test_a_phi_for_each_instance_does_what_each_phi_does(kind):
  options = {"num_gacs": 1} if kind is optimizers.GlobalAveragingLSTM else {}
  every = [kind((4, 3), dtype=tf.float64, seed=seed, **options) for seed in (1, 2, 3)]
  rng = np.random.default_rng(4)
  for variable in (v for one in every for v in one.trainable_variables):  # the biases too
    variable.assign(rng.normal(size=variable.shape))
  phi = [tf.stack(values) for values in zip(*(one.trainable_variables for one in every))]
  sequence = gradient_sequence(5, {"w": (3, 2, 3), "b": (3, 2)})
  received = run(every[0].with_phi(phi), sequence)
  for b, one in enumerate(every):
    own = [{name: g[b : b + 1] for name, g in gradients.items()} for gradients in sequence]
    for updates, expected in zip(received, run(one, own)):
      for name, update in expected.items():
        np.testing.assert_allclose(updates[name][b], update[0], rtol=1e-12)
