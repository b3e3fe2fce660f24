"""The general optimizer in `fit` on JAX: python examples/fit_on_jax.py

A small network that tells two spirals apart, by the general optimizer and by Adam at Keras's
default rate, from the same theta_0. With KERAS_BACKEND=torch the same lines run on PyTorch.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # before Keras is imported

import keras
import numpy as np

import l2l_tf


def spirals(count: int = 1024) -> tuple[np.ndarray, np.ndarray]:
  """Points of two spirals, `[count, 2]`, and whose they are."""
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 2, count)
  angle = rng.uniform(0.5, 6, count)
  turned = angle + np.pi * labels
  points = angle[:, np.newaxis] * np.stack([np.cos(turned), np.sin(turned)], 1) / 3
  return (points + rng.normal(scale=0.05, size=points.shape)).astype(np.float32), labels


def main() -> dict[str, float]:
  """Returns the training loss of the last epoch by optimizer."""
  points, labels = spirals()
  losses = {}
  for name, optimizer in {"learned": l2l_tf.LearnedOptimizer(), "Adam": "adam"}.items():
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(32, "relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((2,)), *hidden, keras.layers.Dense(2)])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses[name] = model.fit(points, labels, batch_size=64, epochs=30, verbose=0).history["loss"][
      -1
    ]
    print(f"{name:8} on {keras.config.backend()}, last epoch: loss {losses[name]:.3f}")
  return losses


if __name__ == "__main__":
  main()
