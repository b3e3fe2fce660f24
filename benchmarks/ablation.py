"""What each part of the general optimizer is worth: python -m benchmarks.ablation --out=X.json

Trains the rule of optimizers/general.py again and again, each time with one part more: from a
controller of plain Adam's rates to units, a mixture of directions, transformed problems and long
episodes. Everything else stays: eight small networks on the bundled digits and on random teachers,
so many meta-steps, seeds. Each phi then meets the benchmark's tasks of docs/zoo.md at its first
horizon; the rivals' are in results/. Weights and runs stay under --runs, and the same command
goes on with what is missing.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable, Mapping, Sequence
import functools
import hashlib
import io
import multiprocessing
import time
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.training import Training
from l2l_tf.keras.optimizer import LearnedOptimizer
from l2l_tf.optimizers import general
from l2l_tf.problems import base
from l2l_tf.problems import datasets
from l2l_tf.problems import tiny
from l2l_tf.problems.transformations import rescaled
from l2l_tf.problems.transformations import starting_badly
from l2l_tf.rule import formula
from l2l_tf.rule import ops
from l2l_tf.storage import files
from l2l_tf.storage import outputs
from l2l_tf.training.evolution_trainer import EvolutionTrainer
from l2l_tf.zoo import comparison
from l2l_tf.zoo import measure
from l2l_tf.zoo import rivals
from l2l_tf.zoo import scores
from l2l_tf.zoo import summary
from l2l_tf.zoo import tasks

HORIZON = 100
PLAIN_UNIT = 0.1  # in place of a parameter's RMS: the controller begins at Adam's default rate
PAIRS = 16
RESULTS = "results"  # where those of the rivals are


class _InUnits(formula.Rule):
  """The general rule in one direction, that of Adam with beta_1 = 0.9."""

  def mixture(self, logits):
    index, count = formula.BETAS.index(0.9), len(formula.BETAS)
    return tf.one_hot(index, count, dtype=logits.dtype) + 0 * logits


class _OnAdam(_InUnits):
  """The same, in steps that do not know the parameter's size."""

  def units(self, square, layout):
    return PLAIN_UNIT + 0 * square


class InUnits(general.General):
  """`_InUnits` with variables for phi."""

  def make_rule(self):
    return _InUnits(ops.of("tensorflow"))


class OnAdam(general.General):
  """`_OnAdam` with variables for phi."""

  def make_rule(self):
    return _OnAdam(ops.of("tensorflow"))


class Variant(NamedTuple):
  """One row.

  Attributes:
    adds: what it has that the variant before lacks.
    rule: what is trained.
    transformed: whether half of the problems start badly or are in other parameters.
    shortest: steps of an episode, log-uniform from this
    longest: to this.
  """

  adds: str
  rule: Callable[..., general.General]
  transformed: bool = False
  shortest: int = 100
  longest: int = 100


