"""Compares trained optimizers with tuned rivals: python bin/evaluate.py --optimizer=mnist_lstm

The protocol of the paper (section 3): each of the six hand-designed rivals gets the learning rate,
of 30, with the best final loss on tuning instances; then all optimizers run on the same fresh
instances, from the same theta_0 and on the same minibatches. The table is printed, and everything
behind it written to runs/results/NAME.json, from which bin/figures.py draws. It takes the place of
older results only if nothing of them is lost (--overwrite: in any case). Finished parts are kept in
a work directory beside it: the same command goes on after an interruption.
"""

import functools
import os
import re
from typing import Any, Sequence

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import user_problem
from l2l_tf.evaluation import candidates
from l2l_tf.evaluation import results as results_lib
from l2l_tf.evaluation.comparison import Comparison
from l2l_tf.evaluation.comparison import Setting
from l2l_tf.evaluation.intervals import Interval
from l2l_tf.optimizers import partition
from l2l_tf.problems import DataError
from l2l_tf.runs import reporting
from l2l_tf.storage import files
from l2l_tf.storage import outputs
from l2l_tf.storage import peers
from l2l_tf.storage import provenance
from l2l_tf.storage.cache import Parts

ERRORS = (
  outputs.OutputError,
  results_lib.ResultsError,
  candidates.ContenderError,
  files.CheckpointError,
  peers.PeerError,
  user_problem.UserProblemError,
  partition.LabelError,
  DataError,
  OSError,
)
PATH_FLAGS = (
  "optimizer",
  "peer",
  "out",
  "content_dir",
  "style",
)  # absolute paths in them are recorded relative to here
UNRECORDED = (
  "data",
  "data_dir",
  "work_dir",
  "overwrite",
)  # do not decide the results, and are not recorded
EARLY_STEP = 100  # where longer runs are compared once more
LIMITS = {
  "num_steps": (1, 10**6),
  "num_runs": (2, 10**6),
  "tuning_runs": (1, 10**4),
  "finalist_runs": (0, 10**4),
  "seed": (0, 2**31 - 1),
}


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  names = tuple[paths.Read, ...]
  flags.add(names, "optimizer", None, "directories of trained optimizers, or pretrained names")
  flags.add(
    names, "peer", None, "files of another implementation's weights (l2l_tf/storage/peers.py)"
  )
  flags.add(bool, "transfer", False, "accept optimizers trained on another problem")
  flags.add(int, "num_steps", 100, "steps of each run; the rivals are tuned for them")
  flags.add(int, "num_runs", 100, "fresh instances, at least 2")
  flags.add(int, "tuning_runs", 10, "instances that pick the learning rates")
  flags.add(
    int,
    "finalist_runs",
    0,
    "compare each rival's best rate with its neighbours on so many; 0: don't",
  )
  flags.add(int, "seed", 0, "of all instances")
  flags.add(str, "name", None, "of the file runs/results/NAME.json; default PROBLEM_STEPS")
  experiment_flags.add_output(flags, None, "the results file itself, in place of --name")
  flags.add(
    paths.Written,
    "work_dir",
    None,
    "finished parts; default OUT.work, removed at the end; a named one stays",
  )
  flags.group("Problem")
  experiment_flags.add_problem(flags, "what is optimized")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  flags.check(LIMITS)
  if 0 < flags.finalist_runs <= flags.tuning_runs:
    raise experiment_flags.UsageError(
      f"--finalist_runs must be more than --tuning_runs={flags.tuning_runs}, or 0, got"
      f" {flags.finalist_runs}."
    )
  sizes = {name: getattr(flags, name) for name in LIMITS}
  setting = Setting(flags.problem, experiment_flags.problem(flags), **sizes)
  flags.check_written("out", path := _output(flags))
  everybody = candidates.load(
    _flat(flags.optimizer), _flat(flags.peer), flags.problem, flags.transfer
  )
  parts = Parts(flags.work_dir or f"{path}.work")
  comparison = Comparison(
    setting, everybody, parts, progress=lambda name, runs: report.advance(runs, name)
  )
  print(f"Data: {comparison.data}")
  content = results_lib.content(comparison.plan())
  check = functools.partial(outputs.check, path, content, flags.overwrite, _content)
  check()
  for directory in (os.path.dirname(path) or ".", parts.directory):
    os.makedirs(directory, exist_ok=True)
  with reporting.Report(comparison.total_runs, "run") as report:
    try:
      numbers = comparison.run()
    except KeyboardInterrupt:
      report.close()
      print(f"Stopped. Finished parts are in {parts.directory}; the same command goes on.")
      return 130
  command = experiment_flags.command("bin/evaluate.py", flags, PATH_FLAGS, UNRECORDED)
  head = {"schema": results_lib.SCHEMA, "command": command}
  results = head | {"versions": provenance.versions()} | numbers
  check()  # another process may have written there meanwhile
  results_lib.write(path, results)
  if not flags.work_dir:
    parts.remove()
  _print_table(results, comparison.seconds)
  print(f"Written to {path}")
  return 0


