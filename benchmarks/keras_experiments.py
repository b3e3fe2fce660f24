"""`mnist_lstm` beside Adam in Keras's `fit`: python -m benchmarks.keras_experiments

Training losses after 100 and 200 batches, by default:

  mnist           the base problem (section 3.2): 20 sigmoid units, theta_0 ~ N(0, 0.01^2); beside
                  Adam at Keras's default rate and at the best of 30 (tuned on other seeds)
  mnist_relu      20 ReLU units, Keras's own theta_0
  mnist_convnet   two 3 x 3 convolutions with ReLU
  breast_cancer, diabetes   scikit-learn's tables, standardized, 20 sigmoid units; and with ReLU

Every optimizer meets the same theta_0 and the same minibatches of 128, drawn with replacement, for
each seed. The loss after T batches is the mean over the last ten of them, each before its update.
Written to --out with all seeds' losses; the tables printed are those of docs/keras.md.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable, Sequence
import time
from typing import Any, NamedTuple

import keras
import numpy as np
import sklearn.datasets
import tqdm

from benchmarks import reports
import l2l_tf
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import make_seeds
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.storage import files
from l2l_tf.storage import outputs

BATCH = 128
CROSS_ENTROPY = "cross entropy"
SMALL = keras.initializers.RandomNormal


class Task(NamedTuple):
  """A model and its data."""

  make_model: Callable[[], keras.Model]
  x: np.ndarray
  y: np.ndarray
  data: str
  loss: str  # CROSS_ENTROPY of integer labels, or Keras's name of one


def mlp(inputs: int, outputs: int, activation: str, stddev: float | None = None) -> keras.Model:
  """One hidden layer of 20 units; theta_0 is Keras's own, or N(0, stddev^2), biases too."""
  options = {}
  if stddev is not None:
    options = {name: SMALL(stddev=stddev) for name in ("kernel_initializer", "bias_initializer")}
  hidden = keras.layers.Dense(20, activation, **options)
  return keras.Sequential([keras.Input((inputs,)), hidden, keras.layers.Dense(outputs, **options)])