VARIANTS = {
  "controller": Variant("a controller on plain Adam", OnAdam),
  "units": Variant("units of the parameters", InUnits),
  "directions": Variant("a mixture of directions", general.General),
  "augmentation": Variant("transformed problems", general.General, True),
  "long_horizons": Variant("episodes of 50 to 1,000 steps", general.General, True, 50, 1000),
}


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "the results file")
  flags.add(tuple[str, ...], "variants", None, f"of {', '.join(VARIANTS)}; default all")
  flags.add(int, "meta_steps", 500, "of each training", bounds=(1, 10**5))
  flags.add(int, "phis", 2, "trainings of each variant, from other seeds", bounds=(1, 10))
  flags.add(int, "runs_a_task", 2, "seeds of each task that a phi is scored on", bounds=(1, 5))
  flags.add(paths.Written, "runs", "runs/ablation", "directory of weights and of the runs' files")
  text = "trainings at the same time, one core each"
  flags.add(int, "jobs", os.cpu_count() or 1, text, bounds=(1, 64))
  flags.add(bool, "overwrite", False, "replace a file of more variants, phis or meta-steps")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  names = chosen(flags.variants, VARIANTS)
  counts = {key: getattr(flags, key) for key in ("meta_steps", "phis", "runs_a_task")}
  counts["variants"] = len(names)
  check = functools.partial(outputs.check, flags.out, outputs.Content({}, counts), flags.overwrite)
  check()
  references = {
    name: summary.read(os.path.join(RESULTS, summary.file_name(name)))
    for name in (comparison.DEFAULT, summary.TUNED)
  }
  one = functools.partial(_one, flags.meta_steps, flags.runs_a_task, flags.runs, references)
  work = [(name, seed) for name in names for seed in range(flags.phis)]
  os.makedirs(flags.runs, exist_ok=True)
  with multiprocessing.get_context("spawn").Pool(min(flags.jobs, len(work)), alone, (), 1) as pool:
    found = pool.starmap(one, work, 1)
  rows = [row for rows in found for row in rows]
  print(reports.table([{k: v for k, v in row.items() if k != "adds"} for row in rows]))
  check()
  reports.write(__file__, flags, {**counts, "horizon": HORIZON, "pairs": PAIRS, "rows": rows})
  return 0


def problems(transformed: bool) -> base.Mixture:
  """Eight small networks; if `transformed`, as many again that start badly or are rescaled."""
  digits = datasets.pool(datasets.load("mnist", source="bundled"), 4)
  x = digits.images.reshape(len(digits.images), -1).astype(np.float32) / 255
  classes = tiny.Examples(x, np.eye(10, dtype=np.float32)[digits.labels])
  own = tiny.Examples(x, x)
  smooth = tiny.teacher(8, [16, 16], "tanh", scale=10.0, noise=0.3, seed=2)
  plain = {
    "relu": tiny.dense_network(classes, [24]),
    "tanh": tiny.dense_network(classes, [16, 16], "tanh", batch_size=64),
    "sigmoid": tiny.dense_network(classes, [20], "sigmoid", batch_size=64),
    "linear": tiny.dense_network(classes, [], num_examples=200),
    "noisy": tiny.dense_network(classes, [16], "elu", batch_size=16, label_noise=0.25),
    "autoencoder": tiny.dense_network(own, [20, 6, 20], loss="sigmoid_cross_entropy"),
    "teacher": tiny.dense_network(
      tiny.teacher(12, [32], seed=1), [24], loss="squared_error", num_examples=256
    ),
    "smooth_teacher": tiny.dense_network(smooth, [24], "tanh", loss="squared_error"),
  }
  chosen, ways = dict(plain), [starting_badly, rescaled, _by_coordinate, starting_badly]
  for k, (name, problem) in enumerate(plain.items() if transformed else ()):
    chosen[f"{name}_transformed"] = ways[k % len(ways)](problem)
  return base.Mixture(chosen, dict.fromkeys(chosen, 1.0), {"relu": plain["relu"]}, digits.digest)


def _by_coordinate(problem: base.Problem) -> base.Problem:
  return rescaled(problem, each="coordinate")


def training(shortest: int, longest: int, meta_steps: int, seed: int) -> Training:
  """How each phi is trained, but for the lengths of its episodes."""
  return Training(
    estimator="es",
    num_steps=longest,
    shortest=shortest,
    num_tasks=PAIRS,
    num_epochs=1,
    episodes_per_epoch=meta_steps,
    validation_runs=1,
    learning_rate=3e-3,
    learning_rate_decay=0.1,
    jit_compile=True,
    seed=seed,
  )


def train(variant: Variant, seed: int, meta_steps: int) -> list[np.ndarray]:
  """Trains a phi by evolution strategies."""
  config = training(variant.shortest, variant.longest, meta_steps, seed)
  trainer = EvolutionTrainer(problems(variant.transformed), variant.rule(seed=seed), config)
  while not trainer.epoch_complete:
    trainer.step()
  return [x.numpy() for x in trainer.phi]


