"""Problems from what a user has: bare functions, and Sonnet modules (see `keras_adapter`)."""

from collections.abc import Callable, Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from l2l_tf.problems import base
from l2l_tf.problems import minibatches
from l2l_tf.problems import purity
from l2l_tf.problems import reseeding

_SERIAL: tuple[str, ...]
_SERIAL = ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MaxPool", "While", "StatelessWhile")
_SERIAL += ("StatelessRandom", "StatelessTruncatedNormal")  # prefixes of types of operations


def from_function(init: Callable[..., Any], loss: Callable[..., tf.Tensor]) -> base.Problem:
  """Makes a problem from two bare functions, written for one instance.

      problems.from_function(
        lambda seed: {"x": tf.random.stateless_normal([2], seed)},
        lambda params, task, seed: tf.reduce_sum((params["x"] - 3) ** 2),
      )

  Args:
    init: `init(seed)` returns theta_0, a dictionary of names and float tensors or arrays of one
      type (float32 for the optimizers of this package), or a pair of theta_0 and a task, any nest
      of tensors: what distinguishes this instance of f from others. `seed` is int32 `[2]`.
    loss: `loss(params, task, seed)` returns f(theta), a scalar. `seed`, int32 `[2]`, changes with
      each step and picks the minibatch or the noise; a deterministic f ignores it. `task` is `{}`
      if `init` gives none.

  All random numbers must come from `seed`, by `tf.random.stateless_*`; numbers drawn by NumPy would
  be drawn once, when the functions are traced.

  Raises:
    ValueError, TypeError: if the functions return anything else, or draw random numbers otherwise.
  """

  def with_task(seed: base.Seed) -> tuple[base.Params, base.Task]:
    values = init(seed)
    values = values if type(values) is tuple and len(values) == 2 else (values, {})
    return tf.nest.map_structure(tf.convert_to_tensor, values)

  init, loss = converted(init), converted(loss)
  return adapt(with_task, lambda params, task, seed, _: loss(params, task, seed))


def from_sonnet(
  make_module: Callable[[], snt.Module],
  loss: Callable[..., tf.Tensor],
  data: Any,
  batch_size: int = 128,
) -> base.Problem:
  """Makes a problem of training a Sonnet module on random minibatches.

      problems.from_sonnet(
        lambda: snt.nets.MLP([20, 10]),
        lambda module, batch, seed: cross_entropy(module(batch[0]), batch[1]),
        (images, labels),
      )

  Trainable variables that `loss` uses are theta. Each instance has a theta_0 of its own, drawn by
  the module's initializers from the seed of the instance. Non-trainable variables belong to the
  task and keep their first values: what a step assigns to them is dropped. `snt.BatchNorm` with
  `is_training=True` normalizes by the minibatch and does not read its moving averages.

  Args:
    make_module: returns a new module (or a nest of modules).
    loss: `loss(module, batch, seed)` returns a scalar. `batch` is nested as `data`, leaves
      `[batch_size, ...]`; `seed`, int32 `[2]`, is for dropout and noise, as in
      `tf.nn.experimental.stateless_dropout`.
    data: arrays whose first axis counts examples, in any nest, or a finite `tf.data.Dataset` of
      examples, which is loaded into memory. Types are kept: a float32 module needs float32 data.
    batch_size: examples a minibatch, drawn with replacement.

  Raises:
    ValueError, TypeError: for data or a loss that are not as above, or a module without trainable
      variables.
  """
  if isinstance(make_module, snt.Module) or not callable(make_module):
    raise TypeError(
      "make_module must be a function that makes a new module, as in"
      f" `lambda: snt.nets.MLP([20, 10])`, got the module or value {make_module!r:.80}."
    )
  examples = minibatches.Minibatches(data, batch_size)
  first = [examples.take(indices) for indices in examples.extremes()]
  loss = converted(loss)
  refs: dict[str, Any] = {}
  apply: Any = None
  before: set[Any] = set()

  def initial_values() -> tuple[base.Params, ...]:
    """One draw of theta_0 and of the task; keeps what belongs to the modules it has made."""
    nonlocal refs, apply
    with snt.functional.variables():
      module = make_module()
    _check_new(module, before)
    transformed = snt.functional.transform_with_state(
      lambda seed: [loss(module, batch, seed) for batch in first]
    )
    params, state = transformed.init(tf.zeros([2], tf.int32))
    refs = dict(zip(names or _names([*params, *state]), (*params, *state)))
    apply = snt.functional.transform_with_state(lambda *args: loss(module, *args)).apply
    named = {ref: name for name, ref in refs.items()}
    return tuple({named[ref]: value for ref, value in nest.items()} for nest in (params, state))

  names = None
  initial_values()
  names = list(refs)  # those of an eager run: in a graph, TensorFlow makes them unique by suffixes

  def loss_at(
    params: base.Params, task: base.Task, seed: base.Seed, indices: tf.Tensor
  ) -> tf.Tensor:
    values, state = ({refs[name]: x for name, x in nest.items()} for nest in (params, task))
    return apply(values, state, examples.take(indices), seed)[0]

  return adapt(reseeding.redraw(initial_values), loss_at, examples.draw)


