"""What a task of the benchmark is: a Keras model as its user writes it, with its data."""

import ast
from collections.abc import Callable
import functools
import hashlib
import inspect
from typing import Any, NamedTuple

import keras
import numpy as np

from l2l_tf.zoo.protocol import HELD_OUT_FAMILIES
from l2l_tf.zoo.protocol import PUBLISHED  # noqa: F401  tasks/published.py, which is frozen, has it from here


class Data(NamedTuple):
  """Examples in memory, as `fit` takes them.

  Attributes:
    train: `(x, y)`, or x alone for models that make their own targets; nests of arrays `[N, ...]`.
    test: the same of held-out examples.
    source: which copy this is, in words.
  """

  train: Any
  test: Any
  source: str

  @property
  def digest(self) -> str:
    """SHA-256, in hex, of all arrays."""
    total = hashlib.sha256()
    for array in keras.tree.flatten([self.train, self.test]):
      total.update(f"{array.dtype}{array.shape}".encode())
      content: Any = np.ascontiguousarray(array)  # NumPy does not say that it is a buffer
      total.update(content)
    return total.hexdigest()


class Task(NamedTuple):
  """One job for an optimizer.

  Attributes:
    name: unique.
    family: one of `FAMILIES`; it decides whether meta-training may use the task.
    about: the model, its data and what is special, in words.
    build: from an optimizer to a compiled model that has its weights.
    data: loads the data.
    batch_size: examples a minibatch.
    metric: of the held-out examples: a name that the model's logs have.
    long: whether it is run for 10,000 steps, too.
    skip: `(n, m)`: after every n minibatches of training m are left out, see `minibatches`.
  """

  name: str
  family: str
  about: str
  build: Callable[[keras.optimizers.Optimizer], keras.Model]
  data: Callable[[], Data]
  batch_size: int
  metric: str = "accuracy"
  long: bool = False
  skip: tuple[int, int] = (0, 0)

  @property
  def held_out(self) -> bool:
    """Whether meta-training must not use the task's family."""
    return self.family in HELD_OUT_FAMILIES

  def definition(self) -> str:
    """SHA-256, in hex, of the code that defines the task; comments and docstrings do not count."""
    parts = (self.build, self.data)
    modules: set[Any] = {inspect.getmodule(inspect.unwrap(_whole(part))) for part in parts}
    code = [_code(inspect.getsource(m)) for m in sorted(modules, key=lambda m: m.__name__)]
    no_code: Any = None
    fields = self._replace(about="", build=no_code, data=no_code)
    return hashlib.sha256("\n".join([repr(fields), *code]).encode()).hexdigest()


def define(family: str, about: str, data: Callable[[], Data], batch_size: int, **options: Any):
  """Makes a `Task` of the function below it, which builds the model and gives it its name."""

  def task(build: Callable[[keras.optimizers.Optimizer], keras.Model]) -> Task:
    return Task(build.__name__, family, about, build, data, batch_size, **options)

  return task


def minibatches(
  seed: int, num_examples: int, batch_size: int, num_steps: int, skip: tuple[int, int] = (0, 0)
) -> np.ndarray:
  """The order of minibatches that a seed fixes, for all optimizers alike.

  The examples are shuffled at each pass; an incomplete last minibatch is dropped. With
  `skip = (n, m)`, m minibatches are left out before every n: those that are evaluated there.

  Args:
    seed: of the order.
    num_examples: N, at least `batch_size`.
    batch_size: B.
    num_steps: T. A shorter order is the beginning of a longer one.
    skip: see above; (0, 0) leaves out none.

  Returns:
    int32 `[T, B]`.

  Raises:
    ValueError: if there are fewer examples than a minibatch takes.
  """
  per_pass = num_examples // batch_size
  if not per_pass:
    raise ValueError(f"A minibatch takes {batch_size} examples, there are {num_examples}.")
  rng = np.random.default_rng([seed, num_examples, batch_size])
  kept, left_out = skip
  wanted = num_steps + (-(-num_steps // kept) * left_out if kept else 0)
  passes = [
    rng.permutation(num_examples)[: per_pass * batch_size].reshape(per_pass, batch_size)
    for _ in range(-(-wanted // per_pass))
  ]
  order = np.concatenate(passes)[:wanted].astype(np.int32)
  if kept:
    order = order[np.arange(wanted) % (kept + left_out) >= left_out]
  return order[:num_steps]


def _whole(function: Callable) -> Callable:
  """The function of a partial call, any other as it is."""
  return function.func if isinstance(function, functools.partial) else function


@functools.cache
def _code(source: str) -> str:
  """Source code without comments, docstrings and layout."""
  tree = ast.parse(source)
  for node in ast.walk(tree):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
      del node.body[0]
  return ast.unparse(tree)
