"""The general rule for PyTorch loops: a torch.optim.Optimizer."""

from collections.abc import Callable, Sequence
import os
import sys
from typing import Any

from l2l_tf import pretrained
from l2l_tf import surroundings
from l2l_tf.rule import ops as rule_ops
from l2l_tf.rule.formula import GeneralState
from l2l_tf.rule.parameters import RuleOnParameters
from l2l_tf.rule.partial import Partial
from l2l_tf.storage import phi_files

with surroundings.extra("torch"):
  import torch

RULE: Any = "rule"  # the key of its state in `state_dict()["state"]`: one for all parameters
# Of groups, by which others of torch.optim are known: learning rates of theirs are not for us.
OF_OTHERS = {"betas", "momentum", "eps", "rho", "etas", "lambd", "history_size"}


class General(torch.optim.Optimizer):
  """The general optimizer, without a learning rate or a number of steps.

    optimizer = l2l_tf.torch.General(model.parameters())

  It takes the steps of `l2l_tf.LearnedOptimizer()`. All parameters, of all groups, enter in one
  call; one without a gradient rests, and costs nothing until its first. `lr` of a group, 1, is a
  constant on its updates, which schedulers may change. They lie on one device, each whole.
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
      ValueError: for an unknown name, a negative number, or parameters that are no real floats
        (frozen ones of a module may be) or sharded.
      CheckpointError: if the directory holds no general rule, or a damaged one.
    """
    for name, value in (("lr", lr), ("weight_decay", weight_decay)):
      if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}.")
    trained = phi_files.read(pretrained.find(optimizer))
    phi = phi_files.rule(trained.config, trained.weights, trained.source)
    self._ops, self._phi = rule_ops.of("torch"), phi
    self._rule: tuple[tuple, RuleOnParameters] | None = None  # the last, and for which shapes
    super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

  def add_param_group(self, param_group: dict[str, Any]) -> None:
    """Adds parameters, which begin with their first gradient.

    Raises:
      ValueError: for parameters that are no real floats (frozen ones of a module may be), or lie in
        shards.
    """
    super().add_param_group(param_group)
    for p in self.param_groups[-1]["params"]:
      if why := _refused(p):
        self.param_groups.pop()
        raise ValueError(f"l2l_tf.torch.General takes {why}.")

  @torch.no_grad()
  def step(self, closure: Callable[[], Any] | None = None) -> Any:
    """Takes a step; returns what `closure`, which computes the loss anew, does."""
    loss = None
    if closure is not None:
      with torch.enable_grad():
        loss = closure()
    pairs = self._params()
    numbers = [k for k, (p, _) in enumerate(pairs) if p.grad is not None]
    if not numbers:
      return loss
    state = self._state_of(numbers)
    active = [pairs[k] for k in numbers]
    for p, group in active:
      if group["weight_decay"]:
        p.mul_(1 - group["lr"] * group["weight_decay"])
    known = [pairs[k][0] for k in self.state[RULE]["parameters"]]
    gradients = [None if p.grad is None else _dense(p.grad) for p in known]
    updates, state = self._rule_on(self.state[RULE]["parameters"]).step(gradients, known, state)
    self.state[RULE]["tensors"] = state.leaves()
    for (p, group), update in zip(active, updates):
      p.add_(update.to(p.dtype), alpha=group["lr"])
    return loss

  def load_state_dict(self, state_dict: dict[str, Any]) -> None:
    """As of any optimizer of PyTorch.

    Raises:
      ValueError: for the state of other parameters or of another optimizer; nothing is changed.
    """
    state, groups = state_dict.get("state", {}), state_dict.get("param_groups", [])
    foreign = OF_OTHERS.intersection(*groups) if groups else set()
    if foreign or (state and RULE not in state):
      keys = ", ".join(sorted(foreign) or [*map(str, state)][:3])
      raise ValueError(f"The state is not of l2l_tf.torch.General: it has {keys}.")
    if stored := state.get(RULE):
      pairs = self._params()
      numbers = [*stored.get("parameters", range(len(pairs)))]  # before it was kept, of all
      if numbers != [k for k in range(len(pairs)) if k in numbers]:
        raise ValueError(
          f"The state is not of these parameters: there are {len(pairs)}, it is of {numbers}."
        )
      start = self._rule_on(numbers).initial_state(_zeros_on("meta"))
      expected, received = ([x.shape for x in one] for one in (start.leaves(), stored["tensors"]))
      if received != expected:
        raise ValueError(
          "The state is not of these parameters: it should have shapes"
          f" {[*map(list, expected)]}, got {[*map(list, received)]}."
        )
    super().load_state_dict(state_dict)
    if stored:
      device = pairs[0][0].device
      tensors = [x.to(device) for x in self.state[RULE]["tensors"]]
      self.state[RULE] = {**self.state[RULE], "tensors": tensors}

  def _state_of(self, numbers: Sequence[int]) -> GeneralState:
    """The state of all parameters that have had a gradient, these among them."""
    pairs = self._params()
    stored = self.state.get(RULE, {"parameters": [], "tensors": []})
    known = stored["parameters"]
    if {*numbers} <= {*known}:
      return GeneralState.of(stored["tensors"])
    every = sorted({*known, *numbers})
    state = self._rule_on(every).initial_state(_zeros_on(pairs[numbers[0]][0].device))
    if known:
      part = Partial([pairs[k][0].shape for k in every], [k in known for k in every])
      state = part.merge(self._ops, state, GeneralState.of(stored["tensors"]))
    self.state[RULE] = {"parameters": every, "tensors": state.leaves()}
    return state

  def _rule_on(self, numbers: Sequence[int]) -> RuleOnParameters:
    """The rule on some of all parameters."""
    pairs = self._params()
    shapes = tuple(tuple(pairs[k][0].shape) for k in numbers)
    if self._rule is None or self._rule[0] != shapes:
      self._rule = shapes, RuleOnParameters(self._ops, self._phi, shapes)
    return self._rule[1]

  def __getstate__(self) -> dict[str, Any]:
    return {**super().__getstate__(), "_phi": self._phi}

  def __setstate__(self, state: dict[str, Any]) -> None:
    super().__setstate__(state)
    self._ops, self._rule = rule_ops.of("torch"), None
    if RULE in self.state:
      self.state[RULE] = {"parameters": [*range(len(self._params()))], **self.state[RULE]}

  def _params(self) -> list[tuple[torch.Tensor, dict[str, Any]]]:
    """All parameters, each with its group."""
    return [(p, group) for group in self.param_groups for p in group["params"]]


def _zeros_on(device: Any) -> Callable[[Any, str], torch.Tensor]:
  return lambda shape, dtype: torch.zeros(shape, dtype=getattr(torch, dtype), device=device)


def _refused(p: torch.Tensor) -> str | None:
  """What it takes instead of this parameter, if it does not take it."""
  sharded = sys.modules.get("torch.distributed.tensor")  # there if anything is
  if sharded and isinstance(p, sharded.DTensor):
    return "parameters that are whole on each device, not sharded ones (DTensor)"
  frozen = isinstance(p, torch.nn.Parameter) and not p.requires_grad
  return None if frozen or p.is_floating_point() else f"parameters of float types, got {p.dtype}"


def _dense(x: torch.Tensor) -> torch.Tensor:
  return x.to_dense() if x.layout != torch.strided else x
