"""Initializers of other libraries with their random numbers drawn from a seed.

Sonnet's initializers draw with stateful operations, Keras's with a seed fixed at their making:
neither can give theta_0 as a function of a seed. But their graphs can, once the few operations in
them that make random numbers are replaced.
"""

from typing import Any, Callable

import tensorflow as tf

from problems import base

_SAFE = {"RandomGammaGrad", "RandomDataset", "RandomDatasetV2", "StatefulPartitionedCall"}
_DRAWN = {  # stateful operations and what draws the same distribution
  "RandomStandardNormal": tf.random.stateless_normal,
  "RandomUniform": tf.random.stateless_uniform,
  "TruncatedNormal": tf.random.stateless_truncated_normal,
}
_KEYED = "StatelessRandomGetKeyCounter"  # what turns a seed into a generator's key and counter
_STATEFUL = ("Random", "TruncatedNormal", "Multinomial", "ParameterizedTruncatedNormal", "Stateful")


def stateful_random_operations(function: tf.types.experimental.ConcreteFunction) -> set[str]:
  """The types of operations in a graph, and in the functions it calls, that draw without a seed."""
  graph = function.graph.as_graph_def()
  nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
  return {node.op for node in nodes if node.op.startswith(_STATEFUL) and node.op not in _SAFE}


def redraw(sample: Callable[[], Any]) -> Callable[[base.Seed], Any]:
  """Returns `draw(seed)`: what `sample()` returns, with all random numbers drawn from `seed`.

  `sample` is traced once. Each operation in it that makes random numbers gets a seed of its own,
  split from `seed`; distributions and all that is computed from the numbers stay as they are.

  Args:
    sample: returns a nest of tensors.

  Raises:
    ValueError: if it draws in a way that cannot be replaced.
  """
  function = tf.function(sample, autograph=False).get_concrete_function()
  graph = function.graph
  random = [op for op in graph.get_operations() if op.type in _DRAWN or op.type == _KEYED]
  definition = graph.as_graph_def()
  inner = {node.op for f in definition.library.function for node in f.node_def}
  left = stateful_random_operations(function) - set(_DRAWN) | inner & {*_DRAWN, _KEYED}
  if left:
    raise ValueError(
      f"Random numbers of an initializer cannot be drawn from a seed: {', '.join(sorted(left))} has"
      " no replacement here, or is inside a `tf.function`."
    )

  names = {op.name for op in random}
  kept = [node for node in definition.node if node.name not in names]
  del definition.node[:]
  definition.node.extend(kept)
  random = [op for op in random if any(x.consumers() for x in op.outputs)]

  @tf.function(autograph=False)
  def draw(seed):
    captured = map(tf.identity, function.captured_inputs)  # as tensors of the graph
    replaced = dict(zip((x.name for x in function.inputs), captured))
    seeds = tf.random.split(seed, max(len(random), 1))
    for i, op in enumerate(random):
      replaced |= zip((x.name for x in op.outputs), _outputs(op, seeds[i]))
    names = [x.name for x in tf.nest.flatten(function.structured_outputs)]
    values = tf.graph_util.import_graph_def(definition, replaced, names, name="")
    return tf.nest.pack_sequence_as(function.structured_outputs, values)

  return draw


def _outputs(op: tf.Operation, seed: base.Seed) -> list[tf.Tensor]:
  """What `op` would give, drawn from `seed`."""
  if op.type == _KEYED:
    return list(tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed))
  shape = tf.get_static_value(op.inputs[0])
  if shape is None:
    raise ValueError(f"An initializer draws {op.type} of a shape that is not fixed.")
  return [_DRAWN[op.type](shape, seed, dtype=op.outputs[0].dtype)]
