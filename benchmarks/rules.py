"""Other rules for the general optimizer: python -m benchmarks.rules --out=X.json

What a change of the rule of optimizers/general.py is worth at 100 and at 1,000 steps, on the tasks
of the benchmark's training families only: no decision may look at the held-out ones. What came of
it is the option `orthogonal` of the rule, which `general` has; here all variants are held against
the same weights without it, results/general_plain. Some take those weights as they are; others are
trained from nothing, as in benchmarks/ablation.py. Weights and runs stay under --runs, and the same
command goes on with what is missing.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable, Sequence
import functools
import json
import multiprocessing
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks import ablation
from benchmarks import orthogonal
from benchmarks import reports
from l2l_tf import pretrained
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.problems import General as GeneralProblem
from l2l_tf.optimizers import general
from l2l_tf.problems import base
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import outputs
from l2l_tf.zoo import comparison
from l2l_tf.zoo import measure
from l2l_tf.zoo import rivals
from l2l_tf.zoo import scores
from l2l_tf.zoo import summary
from l2l_tf.zoo import tasks

HORIZONS = (100, 1000)
SPLIT = "training"  # families
PLAIN = os.path.join("general_plain", "zoo.json")  # of general without orthogonal updates
SHARES = {pretrained.GENERAL: 0.0, "half": 0.5, "orthogonal": 1.0}  # of the updates of matrices


class Variant(NamedTuple):
  """One rule.

  Attributes:
    about: what is different.
    rule: takes `seed`.
    trained: whether from nothing, on the ablation's transformed problems; else phi is `general`'s.
  """

  about: str
  rule: Callable[..., general.General]
  trained: bool = False


def _orthogonal_rule(about: str, trained: bool = False, **options: Any) -> Variant:
  return Variant(about, functools.partial(orthogonal.Orthogonal, **options), trained)


VARIANTS = {
  "orthogonal": _orthogonal_rule("updates of matrices made orthogonal"),
  "flattened": _orthogonal_rule("four singular values of each matrix brought down", rank=4),
  "orthogonal_retrained": _orthogonal_rule("made orthogonal, trained from nothing", True),
}


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "the results file")
  flags.add(tuple[str, ...], "variants", None, f"of {', '.join(VARIANTS)}; default all")
  flags.add(int, "meta_steps", 1000, "of each training", bounds=(1, 10**5))
  flags.add(int, "phis", 2, "trainings of a variant that is trained, other seeds", bounds=(1, 10))
  flags.add(int, "runs_a_task", 2, "seeds of each task that a phi is scored on", bounds=(1, 3))
  flags.add(int, "instances", 6, "of each validation problem; 0 for none", bounds=(0, 100))
  flags.add(paths.Written, "runs", "runs/rules", "directory of weights and of the runs' files")
  text = "variants at the same time, one core each"
  flags.add(int, "jobs", os.cpu_count() or 1, text, bounds=(1, 64))
  flags.add(bool, "overwrite", False, "replace a file of more variants, phis or meta-steps")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  names = ablation.chosen(flags.variants, VARIANTS)
  keys = ("meta_steps", "phis", "runs_a_task", "instances")
  counts = {key: getattr(flags, key) for key in keys}
  counts["variants"] = len(names)
  check = functools.partial(outputs.check, flags.out, outputs.Content({}, counts), flags.overwrite)
  check()
  files_ = {summary.TUNED: summary.file_name(summary.TUNED), pretrained.GENERAL: PLAIN}
  references = {
    name: summary.read(os.path.join(ablation.RESULTS, path)) for name, path in files_.items()
  }
  one = functools.partial(_one, flags.meta_steps, flags.runs_a_task, flags.runs, references)
  work = [
    (name, seed if VARIANTS[name].trained else None)
    for name in names
    for seed in range(flags.phis if VARIANTS[name].trained else 1)
  ]
  os.makedirs(flags.runs, exist_ok=True)
  context = multiprocessing.get_context("spawn")
  with context.Pool(min(flags.jobs, len(work)), ablation.alone, (), 1) as pool:
    found = pool.starmap(one, work, 1)
    validation = pool.apply(_validation, (flags.instances, flags.runs)) if flags.instances else []
  rows = _rows(references[pretrained.GENERAL], references, flags.runs_a_task)
  head = {"variant": pretrained.GENERAL, "about": "as it is", "phi": "shipped"}
  rows = [head | row | {"processor_seconds": None} for row in rows]
  rows += [row for rows in found for row in rows]
  print(reports.table([{k: v for k, v in row.items() if k != "about"} for row in rows]))
  if validation:
    print(reports.table(validation))
  check()
  content = {**counts, "pairs": ablation.PAIRS, "rows": rows, "validation": validation}
  reports.write(__file__, flags, content)
  return 0


def shipped() -> list[np.ndarray]:
  """The weights of `general`."""
  rule, _ = optimizer_files.load_optimizer(pretrained.find(pretrained.GENERAL))
  return [x.numpy() for x in rule.trainable_variables]


def _one(
  meta_steps: int, count: int, runs: str, references: dict[str, Any], name: str, seed: int | None
) -> list[dict[str, Any]]:
  """Trains, unless its weights are the shipped ones, and scores one phi: a row for each horizon."""
  rule, rival = VARIANTS[name].rule, name if seed is None else f"{name}_{seed}_{meta_steps}"
  seconds, phi = None, shipped()
  if seed is not None:
    variant = ablation.Variant("", rule, transformed=True)
    path = os.path.join(runs, f"{rival}.npz")
    seconds, phi = ablation.trained(path, variant, seed, meta_steps)
  ablation.as_rival(rival, rule, phi)
  wanted = [task for task in tasks.TASKS.values() if task.family in comparison.SPLITS[SPLIT]]
  longest = [max(HORIZONS)]
  planned = [run for task in wanted for run in measure.plan(task, rival, False, longest, count)]
  for job in measure.jobs(measure.missing(planned, runs), runs):
    measure.do(job)
  document = summary.summarize(rivals.PORTS[rival], wanted, runs, "")
  head = {
    "variant": name,
    "about": VARIANTS[name].about,
    "phi": "shipped" if seed is None else seed,
  }
  rows = [head | row for row in _rows(document, references, count)]
  return [row | {"processor_seconds": seconds} for row in rows]


def validated(
  problem: base.Problem, shares: Sequence[float], count: int, num_steps: int = max(HORIZONS)
) -> np.ndarray:
  """Losses with the shipped weights, where so much of each matrix's update is made orthogonal.

  Args:
    problem: what is optimized.
    shares: S of them; instances and minibatches are the same for all.
    count: R, instances.
    num_steps: T.

  Returns:
    `[T + 1, S, R]`.
  """
  rule = ablation.with_weights(orthogonal.Orthogonal(np.repeat(shares, count)), shipped())
  seeds = np.tile(problem.seeds(0, base.Stream.VALIDATION, count=count), [len(shares), 1])
  run = functools.partial(unroll.rollout, problem, rule, num_steps=num_steps)
  losses = tf.function(run, autograph=False, jit_compile=True)(tf.constant(seeds))
  return losses.numpy().reshape(num_steps + 1, len(shares), count)


def _validation(count: int, runs: str) -> list[dict[str, Any]]:
  """How `SHARES` do on the validation problems of the general mixture, a row for each horizon."""
  path = os.path.join(runs, f"validation_{count}.json")
  if os.path.exists(path):
    return files.read_json(path)["rows"]
  rows = []
  for problem_name, problem in GeneralProblem().build()[0].validation.items():
    losses = validated(problem, list(SHARES.values()), count)
    for horizon in HORIZONS:
      finals = scores.final_loss(np.moveaxis(losses[:horizon], 0, -1))
      for k, name in enumerate(SHARES):
        if name != pretrained.GENERAL:
          row = {"variant": name, "problem": problem_name, "horizon": horizon}
          ratios = [scores.log_ratio(finals[k], finals[0])]
          rows.append(row | _estimate("log_ratio_to_general", ratios, scores.mean))
  files.write_aside(path, json.dumps({"rows": rows}).encode())
  return rows


def _rows(document: dict[str, Any], references: dict[str, Any], count: int) -> list[dict[str, Any]]:
  """How one phi does on the training families, a row for each horizon.

  `over_general` is the log ratio of final losses to the shipped optimizer's, on the same seeds.
  """
  seeds = range(count)
  document = document | {"rows": [_with_seeds(row, seeds) for row in document["rows"]]}
  rows = []
  for horizon in HORIZONS:
    tuned, own = (
      comparison.of_split(comparison.comparisons(document, references[name]), SPLIT, horizon)
      for name in (summary.TUNED, pretrained.GENERAL)
    )
    if not tuned or not own:
      raise experiment_flags.UsageError(
        "The results of general or tuned Adam are of other tasks or data; see docs/zoo.md."
      )
    row = {"horizon": horizon, "num_tasks": len(tuned)}
    row |= _estimate("speed_up_over_tuned_Adam", [c.speed_ups for c in tuned])
    row |= _estimate("log_ratio_to_tuned_Adam", [c.log_ratios for c in tuned])
    row |= _estimate("log_ratio_to_general", [c.log_ratios for c in own])
    row["better_than_general"] = sum(bool(c.log_ratios.mean() < 0) for c in own)
    rows.append(row)
  return rows


def _with_seeds(row: dict[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
  """A row of a results file without the other seeds."""
  kept = [k for k, seed in enumerate(row["seeds"]) if seed in seeds]
  parts = ("seeds", "final", "diverged", "held_out")
  return row | {key: [row[key][k] for k in kept] for key in parts}


def _estimate(
  key: str, values: Sequence[np.ndarray], statistic: Any = scores.interquartile_mean
) -> dict[str, float]:
  found = scores.bootstrap(values, statistic)
  return {key: found.value, f"{key}_low": found.low, f"{key}_high": found.high}


if __name__ == "__main__":
  experiment_flags.run(main)
