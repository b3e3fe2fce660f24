"""What the formula needs of a framework, by the names that keras.ops has for it.

keras.ops itself would do, for the backend that Keras runs on: tests/rule holds the formula to it.
These need no Keras, which has one backend a process, and call the framework at once, which counts
in eager PyTorch. Some are our own: `constant(fixed, like)`, of the type and on the device of
`like`, and `take(x, fixed, axis)`; `gram(x)`, the products of the rows of `[..., K, n]`;
`in_one_loop`, which lets a compiler make one loop of a function of element-wise operations;
`in_one_call`, which lets it make one operation of many small ones; `made(x)`, which keeps it from
making x anew in each of its loops; and, of a whole step, `compiled(function, in_one_call)`.
"""

from collections.abc import Callable
import functools
import types
from typing import Any
import weakref

import numpy as np


class Namespace(types.SimpleNamespace):
  """Operations by name. There is one of each framework, so that it may be a key."""

  __eq__ = object.__eq__
  __hash__ = object.__hash__  # type: ignore[assignment]


class Fixed:
  """Numbers that never change, in NumPy: PyTorch keeps them as tensors as long as this lives."""

  def __init__(self, array: np.ndarray):
    self.array = array


BLOCK = 2**16  # numbers, of which a dozen vectors fit into a core's cache


def of(framework: str) -> Namespace:
  """The operations of "tensorflow", "jax" or "torch", which this imports."""
  return {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[framework]()


@functools.cache
def _tensorflow() -> Namespace:
  import tensorflow as tf

  def in_one_call(function: Callable[..., Any]) -> Callable[..., Any]:
    return tf.function(function, autograph=False, jit_compile=True)

  return Namespace(
    abs=tf.abs,
    all=tf.reduce_all,
    broadcast_to=tf.broadcast_to,
    cast=tf.cast,
    clip=tf.clip_by_value,
    compiled=lambda function, in_one_call: tf.function(
      function, autograph=False, jit_compile=in_one_call or None
    ),
    concatenate=tf.concat,
    cond=tf.cond,
    constant=lambda fixed, like: tf.constant(fixed.array, like.dtype),
    exp=tf.exp,
    gram=lambda x: tf.matmul(x, x, transpose_b=True),
    in_one_call=in_one_call,
    in_one_loop=in_one_call,
    isfinite=tf.math.is_finite,
    log=tf.math.log,
    made=lambda x: x,
    max=tf.reduce_max,
    maximum=tf.maximum,
    mean=tf.reduce_mean,
    ones_like=tf.ones_like,
    reshape=tf.reshape,
    rsqrt=tf.math.rsqrt,
    softmax=tf.nn.softmax,
    sqrt=tf.sqrt,
    stack=tf.stack,
    sum=tf.reduce_sum,
    swapaxes=lambda x, first, second: tf.transpose(x, _swapped(len(x.shape), first, second)),
    take=lambda x, fixed, axis: tf.gather(x, fixed.array, axis=axis),
    tanh=tf.tanh,
    where=tf.where,
    zeros_like=tf.zeros_like,
  )


@functools.cache
def _jax() -> Namespace:
  import jax
  import jax.numpy as jnp

  return Namespace(
    **{name: getattr(jnp, name) for name in _SAME},
    cast=lambda x, dtype: x.astype(dtype),
    compiled=lambda function, in_one_call: jax.jit(function),
    cond=jax.lax.cond,
    constant=lambda fixed, like: jnp.asarray(fixed.array, like.dtype),
    gram=lambda x: x @ x.swapaxes(-1, -2),
    in_one_call=lambda function: function,
    in_one_loop=lambda function: function,
    made=jax.lax.optimization_barrier,
    rsqrt=jax.lax.rsqrt,
    softmax=jax.nn.softmax,
    take=lambda x, fixed, axis: jnp.take(x, fixed.array, axis, mode="clip"),
  )


@functools.cache
def _torch() -> Namespace:
  import torch

  kept: Any = weakref.WeakKeyDictionary()

  def constant(fixed: Fixed, like: Any, dtype: Any = None) -> Any:
    tensors = kept.setdefault(fixed, {})
    key = (dtype or like.dtype, like.device)
    if key not in tensors:
      tensors[key] = torch.as_tensor(fixed.array, dtype=key[0], device=key[1])
    return tensors[key]

  def in_one_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """On a CPU, block after block: what lies between the operations stays in the cache."""

    def run(x: Any, *more: Any) -> Any:
      n = x.shape[1]
      if x.device.type != "cpu":
        return function(x, *more)
      whole: Any = None
      for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        part = _each(lambda y, a=start, b=stop: y[:, a:b] if y.shape[1] == n else y, (x, *more))
        found = function(*part)
        if whole is None:
          whole = _each(lambda y: torch.empty([y.shape[0], n], dtype=y.dtype), found)
        _each(lambda y, z, a=start, b=stop: z[:, a:b].copy_(y), found, whole)
      return whole

    return run

  same = set(_SAME) - {"concatenate", "max"}
  return Namespace(
    **{name: getattr(torch, name) for name in same},
    cast=lambda x, dtype: x.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype),
    compiled=lambda function, in_one_call: function,
    concatenate=torch.cat,
    cond=lambda condition, yes, no: yes() if condition else no(),
    constant=constant,
    gram=lambda x: x @ x.mT,
    in_one_call=lambda function: function,
    in_one_loop=in_one_loop,
    made=lambda x: x,
    max=torch.amax,
    rsqrt=torch.rsqrt,
    softmax=lambda x: torch.softmax(x, -1),
    take=lambda x, fixed, axis: torch.index_select(x, axis, constant(fixed, x, torch.int64)),
  )


_SAME = (  # in jax.numpy and torch
  *("abs", "all", "broadcast_to", "clip", "concatenate", "exp", "isfinite", "log", "max", "mean"),
  *("maximum", "ones_like", "reshape", "sqrt", "stack", "sum", "swapaxes", "tanh", "where"),
  "zeros_like",
)


def _swapped(rank: int, first: int, second: int) -> list[int]:
  axes = list(range(rank))
  axes[first], axes[second] = axes[second], axes[first]
  return axes


def _each(function: Callable[..., Any], *nests: Any) -> Any:
  """Applies it to the tensors of tuples and lists, or to one tensor."""
  if not isinstance(nests[0], tuple | list):
    return function(*nests)
  return tuple(_each(function, *parts) for parts in zip(*nests))