def _one(
  meta_steps: int, count: int, runs: str, references: dict[str, Any], name: str, seed: int
) -> list[dict[str, Any]]:
  """Trains and scores one phi; its rows, one for each half of the benchmark."""
  path = os.path.join(runs, f"{name}_{seed}_{meta_steps}.npz")
  seconds, phi = trained(path, VARIANTS[name], seed, meta_steps)
  rival = as_rival(f"{name}_{seed}", VARIANTS[name].rule, phi)
  wanted = [task for task in tasks.TASKS.values() if HORIZON in measure.horizons_of(task)]
  planned = [run for task in wanted for run in measure.plan(task, rival, False, [HORIZON], count)]
  for job in measure.jobs(measure.missing(planned, runs), runs):
    measure.do(job)
  document = summary.summarize(rivals.PORTS[rival], wanted, runs, "")
  return [_row(name, seed, seconds, split, document, references) for split in comparison.SPLITS]


def chosen(groups: Sequence[Sequence[str]] | None, variants: Mapping[str, Any]) -> list[str]:
  """The variants that a flag names, all by default.

  Raises:
    UsageError: for one that is not known.
  """
  names = [name for group in groups or [tuple(variants)] for name in group]
  for name in names:
    if name not in variants:
      known = ", ".join(variants)
      raise experiment_flags.UsageError(f"Unknown variant {name!r}; known: {known}.")
  return names


def trained(
  path: str, variant: Variant, seed: int, meta_steps: int
) -> tuple[float, list[np.ndarray]]:
  """Processor seconds of a training, and its phi; from the file at `path` if there is one."""
  if not os.path.exists(path):
    began, content = time.process_time(), io.BytesIO()
    phi = train(variant, seed, meta_steps)
    np.savez(content, *phi, seconds=time.process_time() - began)
    files.write_aside(path, content.getvalue())
  with np.load(path) as arrays:
    return float(arrays["seconds"]), [arrays[f"arr_{k}"] for k in range(len(arrays) - 1)]


def with_weights(rule: general.General, phi: Sequence[np.ndarray]) -> general.General:
  """The rule, with these weights."""
  for variable, value in zip(rule.trainable_variables, phi, strict=True):
    variable.assign(value)
  return rule


def as_rival(name: str, rule: Callable[..., general.General], phi: Sequence[np.ndarray]) -> str:
  """Puts a rule with these weights among the benchmark's rivals, under the name returned."""
  digest = hashlib.sha256(b"".join(x.tobytes() for x in phi)).hexdigest()
  rivals.PORTS[name] = rivals.Rival(
    name, lambda _: LearnedOptimizer(with_weights(rule(seed=0), phi)), digest=digest
  )
  return name


def _row(
  name: str, seed: int, seconds: float, split: str, document: dict, references: dict[str, Any]
) -> dict[str, Any]:
  """How one phi does on the tasks of one half of the benchmark, against default and tuned Adam."""
  row = {"variant": name, "adds": VARIANTS[name].adds, "seed": seed, "tasks": split}
  for reference, other in references.items():
    found = comparison.comparisons(document, other)
    found = comparison.of_split(found, split, HORIZON)
    if not found:
      raise experiment_flags.UsageError(
        f"The results of {reference} are of other tasks or data; see docs/zoo.md for its command."
      )
    speed_up = scores.bootstrap([c.speed_ups for c in found])
    log_ratio = scores.bootstrap([c.log_ratios for c in found])
    row |= {
      f"speed_up_over_{reference.replace(' ', '_')}": speed_up.value,
      "num_tasks": len(found),
      f"log_ratio_to_{reference.replace(' ', '_')}": log_ratio.value,
    }
  return row | {"processor_seconds": seconds}


def alone():
  """Leaves the other cores to the other trainings."""
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)


if __name__ == "__main__":
  experiment_flags.run(main)
