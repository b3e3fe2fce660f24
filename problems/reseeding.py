"""Initializers of other libraries with their random numbers drawn from a seed.

Sonnet's initializers draw with stateful operations, Keras's with a seed fixed at their making:
neither can give theta_0 as a function of a seed. But their graphs can, once the few operations in
them that make random numbers are replaced.
"""

from typing import Any, Callable

import tensorflow as tf

from l2l_tf.problems import base

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
  definition = function.graph.as_graph_def()
  random = [op for op in function.graph.get_operations() if op.type in _DRAWN or op.type == _KEYED]
  inner = {node.op for f in definition.library.function for node in f.node_def}
  left = stateful_random_operations(function) - set(_DRAWN) | inner & {*_DRAWN, _KEYED}
  if left:
    raise ValueError(
      f"Random numbers of an initializer cannot be drawn from a seed: {', '.join(sorted(left))} has"
      " no replacement here, or is inside a `tf.function`."
    )

  def values_of(tensors, replaced):
    captured = map(tf.identity, function.captured_inputs)  # as tensors of the graph
    replaced |= zip((x.name for x in function.inputs), captured)
    names = [x.name for x in tensors]
    return tf.graph_util.import_graph_def(definition, replaced, names, name="")

  # Shapes are often computed in the graph, but do not depend on the seed.
  drawn = [op for op in random if op.type in _DRAWN]
  shapes = tf.function(lambda: values_of([op.inputs[0] for op in drawn], {}), autograph=False)()
  shapes = {op.name: tuple(shape.numpy()) for op, shape in zip(drawn, shapes)}
  used = [op for op in random if any(x.consumers() for x in op.outputs)]
  nodes = [node for node in definition.node if node.name not in {op.name for op in random}]
  del definition.node[:]
  definition.node.extend(nodes)

  @tf.function(autograph=False)
  def draw(seed):
    replaced = {}
    for op, seed_of_op in zip(used, tf.unstack(tf.random.split(seed, max(len(used), 1)))):
      if op.type == _KEYED:
        outputs = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed_of_op)
      else:
        outputs = [_DRAWN[op.type](shapes[op.name], seed_of_op, dtype=op.outputs[0].dtype)]
      replaced |= zip((x.name for x in op.outputs), outputs)
    values = values_of(tf.nest.flatten(function.structured_outputs), replaced)
    return tf.nest.pack_sequence_as(function.structured_outputs, values)

  return draw