def _check_new(made: Any, before: set[snt.Module]) -> None:
  """Raises ValueError for modules that were made, or used, before; adds them to `before`."""
  modules = [
    m for x in tf.nest.flatten(made) if isinstance(x, snt.Module) for m in (x, *x.submodules)
  ]
  again = before.intersection(modules)
  used = {v.name for m in modules for v in _variables(m) if not hasattr(v, "tensor_value")}
  if again or used:
    what = f"with variables {sorted(used)}" if used else f"{sorted(m.name for m in again)} again"
    raise ValueError(
      f"make_module returned a module that exists already, {what}: each instance draws a theta_0 of"
      " its own, by initializers that only a new module has. Make it within the function, as in"
      " `lambda: snt.nets.MLP([20, 10])`."
    )
  before.update(modules)


def _variables(module: snt.Module) -> Sequence[tf.Variable]:
  """Those of a module, none if it has none yet, where Sonnet raises."""
  return tf.Module.variables.fget(module)


def _names(refs: list[Any]) -> list[str]:
  """Readable names of variables, "linear/w"; numbered if two are the same."""
  names = [ref.deref().name.split(":")[0] for ref in refs]
  return names if len(set(names)) == len(names) else [f"{i}/{n}" for i, n in enumerate(names)]


def adapt(
  init: Callable[..., Any],
  loss: Callable[..., tf.Tensor],
  draw: Callable[[base.Seed], Any] = lambda seed: {},
) -> base.Problem:
  """Makes a problem from functions of a user's, which are checked by tracing each once.

  Args:
    init: `init(seed) -> (params, task)`.
    loss: `loss(params, task, seed, drawn) -> scalar`.
    draw: what `loss` gets as `drawn`, a function of the seed. It is called outside the lifted part
      (DESIGN section 2: `tf.vectorized_map` runs random operations in a loop).

  Instances are lifted by `tf.vectorized_map`, or are serial if `loss` has operations that are
  slower there: convolutions with filters of their own, random numbers, loops.

  Raises:
    ValueError, TypeError: if they return anything else, or draw random numbers without a seed.
  """

  def seed_of_loss(seed: base.Seed) -> base.Seed:
    return tf.random.split(seed, 1)[0]  # not the numbers of `draw`

  def loss_of(params: base.Params, task: base.Task, seed: base.Seed) -> tf.Tensor:
    return loss(params, task, seed_of_loss(seed), draw(seed))

  def lifted_loss(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    if seeds.shape[0] == 1:
      return base.lift(loss_of, params, tasks, seeds)
    drawn = tf.map_fn(draw, seeds, fn_output_signature=minibatch) if minibatch else {}
    return base.lift(loss, params, tasks, tf.map_fn(seed_of_loss, seeds), drawn)

  seed = tf.TensorSpec([2], tf.int32)
  init = reseeding.seeded(init, seed, what="init", seed=lambda seed: seed)
  params, task = _specs(purity.trace("init", init, seed).structured_outputs)
  check_params(params)
  minibatch = _specs(purity.trace("draw", draw, seed).structured_outputs)
  specs = params, task, seed, minibatch
  check_loss(purity.trace("loss", loss, *specs).structured_outputs, params)
  loss = reseeding.seeded(loss, *specs, what="loss", seed=lambda params, task, seed, drawn: seed)
  kinds = set.union(*purity.kinds(purity.trace("loss", loss, *specs)))
  serial = any(kind.startswith(_SERIAL) for kind in kinds)
  return base.Problem(init, loss_of, None if serial else lifted_loss, serial)


def converted(function: Callable[..., Any]) -> Callable[..., Any]:
  """`function` by AutoGraph: what a user writes may have `if` and loops that depend on tensors."""

  def call(*args: Any) -> Any:
    return function(*args)  # what cannot be converted in it is called as it is, with a warning

  graph_call = tf.autograph.to_graph(call)

  def call_and_explain(*args: Any) -> Any:
    try:
      return graph_call(*args)
    except Exception as error:  # whatever a user's function raises
      metadata = getattr(error, "ag_error_metadata", None)
      if metadata is None:
        raise
      raise metadata.to_exception(error) from error  # names the user's lines, as `tf.function` does

  return call_and_explain


def _specs(nest: Any) -> Any:
  return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), nest)


