"""The general optimizer in a loop of your own, in PyTorch: python examples/torch_loop.py

A small network that tells two spirals apart, by the general optimizer and by Adam at 0.001, from
the same theta_0. It needs neither Keras nor TensorFlow.
"""

import numpy as np
import torch

import l2l_tf.torch


def spirals(count: int = 1024) -> tuple[torch.Tensor, torch.Tensor]:
  """Points of two spirals, `[count, 2]`, and whose they are."""
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 2, count)
  angle = rng.uniform(0.5, 6, count)
  turned = angle + np.pi * labels
  points = angle[:, np.newaxis] * np.stack([np.cos(turned), np.sin(turned)], 1) / 3
  points += rng.normal(scale=0.05, size=points.shape)
  return torch.tensor(points, dtype=torch.float32), torch.tensor(labels)


def main() -> dict[str, float]:
  """Returns the loss over all points after 480 steps by optimizer."""
  points, labels = spirals()
  cross_entropy, losses = torch.nn.CrossEntropyLoss(), {}
  for name, make in {"learned": l2l_tf.torch.General, "Adam": torch.optim.Adam}.items():
    torch.manual_seed(0)
    hidden = [torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU()]
    model = torch.nn.Sequential(*hidden, torch.nn.Linear(32, 2))
    optimizer = make(model.parameters())
    for _ in range(480):
      batch = torch.randint(len(points), (64,))
      optimizer.zero_grad()
      cross_entropy(model(points[batch]), labels[batch]).backward()
      optimizer.step()
    losses[name] = cross_entropy(model(points), labels).item()
    print(f"{name:8} after 480 steps: loss {losses[name]:.3f}")
  return losses


if __name__ == "__main__":
  main()