def convnet() -> keras.Model:
  """Two convolutions with ReLU and a linear layer: 9,098 parameters."""
  conv = keras.layers.Conv2D
  layers = [keras.layers.Reshape((28, 28, 1)), conv(8, 3, 2, activation="relu")]
  layers += [conv(16, 3, 2, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(10)]
  return keras.Sequential([keras.Input((784,)), *layers])


def make_task(name: str, source: str) -> Task:
  """Builds the task of a name in `TASKS`; `source` is where MNIST comes from."""
  if name.startswith("mnist"):
    data = problems.load("mnist", "train", source)
    x = data.images.reshape(len(data.images), -1).astype(np.float32) / 255
    make = {
      "mnist": lambda: mlp(784, 10, "sigmoid", 0.01),
      "mnist_relu": lambda: mlp(784, 10, "relu"),
      "mnist_convnet": convnet,
    }[name]
    return Task(make, x, data.labels, data.source, CROSS_ENTROPY)
  activation = "relu" if name.endswith("_relu") else "sigmoid"
  table = name.removesuffix("_relu")
  x, y = getattr(sklearn.datasets, f"load_{table}")(return_X_y=True)
  x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
  source = f"scikit-learn {table}: {len(x)} examples"
  if table == "diabetes":  # a regression
    y = ((y - y.mean()) / y.std()).astype(np.float32)[:, np.newaxis]
    return Task(lambda: mlp(x.shape[1], 1, activation), x, y, source, "mse")
  return Task(lambda: mlp(x.shape[1], 2, activation), x, y, source, CROSS_ENTROPY)


TABLES = ("breast_cancer", "diabetes")
TASKS = ("mnist", "mnist_relu", "mnist_convnet", *(t + e for t in TABLES for e in ("", "_relu")))


class StepLosses(keras.callbacks.Callback):
  """The loss of each batch before its update; Keras itself reports means over the epoch so far."""

  def __init__(self):
    super().__init__()
    self.losses = []

  def on_train_batch_end(self, batch, logs=None):
    self.losses.append(logs["loss"])
    self.model.reset_metrics()


class Runner:
  """One compiled model and optimizer, run from theta_0 again for each seed."""

  def __init__(self, task: Task, optimizer: keras.optimizers.Optimizer, steps: int):
    self.task, self.steps = task, steps
    self.model = task.make_model()
    loss = task.loss
    if loss == CROSS_ENTROPY:
      loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    self.model.compile(optimizer, loss, jit_compile=False)
    self.model.optimizer.build(self.model.trainable_variables)
    self._fresh = [v.numpy() for v in self.model.optimizer.variables]

  def run(self, seed: np.ndarray, rate: float | None = None) -> np.ndarray:
    """The losses of all batches, `[steps]`, from the theta_0 and minibatches of `seed`, `[2]`."""
    entropy = [int(word) for word in seed.view(np.uint32)]
    keras.utils.set_random_seed(entropy[0])
    self.model.set_weights(self.task.make_model().get_weights())
    for variable, value in zip(self.model.optimizer.variables, self._fresh, strict=True):
      variable.assign(value)
    if rate is not None:
      self.model.optimizer.learning_rate = rate
    generator, losses = np.random.default_rng(entropy), StepLosses()
    indices = generator.integers(len(self.task.x), size=[self.steps, BATCH])
    batches = ((self.task.x[i], self.task.y[i]) for i in indices)
    self.model.fit(
      batches, steps_per_epoch=self.steps, shuffle=False, verbose=0, callbacks=[losses]
    )
    return np.asarray(losses.losses)


def run_seeds(stream: Stream, count: int) -> np.ndarray:
  """The seeds of so many runs, int32 `[count, 2]`; a Keras model is no `Problem` that has them."""
  return make_seeds(0, stream, count=count)


def after(losses: np.ndarray, horizon: int) -> np.ndarray:
  """The loss after `horizon` batches, of losses `[..., steps]`; what diverged is inf."""
  part = losses[..., max(horizon - unroll.FINAL_STEPS, 0) : horizon]
  return np.nan_to_num(part.mean(axis=-1), nan=np.inf, posinf=np.inf)


def compare(
  task: Task, seeds: int, tuning_seeds: int, horizons: Sequence[int], tuned: bool
) -> dict[str, Any]:
  """Runs `mnist_lstm`, default Adam, and if `tuned` Adam at its best rate for each horizon.

  Returns:
    By the name of the optimizer: the rate, and by horizon the mean, the half width of its 95 %
    interval and the values of all seeds.
  """
  steps = max(horizons)
  test = run_seeds(Stream.TEST, seeds)
  learned, adam = (
    Runner(task, o, steps) for o in (l2l_tf.LearnedOptimizer("mnist_lstm"), keras.optimizers.Adam())
  )
  runs = {"mnist_lstm": np.stack([learned.run(seed) for seed in tqdm.tqdm(test, "mnist_lstm")])}
  runs["Adam"] = np.stack([adam.run(seed) for seed in test])
  rows = {n: {str(h): _summary(after(runs[n], h)) for h in horizons} for n in runs}
  rows["Adam"]["rate"] = float(keras.optimizers.Adam().learning_rate)
  if not tuned:
    return rows
  tuning = run_seeds(Stream.TUNING, tuning_seeds)
  grid = np.stack(
    [
      [adam.run(seed, rate) for seed in tuning]
      for rate in tqdm.tqdm(protocol.LEARNING_RATES, "Adam's rates")
    ]
  )  # [rates, seeds, steps]
  for horizon in horizons:
    best = int(np.argmin(after(grid, horizon).mean(axis=1)))
    rate = protocol.LEARNING_RATES[best]
    losses = np.stack([adam.run(seed, rate) for seed in test])
    row = {str(h): _summary(after(losses, h)) for h in horizons}
    rows[f"Adam tuned for {horizon}"] = {**row, "rate": rate}
  return rows


def _summary(values: np.ndarray) -> dict[str, Any]:
  """A mean with its 95 % interval; None, JSON's null, for what is not finite."""
  interval = intervals.interval(values)
  numbers = {"mean": interval.mean, "half": interval.half, "values": values.tolist()}
  finite = np.isfinite(values).all()
  return numbers if finite else {"mean": None, "half": None, "values": None}


def table(name: str, rows: dict[str, Any], horizons: Sequence[int]) -> str:
  """The rows as Markdown."""
  head = " | ".join(f"after {h} batches" for h in horizons)
  lines = [f"| {name} | {head} |", "|---" * (len(horizons) + 1) + "|"]
  for optimizer, row in rows.items():
    rate = f", {row['rate']:.3g}" if "rate" in row else ""
    cells = [_cell(row[str(h)]) for h in horizons]
    lines.append(f"| {optimizer}{rate} | {' | '.join(cells)} |")
  return "\n".join(lines)


def _cell(summary: dict[str, Any]) -> str:
  if summary["mean"] is None:
    return "diverged"
  return str(intervals.Interval(summary["mean"], summary["half"]))


def content(document: dict[str, Any]) -> outputs.Content:
  """What must not be lost of a file of this program, or of one without its numbers."""
  same = {f"{name} on": task["data"] for name, task in document["tasks"].items()}
  return outputs.Content(same, {key: document[key] for key in ("seeds", "tuning_seeds")})


def _read_content(path: str) -> outputs.Content:
  try:
    return content(files.read_json(path))
  except (AttributeError, KeyError, TypeError) as error:
    raise files.CheckpointError(f"{path} is no file of this program.") from error


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[str, ...], "tasks", None, f"some of {', '.join(TASKS)}; default all")
  flags.add(int, "seeds", 20, "reported runs of each optimizer, at least 2")
  flags.add(int, "tuning_seeds", 5, "other runs, which pick Adam's rate on mnist")
  flags.add(tuple[int, ...], "horizons", (100, 200), "batches")
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  default = os.path.join(outputs.RUNS, "keras_experiments.json")
  experiment_flags.add_output(flags, default, "JSON file to write")
  flags.parse(argv)
  names = [name for group in flags.tasks or [TASKS] for name in group]
  unknown = set(names) - set(TASKS)
  if unknown:
    raise experiment_flags.UsageError(f"--tasks must be of {', '.join(TASKS)}, got {min(unknown)}.")
  if flags.seeds < 2 or flags.tuning_seeds < 1 or min(flags.horizons) < 1:
    raise experiment_flags.UsageError(
      "--seeds must be at least 2, --tuning_seeds and --horizons 1."
    )
  head = {"seeds": flags.seeds, "tuning_seeds": flags.tuning_seeds, "batch_size": BATCH}
  tasks = {name: make_task(name, flags.data) for name in names}
  about = {name: {"data": task.data} for name, task in tasks.items()}
  outputs.check(flags.out, content({**head, "tasks": about}), flags.overwrite, _read_content)
  os.makedirs(os.path.dirname(flags.out) or ".", exist_ok=True)
  began, results = time.monotonic(), {}
  for name, task in tasks.items():
    rows = compare(task, flags.seeds, flags.tuning_seeds, flags.horizons, name == "mnist")
    results[name] = {"data": task.data, "loss": task.loss, "optimizers": rows}
    print(f"\n{task.data}\n\n{table(name, rows, flags.horizons)}", flush=True)
  seconds = time.monotonic() - began
  reports.write(__file__, flags, {**head, "seconds": seconds, "tasks": results})
  print(f"\nWritten to {flags.out}")
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