def check_params(params: Any) -> None:
  """Raises ValueError or TypeError unless theta_0 is a dictionary of floats of one type."""
  if not isinstance(params, dict):
    raise TypeError(
      "theta_0 must be a dictionary of names and tensors, as in {'w': ...}, got"
      f" {type(params).__name__}. A pair (params, task) is a tuple of two."
    )
  if not params:
    raise ValueError("There is nothing to optimize: no parameters, or no trainable variables.")
  for name, value in params.items():
    if not isinstance(name, str):
      raise TypeError(
        "theta_0 must be a dictionary of names and tensors, whose names are of type str, got"
        f" {name!r} of type {type(name).__name__}; call it {str(name)!r}."
      )
    if not isinstance(value, (tf.Tensor, tf.TensorSpec)):
      raise TypeError(
        f"theta_0 must be a flat dictionary of names and tensors, as in {{'{name}/w': ...}}; under"
        f" {name!r} there is no tensor but a nested {type(value).__name__}."
      )
    if not value.dtype.is_floating:
      raise TypeError(f"Parameters must be of a float type; {name!r} is of {value.dtype.name}.")
    if not tf.TensorShape(value.shape).is_fully_defined():
      raise ValueError(f"The shape of {name!r} must be known when traced, got {value.shape}.")
    if 0 in value.shape:
      raise ValueError(f"{name!r} is empty, of shape {value.shape}: leave it out of theta_0.")
  types = {value.dtype.name for value in params.values()}
  if len(types) > 1:
    raise TypeError(f"All parameters must be of one float type, got {', '.join(sorted(types))}.")


def check_loss(value: Any, params: base.Params) -> None:
  """Raises ValueError or TypeError unless the loss is a scalar of the type of the parameters."""
  dtype = next(iter(params.values())).dtype
  if not isinstance(value, tf.Tensor) or value.shape.rank != 0:
    what = f"shape {value.shape}" if isinstance(value, tf.Tensor) else type(value).__name__
    raise ValueError(f"The loss must be a scalar tensor, got {what}; take `tf.reduce_mean` of it.")
  if value.dtype != dtype:
    raise TypeError(
      f"The loss must be of the type of the parameters, {dtype.name}, got {value.dtype.name}."
    )
