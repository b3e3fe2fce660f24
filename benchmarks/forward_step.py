"""A forward step of the unroll against its floor: python -m benchmarks.forward_step

Evaluation, validation and evolution strategies do not differentiate: they take steps of the MNIST
base MLP (15,910 coordinates, minibatch 128) by the 2 x 20 LSTM. Those are timed against the matrix
products of the two layers alone, and so are other ways to compute the layers, which are checked to
give the same numbers. All of them take turns in one process. It needs g++, for the cell in C++.
Run it on an otherwise idle machine.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable, Sequence
import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import measuring
from benchmarks import reports
from benchmarks.implementations import matrix_products
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.presets import PRESETS
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import lstm
from l2l_tf.optimizers import lstm_kernel
from l2l_tf.problems import base
from l2l_tf.problems.base import Stream
from l2l_tf.problems.datasets import SOURCES

UNITS = 20
LAYERS = ((2, UNITS), (UNITS, UNITS))  # features and units of each
TOLERANCE = 1e-5  # of hidden states in -1..1, after a few steps

Weights = list[tuple[tf.Tensor, tf.Tensor]]  # W, b of each layer, as `lstm_cell` takes them
Layers = Callable[[Weights, tf.Tensor, list], list]  # weights, inputs and states: next states


def plain(weights: Weights, inputs: tf.Tensor, states: list) -> list:
  """Ours: `lstm.lstm_cell`, in C++ from where that is loaded."""
  following = []
  for (w, b), state in zip(weights, states):
    state = lstm.lstm_cell(inputs, state, w, b)
    inputs = state.hidden
    following.append(state)
  return following


def compiled(weights: Weights, inputs: tf.Tensor, states: list) -> list:
  """The products by TensorFlow, all that follows them in one kernel by XLA."""
  following = []
  for (w, b), state in zip(weights, states):
    above = tf.concat([inputs, state.hidden, tf.ones_like(inputs[:1])], axis=0)
    gates = tf.matmul(tf.concat([w, [b]], axis=0), above, transpose_a=True)
    state = lstm.LSTMState(*_from_gates(gates, state.cell))
    inputs = state.hidden
    following.append(state)
  return following


@tf.function(jit_compile=True, autograph=False)
def _from_gates(gates, cell):
  i, f, g, o = tf.split(gates, 4, axis=0)
  cell = tf.sigmoid(f + 1) * cell + tf.sigmoid(i) * tf.tanh(g)
  return tf.sigmoid(o) * tf.tanh(cell), cell


def fused(weights: Weights, inputs: tf.Tensor, states: list) -> list:
  """TensorFlow's own operation for a step of an LSTM, which wants a row a coordinate."""
  following, zeros = [], tf.zeros([UNITS])
  for (w, b), state in zip(weights, states):
    order = tf.concat([tf.range(k * UNITS, (k + 1) * UNITS) for k in (0, 2, 1, 3)], axis=0)
    step = tf.raw_ops.LSTMBlockCell(
      x=inputs,
      cs_prev=state.cell,
      h_prev=state.hidden,
      w=tf.gather(w, order, axis=1),
      b=tf.gather(b, order),
      wci=zeros,
      wcf=zeros,
      wco=zeros,
      forget_bias=1.0,
      cell_clip=-1.0,
    )
    inputs = step.h
    following.append(lstm.LSTMState(step.h, step.cs))
  return following


WAYS: dict[str, tuple[Layers, bool]] = {  # the layers, and whether coordinates come first
  "cells": (plain, False),
  "compiled_cells": (compiled, False),
  "fused_cells": (fused, True),
}
BY_KERNEL = {"kernel_unroll": "unroll", "kernel_cells": "cells"}  # the same, the cell in C++
FLOOR = "matrix_products"


def states_after(layers: Layers, rows_first: bool, sizes: Sequence[int], num_steps: int) -> Any:
  """Runs the layers alone on blocks of that many coordinates: hidden states `[20, n]` as a tensor.

  The weights and inputs are random, the same ones for all ways and steps.
  """
  rng = np.random.default_rng(0)
  normal = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
  turned = tf.transpose if rows_first else tf.identity
  weights = [
    (tf.constant(0.3 * normal(f + u, 4 * u)), tf.constant(normal(4 * u))) for f, u in LAYERS
  ]
  inputs = [turned(tf.constant(normal(LAYERS[0][0], m))) for m in sizes]
  zeros = [turned(tf.zeros([UNITS, m])) for m in sizes]

  def body(t, states):
    return t + 1, [layers(weights, x, own) for x, own in zip(inputs, states)]

  start = [[lstm.LSTMState(zero, zero) for _ in LAYERS] for zero in zeros]
  loop = (tf.constant(0), start)
  _, states = tf.while_loop(lambda t, _: t < num_steps, body, loop, parallel_iterations=1)
  return tf.concat([turned(own[-1].hidden) for own in states], axis=1)


