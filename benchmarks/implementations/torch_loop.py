"""A meta-step in PyTorch: a functional loop with `autograd.grad`, gradients detached.

The loss of each step is differentiated by that step's theta alone, so the window costs O(T).
"""

import numpy as np
import torch

from benchmarks.implementations import case as case_lib
from benchmarks.implementations import worker


class TorchLoop(worker.Contestant):
  """Coordinates are rows, `[n, features]`, as `torch.lstm_cell` has them."""

  def __init__(self, case):
    self._case = case
    self._theta = torch.cat([torch.tensor(value).reshape(-1) for value in case.theta.values()])
    self._shapes = [value.shape for value in case.theta.values()]
    self._images = torch.tensor(case.images)
    self._labels = torch.tensor(case.labels, dtype=torch.int64)
    self._cells = [self._cell(f"lstm_{i + 1}") for i in range(case.num_layers)]
    self._linear = [_leaf(case.phi["linear/w"].T), _leaf(case.phi["linear/b"])]
    leaves = [leaf for cell in self._cells for leaf in cell] + self._linear
    self._adam = torch.optim.Adam(leaves, lr=case.learning_rate)

  def _cell(self, name: str) -> list[torch.Tensor]:
    """The weights of inputs and of h, and the bias with the 1 of the forget gate."""
    gates, bias = self._case.phi[f"{name}/w_gates"], self._case.phi[f"{name}/b_gates"]
    units = len(bias) // 4
    inputs, hidden = np.split(gates.T, [len(gates) - units], axis=1)
    return [_leaf(inputs), _leaf(hidden), _leaf(bias + case_lib.forget_bias(units))]

  def _loss(self, theta: torch.Tensor, step: int) -> torch.Tensor:
    """f of the flat theta on the minibatch of `step`."""
    parts = theta.split([int(np.prod(shape)) for shape in self._shapes])
    values = [part.view(shape) for part, shape in zip(parts, self._shapes)]
    *hidden, (w, b) = zip(values[::2], values[1::2])
    x = self._images[step]
    for w_hidden, b_hidden in hidden:
      x = torch.sigmoid(torch.addmm(b_hidden, x, w_hidden))
    return torch.nn.functional.cross_entropy(torch.addmm(b, x, w), self._labels[step])

  def _preprocess(self, gradient: torch.Tensor) -> torch.Tensor:
    """Appendix A, `[n] -> [n, 2]`."""
    p = self._case.p
    log = gradient.abs().clamp_min(np.exp(-p)).log() / p
    return torch.stack([log, (gradient * np.exp(p)).clamp(-1, 1)], dim=1)

  def _losses(self) -> torch.Tensor:
    """The window: f(theta_1), ..., f(theta_T), `[T]`, differentiable in phi."""
    theta = self._theta.requires_grad_()
    (gradient,) = torch.autograd.grad(self._loss(theta, 0), theta)
    zeros = [theta.new_zeros(len(theta), hidden.shape[1]) for _, hidden, _ in self._cells]
    states, losses = [(zero, zero) for zero in zeros], []
    for step in range(1, self._case.num_steps + 1):
      x = self._preprocess(gradient)
      for i, (w, u, b) in enumerate(self._cells):
        states[i] = torch.lstm_cell(x, states[i], w, u, b)
        x = states[i][0]
      w, b = self._linear
      theta = theta + self._case.output_scale * torch.addmm(b, x, w.T)[:, 0]
      losses.append(self._loss(theta, step))
      (gradient,) = torch.autograd.grad(losses[-1], theta, retain_graph=True)
    return torch.stack(losses)

  def meta_step(self):
    self._adam.zero_grad()
    losses = self._losses()
    losses.sum().backward()
    self._adam.step()
    return losses.mean().item()

  def losses_and_gradients(self):
    self._adam.zero_grad()
    losses = self._losses()
    losses.sum().backward()
    return losses.detach().numpy(), self._named(lambda leaf: leaf.grad)

  def phi(self):
    values = self._named(lambda leaf: leaf.detach())
    for name in values:
      if name.endswith("b_gates"):
        values[name] = values[name] - case_lib.forget_bias(len(values[name]) // 4)
    return values

  def _named(self, get) -> dict[str, np.ndarray]:
    """What `get` returns for each leaf, in the case's names and layout."""
    named = {}
    for i, (inputs, hidden, bias) in enumerate(self._cells):
      gates = torch.cat([get(inputs), get(hidden)], dim=1).T
      named |= {f"lstm_{i + 1}/w_gates": gates.numpy(), f"lstm_{i + 1}/b_gates": get(bias).numpy()}
    w, b = self._linear
    return named | {"linear/w": get(w).T.numpy(), "linear/b": get(b).numpy()}


def _leaf(value: np.ndarray) -> torch.Tensor:
  return torch.tensor(np.ascontiguousarray(value), requires_grad=True)


if __name__ == "__main__":
  worker.serve(TorchLoop, packages=("torch", "numpy"))
