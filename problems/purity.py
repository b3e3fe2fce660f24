"""Whether a function depends on anything but its arguments, read from its graph."""

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry  # nothing public tells what keeps state

Function: TypeAlias = tf.types.experimental.ConcreteFunction

RANDOM = {  # draw from a state that no seed decides
  "LearnedUnigramCandidateSampler", "LogUniformCandidateSampler", "Multinomial",
  "NonDeterministicInts", "ParameterizedTruncatedNormal", "RandomCrop", "RandomGamma",
  "RandomPoisson", "RandomPoissonV2", "RandomShuffle", "RandomStandardNormal", "RandomUniform",
  "RandomUniformInt", "RngReadAndSkip", "RngSkip", "SampleDistortedBoundingBox",
  "SampleDistortedBoundingBoxV2", "StatefulRandomBinomial", "StatefulStandardNormal",
  "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulUniform",
  "StatefulUniformFullInt", "StatefulUniformInt", "ThreadUnsafeUnigramCandidateSampler",
  "TruncatedNormal", "UniformCandidateSampler", "FixedUnigramCandidateSampler",
  "AllCandidateSampler",
}  # fmt: skip
_PYTHON = {"EagerPyFunc", "PyFunc", "PyFuncStateless"}
_READING = {  # TensorFlow calls them stateful, yet they are functions of what is not changed here
  "Assert", "Case", "CheckNumerics", "CheckNumericsV2", "DeepCopy", "DeviceIndex", "Empty",
  "GuaranteeConst", "If", "LookupTableFindV2", "LookupTableSizeV2", "Print", "PrintV2",
  "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "StatefulPartitionedCall",
  "StatelessRandomGetAlg", "VarHandleOp", "VarIsInitializedOp", "VariableShape", "While",
}  # fmt: skip
_READING_PREFIXES = ("Cudnn", "DebugIdentity", "Stack", "TensorArray", "Xla")
_MENDING = {
  "draws random numbers that no seed decides": (
    RANDOM,
    "Draw them from its seed, by `tf.random.stateless_*`.",
  ),
  "runs Python (`tf.py_function`, `tf.numpy_function`)": (
    _PYTHON,
    "What Python does there is neither repeated nor lifted to many instances: write it with"
    " operations of TensorFlow.",
  ),
}


def trace(what: str, function: Callable[..., Any], *specs: Any) -> Function:
  """Returns the graph of a function, as it is: without AutoGraph.

  Args:
    what: what the function is, for messages.
    function: to trace.
    *specs: nests of `tf.TensorSpec`s, those of its arguments.

  Raises:
    ValueError: if it makes variables.
  """
  try:
    return tf.function(function, autograph=False).get_concrete_function(*specs)
  except ValueError as error:
    if "singleton tf.Variable" not in str(error):
      raise
    raise ValueError(
      f"{what} makes variables, layers or random generators each time it is called: make them once,"
      " outside of it."
    ) from error


def ancestors(function: Function, ends: Collection[str] = ()) -> set[str]:
  """The names of the operations that its outputs depend on, not through those of types `ends`."""
  found, waiting = set(), [x.op for x in tf.nest.flatten(function.structured_outputs)]
  while waiting:
    operation = waiting.pop()
    if operation.name not in found:
      found.add(operation.name)
      if operation.type not in ends:
        waiting += [*(x.op for x in operation.inputs), *operation.control_inputs]
  return found


def kinds(function: Function, names: Collection[str] | None = None) -> tuple[set[str], set[str]]:
  """The types of operations in a graph, and of those in the functions that these call.

  Args:
    function: traced.
    names: those operations of the graph that count; all by default.
  """
  definition = function.graph.as_graph_def()
  own = [node for node in definition.node if names is None or node.name in names]
  return {node.op for node in own}, {node.op for node in _called(definition, own)}


def _called(definition: tf.compat.v1.GraphDef, nodes: list[Any]) -> list[Any]:
  """The nodes of the functions that `nodes` call, and those call, in the order of the calls."""
  library = {f.signature.name: f.node_def for f in definition.library.function}
  found, seen, waiting = [], set(), list(nodes)
  while waiting:
    node = waiting.pop(0)
    for key in sorted(node.attr):
      value = node.attr[key]
      for name in [value.func.name, *(f.name for f in value.list.func)]:
        if name in library and name not in seen:
          seen.add(name)
          found += library[name]
          waiting += library[name]
  return found


def check_operations(what: str, function: Function, replaced: Collection[str]) -> None:
  """Raises ValueError for operations that draw, change or take what is not among the arguments.

  Args:
    what: what the function is, for the message.
    function: traced.
    replaced: types that are allowed in the graph itself, not in functions that it calls.
  """
  own, inner = kinds(function)
  found = own - set(replaced) | inner
  for does, (types, mending) in _MENDING.items():
    if found & types:
      raise ValueError(
        f"{what} {does} ({', '.join(sorted(found & types))}): runs could not be repeated. {mending}"
      )
  stateful = sorted(op for op in found - set(replaced) if _keeps_state(op))
  if stateful:
    names = sorted({v.name.split(":")[0] for v in function.graph.variables})
    variables = f" (variables: {', '.join(names)})" if names else ""
    raise ValueError(
      f"{what} changes or consumes what lies outside of it, by {', '.join(stateful)}{variables}:"
      " the same seed would not give the same value twice. No iterators, queues or counters, and no"
      " variables that it assigns to: f is a function of theta and the seed."
    )


def _keeps_state(kind: str) -> bool:
  if kind in _READING or kind.startswith(_READING_PREFIXES):
    return False
  definition = op_def_registry.get(kind)
  return definition is not None and definition.is_stateful


def check_same(what: str, first: Function, second: Function, ends: Collection[str] = ()) -> None:
  """Raises ValueError if two traces of one function differ: Python drew, or counted.

  Args:
    what: what the function is, for the message.
    first: one trace.
    second: another.
    ends: types of operations whose inputs do not count.
  """
  traces = [(_fingerprint(f, ends), _captures(f, ends)) for f in (first, second)]
  (operations, captures), (others, other_captures) = traces
  if operations == others and all(map(_same, captures, other_captures)):
    return
  raise ValueError(
    f"{what} is another function each time it is traced: it takes numbers from Python (NumPy's or"
    " Python's random numbers, an iterator, a counter, the clock), which would be drawn once and"
    " stay the same in every step. Draw them from its seed, by `tf.random.stateless_*`."
  )


def _fingerprint(function: Function, ends: Collection[str]) -> list[tuple[str, bytes]]:
  """The operations that the outputs depend on, constants with their values."""
  definition, names = function.graph.as_graph_def(), ancestors(function, ends)
  nodes = [node for node in definition.node if node.name in names]
  nodes += _called(definition, nodes)
  return [
    (node.op, node.attr["value"].SerializeToString() if node.op == "Const" else b"")
    for node in nodes
  ]


def _captures(function: Function, ends: Collection[str]) -> list[tf.Tensor]:
  """The values from outside that the outputs depend on."""
  names = ancestors(function, ends)
  inputs = function.inputs[len(function.inputs) - len(function.captured_inputs) :]
  return [x for own, x in zip(inputs, function.captured_inputs) if own.op.name in names]


def _same(a: tf.Tensor, b: tf.Tensor) -> bool:
  return a is b or (a.dtype not in (tf.resource, tf.variant) and np.array_equal(a, b))
