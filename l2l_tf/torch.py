"""The general rule for PyTorch loops: a torch.optim.Optimizer."""

from collections.abc import Callable
import os
from typing import Any

from l2l_tf import pretrained
from l2l_tf import surroundings
from l2l_tf.rule import ops as rule_ops
from l2l_tf.rule.formula import GeneralState
from l2l_tf.rule.parameters import RuleOnParameters
from l2l_tf.storage import phi_files

with surroundings.extra("torch"):
  import torch

RULE: Any = "rule"  # the key of its state in `state_dict()["state"]`: one for all parameters


class General(torch.optim.Optimizer):
  """The general optimizer, without a learning rate or a number of steps.

    optimizer = l2l_tf.torch.General(model.parameters())

  It takes the steps of `l2l_tf.LearnedOptimizer()`. All parameters, of all groups, enter in one
  call; one without a gradient rests. `lr` of a group, 1, is a constant on its updates, which
  schedulers may change. They lie on one device.
  """

  def __init__(
    self,
    params: Any,
    optimizer: str | os.PathLike = pretrained.GENERAL,
    *,
    lr: float = 1.0,
    weight_decay: float = 0.0,
  ):
    """Loads phi.

    Args:
      params: as of any optimizer of PyTorch: parameters, or groups of them with their own `lr` and
        `weight_decay`.
      optimizer: a general rule: a directory (runs/NAME/best), or one of `l2l_tf.pretrained.list()`.
      lr: constant on the updates; 1 is what the rule was trained with.
      weight_decay: decoupled: lr * weight_decay of a parameter is taken from it at each step.

    Raises:
      ValueError: for an unknown name, a negative number, or parameters that are no real floats.
      CheckpointError: if the directory holds no general rule, or a damaged one.
    """
    for name, value in (("lr", lr), ("weight_decay", weight_decay)):
      if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}.")
    trained = phi_files.read(pretrained.find(optimizer))
    phi = phi_files.rule(trained.config, trained.weights, trained.source)
    self._ops, self._phi = rule_ops.of("torch"), phi
    super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

  def add_param_group(self, param_group: dict[str, Any]) -> None:
    """Adds parameters, before the first step.

    Raises:
      ValueError: after it, as the state is one for all; or for parameters that are no real floats.
    """
    if self.state:
      raise ValueError("l2l_tf.torch.General takes parameter groups before its first step only.")
    super().add_param_group(param_group)
    for p in self.param_groups[-1]["params"]:
      if not p.is_floating_point():
        self.param_groups.pop()
        raise ValueError(f"l2l_tf.torch.General takes parameters of float types, got {p.dtype}.")
    self._rule = RuleOnParameters(self._ops, self._phi, [p.shape for p, _ in self._params()])

  @torch.no_grad()
  def step(self, closure: Callable[[], Any] | None = None) -> Any:
    """Takes a step; returns what `closure`, which computes the loss anew, does."""
    loss = None
    if closure is not None:
      with torch.enable_grad():
        loss = closure()
    pairs = self._params()
    active = [(p, group) for p, group in pairs if p.grad is not None]
    if not active:
      return loss
    if RULE not in self.state:
      device = active[0][0].device
      start = self._rule.initial_state(
        lambda shape, dtype: torch.zeros(shape, dtype=getattr(torch, dtype), device=device)
      )
      self.state[RULE] = {"tensors": start.leaves()}
    gradients = [None if p.grad is None else _dense(p.grad) for p, _ in pairs]
    for p, group in active:
      if group["weight_decay"]:
        p.mul_(1 - group["lr"] * group["weight_decay"])
    state = GeneralState.of(self.state[RULE]["tensors"])
    updates, state = self._rule.step(gradients, [p for p, _ in pairs], state)
    self.state[RULE]["tensors"] = state.leaves()
    for (p, group), update in zip(active, updates):
      p.add_(update.to(p.dtype), alpha=group["lr"])
    return loss

  def load_state_dict(self, state_dict: dict[str, Any]) -> None:
    """As of any optimizer of PyTorch.

    Raises:
      ValueError: for the state of other parameters; nothing is changed.
    """
    stored = state_dict.get("state", {}).get(RULE)
    expected = [x.shape for x in self._rule.initial_state(_without_memory).leaves()]
    received = [x.shape for x in stored["tensors"]] if stored else expected
    if received != expected:
      raise ValueError(
        f"The state is not of these parameters: it should have shapes {[*map(list, expected)]}, got"
        f" {[*map(list, received)]}."
      )
    super().load_state_dict(state_dict)
    if stored:
      device = self._params()[0][0].device
      self.state[RULE] = {"tensors": [x.to(device) for x in self.state[RULE]["tensors"]]}

  def __getstate__(self) -> dict[str, Any]:
    return {**super().__getstate__(), "_phi": self._phi}

  def __setstate__(self, state: dict[str, Any]) -> None:
    super().__setstate__(state)
    self._ops = rule_ops.of("torch")
    self._rule = RuleOnParameters(self._ops, self._phi, [p.shape for p, _ in self._params()])

  def _params(self) -> list[tuple[torch.Tensor, dict[str, Any]]]:
    """All parameters, each with its group."""
    return [(p, group) for group in self.param_groups for p in group["params"]]


def _without_memory(shape: Any, dtype: str) -> torch.Tensor:
  return torch.zeros(shape, dtype=getattr(torch, dtype), device="meta")


def _dense(x: torch.Tensor) -> torch.Tensor:
  return x.to_dense() if x.layout != torch.strided else x
