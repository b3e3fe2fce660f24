"""What bin/visualize.py does once its flags are right."""

import functools
import os
from typing import Any

import numpy as np

from l2l_tf.cli import experiment_flags
from l2l_tf.cli.work import next_steps
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import candidates
from l2l_tf.evaluation import comparison
from l2l_tf.evaluation import results
from l2l_tf.inspection import coordinates as coordinates_lib
from l2l_tf.inspection import proposal_files
from l2l_tf.inspection import proposal_runs
from l2l_tf.inspection import sweep_files
from l2l_tf.plotting import terminal
from l2l_tf.problems.base import Problem
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import shapes
from l2l_tf.runs import tensorboard
from l2l_tf.storage import files
from l2l_tf.storage import outputs
from l2l_tf.storage import provenance
from l2l_tf.view import page

PATH_FLAGS = ("optimizer", "rates_from", "out", "content_dir", "style")  # recorded relative to here
UNRECORDED = ("data", "data_dir", "html", "logdir", "overwrite")  # do not decide the numbers


def run(flags: experiment_flags.Flags, options: Any) -> int:
  """Looks at the optimizer on the problem of `options`, prints the table, writes the numbers."""
  (learned,) = candidates.load(
    [flags.optimizer], [], flags.problem, flags.transfer, flags.user_optimizer
  )
  problem, data = options.build()
  print(f"Data: {data}", flush=True)
  setting = comparison.Setting(flags.problem, options, flags.num_steps, 1, flags.tuning_runs)
  rates, tuning_runs = None, flags.tuning_runs
  if flags.rates_from:
    rates, tuning_runs = _rates(flags.rates_from, setting, data)
  (seed,) = problem.seeds(flags.seed, Stream.TEST, count=1)
  steps = range(1, min(flags.num_panels, flags.num_steps) + 1)
  ranges = proposal_runs.choose(
    problem, learned.optimizer, seed, max(steps), _coordinates(flags, problem), flags.max_gradient
  )
  head = {
    "schema": proposal_files.SCHEMA,
    "command": experiment_flags.command("bin/visualize.py", flags, PATH_FLAGS, UNRECORDED),
    "versions": provenance.versions(),
    "data": data,
    "data_sha256": problem.digest,
    "problem": setting.config(),
    "optimizer": {"name": learned.name, "source": learned.source, "sha256": learned.sha256},
    "seed": flags.seed,
    "stream": int(Stream.TEST),
    "tuning_runs": tuning_runs,
  }
  plan = head | {"num_steps": flags.num_steps, "steps": steps, "coordinates": map(str, ranges)}
  path = flags.out or os.path.join(
    outputs.RUNS, "results", "visualizations", f"{learned.name}.json"
  )
  flags.check_written("out", path)
  content = proposal_files.content(plan)
  check = functools.partial(outputs.check, path, content, flags.overwrite, _content)
  check()
  flags.check_written("html", flags.html)
  if flags.html and os.path.realpath(flags.html) == os.path.realpath(path):
    raise experiment_flags.UsageError(f"--out and --html must be two files, got {path} for both.")
  page.check(flags.html, flags.overwrite)
  for directory in (os.path.dirname(path), os.path.dirname(flags.html or ""), flags.logdir):
    os.makedirs(directory or ".", exist_ok=True)
  rates = rates or baselines.tune(
    problem, proposal_files.RIVALS, flags.seed, flags.num_steps, tuning_runs
  )
  finite = {name: rate for name, rate in rates.items() if rate is not None}  # others all diverged
  document = head | proposal_runs.compute(
    problem, learned.optimizer, finite, seed, flags.num_steps, steps, flags.num_values, ranges
  )
  check()  # another process may have written there meanwhile
  proposal_files.write(path, document)
  _print(document)
  print(f"Written to {path}")
  if flags.html:
    page.check(flags.html, flags.overwrite)
    title = f"What {learned.name} learned, on {flags.problem}"
    documents = [sweep_files.of_visualization(document)]
    files.write_aside(flags.html, page.make(title, {learned.name: documents}))
    print(f"View: open {flags.html} in a browser")
  if flags.logdir:
    tensorboard.write_visualization(flags.logdir, document)
    words = "-m", "tensorboard.main", f"--logdir={flags.logdir}"
    print(f"TensorBoard: {next_steps.python(*words)}")
  return 0


def _rates(
  path: str, setting: comparison.Setting, data: str
) -> tuple[dict[str, float | None], int]:
  """The rates of the rivals in a results file, and how many instances picked them.

  Raises:
    ResultsError: if the file cannot be read, or the rivals were tuned for something else.
  """
  expected = {"data": data, "problem": setting.config(), "num_steps": setting.num_steps}
  found = results.read_of(path, expected)
  missing = set(proposal_files.RIVALS) - set(found["optimizers"])
  if missing:
    raise results.ResultsError(f"{path} lacks {', '.join(sorted(missing))}.")
  rates = {name: found["optimizers"][name]["learning_rate"] for name in proposal_files.RIVALS}
  return rates, found["tuning_runs"]


def _coordinates(
  flags: experiment_flags.Flags, problem: Problem
) -> list[coordinates_lib.Coordinate] | None:
  """What --coordinates names; None if it is not given."""
  try:
    return flags.coordinates and coordinates_lib.parse(flags.coordinates, shapes(problem))
  except ValueError as error:
    raise experiment_flags.UsageError(f"--coordinates: {error}") from error


def _content(path: str) -> outputs.Content:
  return proposal_files.content(proposal_files.read(path))


def _print(document: dict[str, Any]):
  """The table and the learned optimizer's loss, for the terminal."""
  name, steps = document["optimizer"]["name"], document["num_steps"]
  rates = (f"{n} {r['learning_rate']:.3g}" for n, r in document["rivals"].items())
  print(f"\n{name} on one instance of {steps} steps; tuned rivals: {', '.join(rates)}")
  print(terminal.curves({name: np.array(document["losses"])}))
  print(f"\n{proposal_files.table(document)}")
  print(
    "at 0: what a gradient of 0 would get, in units of the largest update of the sweep, positive\n"
    "if it goes on against the mean gradient so far; half: the update's change over the middle\n"
    "half of the sweep, of that over all of it: 0.5 for a line, 1 for a step; against Adam: the\n"
    "share of the sweep where Adam would go the other way\n"
  )
  shares = (f"{n} {share:.0%}" for n, share in proposal_files.uphill(document).items())
  print(f"uphill, with the sign of the gradient seen: {', '.join(shares)} of the updates\n")
