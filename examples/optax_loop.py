"""The general optimizer in a loop of your own, in JAX with optax: python examples/optax_loop.py

A small network that tells two spirals apart, by the general optimizer and by Adam at 0.001, from
the same theta_0. It needs neither Keras nor TensorFlow.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import l2l_tf.optax


def spirals(count: int = 1024) -> tuple[np.ndarray, np.ndarray]:
  """Points of two spirals, `[count, 2]`, and whose they are."""
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 2, count)
  angle = rng.uniform(0.5, 6, count)
  turned = angle + np.pi * labels
  points = angle[:, np.newaxis] * np.stack([np.cos(turned), np.sin(turned)], 1) / 3
  return (points + rng.normal(scale=0.05, size=points.shape)).astype(np.float32), labels


def theta_0() -> list[dict[str, np.ndarray]]:
  """The parameters of three layers."""
  rng = np.random.default_rng(0)
  return [
    {"w": rng.normal(size=(m, n), scale=m**-0.5).astype(np.float32), "b": np.zeros(n, np.float32)}
    for m, n in [(2, 32), (32, 32), (32, 2)]
  ]


def loss_of(layers, points, labels):
  """The mean cross entropy."""
  for layer in layers[:-1]:
    points = jax.nn.relu(points @ layer["w"] + layer["b"])
  logits = points @ layers[-1]["w"] + layers[-1]["b"]
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def main() -> dict[str, float]:
  """Returns the loss over all points after 480 steps by optimizer."""
  points, labels = spirals()
  losses = {}
  for name, optimizer in {"learned": l2l_tf.optax.general(), "Adam": optax.adam(0.001)}.items():
    params = jax.tree.map(jnp.asarray, theta_0())
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, points, labels, optimizer=optimizer):
      gradients = jax.grad(loss_of)(params, points, labels)
      updates, state = optimizer.update(gradients, state, params)
      return optax.apply_updates(params, updates), state

    rng = np.random.default_rng(1)
    for _ in range(480):
      batch = rng.integers(0, len(points), 64)
      params, state = step(params, state, points[batch], labels[batch])
    losses[name] = float(loss_of(params, points, labels))
    print(f"{name:8} after 480 steps: loss {losses[name]:.3f}")
  return losses


if __name__ == "__main__":
  main()