def _flat(values: Sequence[Sequence[str]] | None) -> list[str]:
  """A flag that was given several times, each time with names separated by commas."""
  return [value for group in values or () for value in group]


def _output(flags: experiment_flags.Flags) -> str:
  if flags.out and flags.name:
    raise experiment_flags.UsageError(
      "--out and --name both name the results file; give one of them."
    )
  name = flags.name or f"{experiment_flags.problem_label(flags)}_{flags.num_steps}"
  if not re.fullmatch(r"\w[\w.-]*", name):
    raise experiment_flags.UsageError(
      f"--name must consist of letters, digits and _.-, got {name!r}."
    )
  return flags.out or os.path.join(outputs.RUNS, "results", f"{name}.json")


def _content(path: str) -> outputs.Content:
  return results_lib.content(results_lib.read(path))


def _print_table(results: dict[str, Any], seconds: dict[str, float]):
  """Prints a row an optimizer."""
  best, steps = results["best_rival"], results["num_steps"]
  width = max(map(len, results["optimizers"]))
  columns = f"{'mean loss':>18}{'final loss':>18}{'median':>10}{'rate':>10}{f'/ {best}':>24}"
  print(f"\n{results['num_runs']} fresh instances of {steps} steps ({results['data']})")
  print(f"  {'':{width}}{columns}{'seconds':>9}")
  for name, entry in results["optimizers"].items():
    mean, final = (_interval(entry[key]) for key in ("mean_loss", "final_loss"))
    median = _number(entry["final_loss_quantiles"]["50"])
    rate = entry.get("learning_rate", "")
    rate = "none" if rate is None else rate and f"{rate:.3g}"
    ratio = results_lib.ratio_of(results, name, best) or ""
    cells = f"{mean:>18}{final:>18}{median:>10}{rate:>10}{ratio!s:>24}"
    print(f"  {name:{width}}{cells}{seconds[name]:>9.1f}")
  print(
    f"mean loss: of steps 1-{steps}; final loss: of the last {results['final_steps']} points; ± and"
    f" (..): 95 % intervals\n/ {best}: ratio of the final losses, paired over instances\n"
  )
  learned = [n for n, e in results["optimizers"].items() if e["kind"] != "rival"]
  for name in learned if best else []:
    print(_lead(results, name))
    if steps > EARLY_STEP:
      print(_early(results, name))


def _lead(results: dict[str, Any], name: str) -> str:
  """From where on an optimizer is ahead of all rivals, in words."""
  window = results["final_steps"]
  at, smoothly = (results_lib.leads_from(results, name, points) for points in (1, window))
  if at is None and smoothly is None:
    return f"{name} is not ahead of all rivals at the end"
  when = ["not at the end" if step is None else f"from step {step} on" for step in (at, smoothly)]
  return f"{name} is ahead of all rivals {when[0]}; in means of {window} points {when[1]}"


def _early(results: dict[str, Any], name: str) -> str:
  """Who of the rivals is first to be where an optimizer is at `EARLY_STEP`, in words."""
  try:
    steps = results_lib.steps_of_rivals(results, name, EARLY_STEP)
  except ValueError as error:
    return str(error)
  rival = min(steps, key=steps.get, default="no rival")
  when = f" first, at step {steps[rival]}" if steps else ""
  return f"{rival} reaches the loss that {name} has at step {EARLY_STEP}{when}"


def _interval(value: dict[str, float | None]) -> str:
  if value["mean"] is None or value["half"] is None:
    return _number(value["mean"])
  return str(Interval(value["mean"], value["half"]))


def _number(value: float | None) -> str:
  return "diverged" if value is None else f"{value:.4g}"


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main, ERRORS)
