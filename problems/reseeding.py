"""Functions of others with their random numbers drawn from a seed.

Sonnet's initializers and its dropout draw with stateful operations, Keras's initializers with a
seed fixed at their making: neither is a function of a seed. But their graphs are, once the few
operations in them that make random numbers are replaced.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from l2l_tf.problems import base
from l2l_tf.problems import purity

_KEYED = "StatelessRandomGetKeyCounter"  # what turns a seed into a generator's key and counter


def _integers(operation: tf.Operation, seed: base.Seed) -> tf.Tensor:
  low, high = (tf.get_static_value(x) for x in operation.inputs[1:])
  output = operation.outputs[0]
  return tf.random.stateless_uniform(output.shape, seed, low, high, output.dtype)


def _with(draw: Callable[..., tf.Tensor]) -> Callable[[tf.Operation, base.Seed], tf.Tensor]:
  return lambda op, seed: draw(op.outputs[0].shape, seed, dtype=op.outputs[0].dtype)


_DRAWN = {  # stateful operations and what draws the same distribution
  "RandomStandardNormal": _with(tf.random.stateless_normal),
  "RandomUniform": _with(tf.random.stateless_uniform),
  "RandomUniformInt": _integers,
  "TruncatedNormal": _with(tf.random.stateless_truncated_normal),
  # The counter and the key of a `tf.random.Generator`.
  "RngReadAndSkip": lambda op, seed: tf.random.stateless_uniform([3], seed, None, None, tf.int64),
}


def redraw(
  sample: Callable[..., Any], *specs: Any, keyed: bool = True, what: str = "an initializer"
) -> Callable[..., Any]:
  """Returns `draw(seed, *args)`: `sample(*args)`, with all random numbers drawn from `seed`.

  `sample` is traced. Each operation in it that makes random numbers gets a seed of its own,
  split from `seed`; distributions and all that is computed from the numbers stay as they are.

  Args:
    sample: returns a nest of tensors.
    *specs: nests of `tf.TensorSpec`s, those of its arguments.
    keyed: also replace the numbers that `sample` itself draws from seeds of its own.
    what: what it is, for messages.

  Raises:
    ValueError: if it draws in a way that cannot be replaced, or Python draws the numbers.
  """
  flat = tf.nest.flatten(specs)

  def with_leaves(*leaves: Any) -> Any:
    return sample(*tf.nest.pack_sequence_as(specs, leaves))

  function, again = (purity.trace(what, with_leaves, *flat) for _ in range(2))
  types = {*_DRAWN, *([_KEYED] if keyed else ())}
  definition = function.graph.as_graph_def()
  used = purity.ancestors(function, types)
  random = [op for op in function.graph.get_operations() if op.type in types and op.name in used]
  left = {op.type for op in random if not _replaceable(op)}
  own, inner = purity.kinds(function, used)
  left |= inner & types | (own | inner) & purity.RANDOM - types
  if left:
    raise ValueError(
      f"Random numbers of {what} cannot be drawn from a seed: {', '.join(sorted(left))} has"
      " no replacement here, or is inside a `tf.function`."
    )
  purity.check_same(what, function, again, types)
  kept = used - {op.name for op in random}
  nodes = [node for node in definition.node if node.name in kept]
  for node in nodes:  # what is replaced is not waited for
    inputs = [name for name in node.input if name[0] != "^" or name[1:] in kept]
    del node.input[:]
    node.input.extend(inputs)
  del definition.node[:]
  definition.node.extend(nodes)

  @tf.function(autograph=False)
  def draw(seed: base.Seed, *args: Any) -> Any:
    given = [*tf.nest.flatten(args), *map(tf.identity, function.captured_inputs)]
    replaced = {x.name: y for x, y in zip(function.inputs, given) if x.op.name in used}
    for op, own in zip(random, tf.unstack(tf.random.split(seed, max(len(random), 1)))):
      if op.type == _KEYED:
        outputs = tf.raw_ops.StatelessRandomGetKeyCounter(seed=own)
      else:
        outputs = [_DRAWN[op.type](op, own)]
      replaced |= zip((x.name for x in op.outputs), outputs)
    names = [x.name for x in tf.nest.flatten(function.structured_outputs)]
    values = tf.graph_util.import_graph_def(definition, replaced, names, name="")
    return tf.nest.pack_sequence_as(function.structured_outputs, values)

  return draw


def _replaceable(operation: tf.Operation) -> bool:
  """Whether what decides its distribution is known when it is traced."""
  if operation.type in (_KEYED, "RngReadAndSkip"):
    return True
  known = [tf.get_static_value(x) is not None for x in operation.inputs[1:]]
  return operation.outputs[0].shape.is_fully_defined() and all(known)


def seeded(
  function: Callable[..., Any], *specs: Any, what: str, seed: Callable[..., base.Seed]
) -> Callable[..., Any]:
  """Returns `function`, or if it draws without a seed, the same with numbers from `seed(*args)`.

  Args:
    function: returns a nest of tensors.
    *specs: as in `redraw`.
    what: what it is, for messages.
    seed: the seed among its arguments.

  Raises:
    ValueError: if anything but its arguments decides what it returns, and cannot be replaced.
  """
  traced = purity.trace(what, function, *specs)
  purity.check_operations(what, traced, set(_DRAWN))
  if not any(op.type in _DRAWN for op in traced.graph.get_operations()):
    purity.check_same(what, traced, purity.trace(what, function, *specs))
    return function
  draw = redraw(function, *specs, keyed=False, what=what)
  return lambda *args: draw(tf.random.split(seed(*args), 2)[1], *args)