def floor(sizes: Sequence[int], num_steps: int, with_tanh: bool = False) -> tf.Tensor:
  """The products of the layers alone, forward, on blocks of that many coordinates.

  Args:
    sizes: of the blocks.
    num_steps: how often.
    with_tanh: also the hyperbolic tangents of what each layer's product gives, of its four gates,
      and of a cell.
  """
  both = [matrix_products.products(list(LAYERS), m) for m in sizes]
  products = [operands for kind, operands in itertools.chain(*both) if kind == "forward"]

  def body(t, *results):
    del results
    found = [tf.matmul(a, b, *transposed) for a, b, *transposed in products]
    if with_tanh:
      found = [_with_tanh(x) if x.shape[0] == 4 * UNITS else x for x in found]
    return t + 1, *found

  zeros = [tf.zeros(matrix_products.shape(*operands)) for operands in products]
  loop = (tf.constant(0), *zeros)
  _, *results = tf.while_loop(lambda t, *_: t < num_steps, body, loop, parallel_iterations=1)
  return tf.add_n([x[0, 0] for x in results])  # or else nothing would be done


def _with_tanh(gates: tf.Tensor) -> tf.Tensor:
  four = tf.tanh(gates)
  return tf.concat([tf.tanh(four[:UNITS]), four[UNITS:]], axis=0)


def measure(threads: int, rounds: int, num_steps: int, data: str) -> list[dict[str, Any]]:
  """Lets all take turns on the first cores; returns a row of figures each."""
  hasattr(os, "sched_setaffinity") and os.sched_setaffinity(0, measuring.cpus()[:threads])
  blocks.use_a_thread_a_block()
  experiment = PRESETS["paper"]["mnist"]
  problem, _ = experiment.problem.replace(data=data).build()
  optimizer = blocks.split(experiment.optimizer.build(0))
  seeds = tf.constant(problem.seeds(0, Stream.TUNING, count=1))
  sizes = blocks.sizes(sum(int(np.prod(shape)) for shape in base.shapes(problem).values()))
  functions = {"unroll": lambda: unroll.rollout(problem, optimizer, seeds, num_steps)}
  for name, (layers, rows_first) in WAYS.items():
    functions[name] = lambda own=(layers, rows_first): states_after(*own, sizes, num_steps)
  functions["products_and_tanh"] = lambda: floor(sizes, num_steps, with_tanh=True)
  functions[FLOOR] = lambda: floor(sizes, num_steps)
  traced = {name: tf.function(f, autograph=False) for name, f in functions.items()}
  for function in traced.values():  # traces it
    function()
  lstm_kernel.build()
  lstm_kernel.load()
  for name, plain_name in BY_KERNEL.items():
    traced[name] = tf.function(functions[plain_name], autograph=False)
  seconds: dict[str, list[float]] = {name: [] for name in traced}
  for turn in range(rounds + 1):
    for name, function in traced.items():
      taken = measuring.timed(lambda function=function: function().numpy(), 1)
      seconds[name] += taken if turn else []
  found = {name: measuring.quantiles(times) for name, times in seconds.items()}
  return [
    {"what": name, "threads": threads}
    | {f"{key}_s": value / num_steps for key, value in figures.items() if key != "count"}
    | {"count": figures["count"], "over_floor": figures["median"] / found[FLOOR]["median"]}
    for name, figures in found.items()
  ]


def check():
  """Raises ValueError unless all ways to compute the layers agree."""
  expected, *others = (states_after(*own, [16, 5], 4) for own in WAYS.values())
  lstm_kernel.build()
  lstm_kernel.load()
  others.append(states_after(*WAYS["cells"], [16, 5], 4))
  for name, found in zip([*list(WAYS)[1:], "kernel_cells"], others):
    difference = float(tf.reduce_max(tf.abs(found - expected)))
    if not difference < TOLERANCE:
      raise ValueError(f"States of {name} differ from ours by {difference:.2g}.")


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[int, ...], "threads", (1, 2), "cores of a race each")
  flags.add(int, "rounds", 20, "timed turns of each", bounds=(1, 10**6))
  flags.add(int, "num_steps", 20, "of an unroll", bounds=(1, 10**6))
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  flags.add(paths.Written, "out", None, "JSON file to write")
  flags.parse(argv)
  usable = len(measuring.cpus())
  if not all(1 <= threads <= usable for threads in flags.threads):
    raise experiment_flags.UsageError(
      f"--threads must be of 1..{usable}, the cores this process may use; got {flags.threads}."
    )
  measuring.in_own_process(check)
  rows = []
  for threads in flags.threads:
    rows += measuring.in_own_process(measure, threads, flags.rounds, flags.num_steps, flags.data)
  reports.report(__file__, flags, rows, num_steps=flags.num_steps)
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
