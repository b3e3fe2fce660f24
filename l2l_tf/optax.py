"""The general rule for JAX by hand: a gradient transformation of optax."""

import functools
import os
from typing import Any

from l2l_tf import pretrained
from l2l_tf import surroundings
from l2l_tf.rule import ops as rule_ops
from l2l_tf.rule.formula import GeneralState
from l2l_tf.rule.parameters import RuleOnParameters
from l2l_tf.storage import phi_files

with surroundings.extra("jax"):
  import jax
  import jax.numpy as jnp
  import optax


def general(optimizer: str | os.PathLike = pretrained.GENERAL) -> optax.GradientTransformation:
  """Returns the general optimizer, without a learning rate or a number of steps.

    optimizer = l2l_tf.optax.general()
    state = optimizer.init(params)
    updates, state = optimizer.update(gradients, state, params)
    params = optax.apply_updates(params, updates)

  It takes the steps of `l2l_tf.LearnedOptimizer()`. A parameter is a leaf of the tree; all of them
  enter in one call. optax composes the rest: `optax.chain(optax.clip_by_global_norm(1.0),
  general())`, `optax.scale` behind it, `optax.masked` to freeze.

  `update` raises a ValueError for gradients or a state of other parameters.

  Args:
    optimizer: a general rule: a directory (runs/NAME/best), or one of `l2l_tf.pretrained.list()`.

  Raises:
    ValueError: for an unknown name.
    CheckpointError: if the directory holds no general rule, or a damaged one.
  """
  trained = phi_files.read(pretrained.find(optimizer))
  phi = phi_files.rule(trained.config, trained.weights, trained.source)
  ops = rule_ops.of("jax")

  @functools.cache
  def rule(shapes: tuple[tuple[int, ...], ...]) -> RuleOnParameters:
    return RuleOnParameters(ops, phi, shapes)

  def init(params: Any) -> GeneralState:
    leaves = _leaves(params, "parameters")
    return rule(tuple(x.shape for x in leaves)).initial_state(jnp.zeros)

  def update(updates: Any, state: GeneralState, params: Any = None) -> tuple[Any, GeneralState]:
    if params is None:
      raise ValueError(
        "l2l_tf.optax.general() needs the parameters: update(gradients, state, params)."
      )
    gradients, tree = jax.tree.flatten(updates)
    leaves = _leaves(params, "parameters")
    own = tuple(x.shape for x in leaves)
    on_all = rule(own)
    given = _leaves(gradients, "gradients")
    if (shapes := [x.shape for x in given]) != [*own]:
      raise ValueError(
        "l2l_tf.optax.general() takes a gradient for each parameter, of its shape: of parameters of"
        f" shapes {[*own]} it got gradients of shapes {shapes}."
      )
    expected = [x.shape for x in on_all.initial_state(jax.ShapeDtypeStruct).leaves()]
    is_own = isinstance(state, GeneralState)
    received = [x.shape for x in state.leaves()] if is_own else type(state).__name__
    if received != expected:
      raise ValueError(
        "The state is not of these parameters, or not of l2l_tf.optax.general(): it should have"
        f" shapes {expected}, got {received}. `init(params)` makes one."
      )
    found, state = on_all.step(given, leaves, state)
    found = [u.astype(g.dtype) for u, g in zip(found, gradients)]
    return jax.tree.unflatten(tree, found), state

  return optax.GradientTransformation(init, update)


def _leaves(tree: Any, what: str) -> list[Any]:
  """The arrays of a tree.

  Raises:
    ValueError: for one that is not of a float type.
  """
  leaves = [jnp.asarray(x) for x in jax.tree.leaves(tree)]
  for x in leaves:
    if not jnp.issubdtype(x.dtype, jnp.floating):
      raise ValueError(f"l2l_tf.optax.general() takes {what} of float types, got one of {x.dtype}.")
  return leaves
