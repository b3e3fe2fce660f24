"""What bin/evaluate.py does once its flags are right."""

from collections.abc import Sequence
import functools
import os
from typing import Any

from l2l_tf.cli import experiment_flags
from l2l_tf.config.options import Options
from l2l_tf.evaluation import candidates
from l2l_tf.evaluation import results as results_lib
from l2l_tf.evaluation.comparison import Comparison
from l2l_tf.evaluation.comparison import Setting
from l2l_tf.evaluation.intervals import Interval
from l2l_tf.runs import reporting
from l2l_tf.storage import outputs
from l2l_tf.storage import provenance
from l2l_tf.storage.cache import Parts

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
SIZES = ("num_steps", "num_runs", "tuning_runs", "finalist_runs", "seed")


def run(flags: experiment_flags.Flags, options: Options, path: str) -> int:
  """Compares on the problem of `options`, prints the table, and writes the results to `path`."""
  sizes = {name: getattr(flags, name) for name in SIZES}
  setting = Setting(flags.problem, options, **sizes)
  names = _flat(flags.optimizer), _flat(flags.peer)
  everybody = candidates.load(*names, flags.problem, flags.transfer, flags.user_optimizer)
  if flags.work_dir and os.path.realpath(flags.work_dir) == os.path.realpath(path):
    raise experiment_flags.UsageError(f"--out and --work_dir must be two, got {path} for both.")
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
  rival = min(steps, key=steps.__getitem__, default="no rival")
  when = f" first, at step {steps[rival]}" if steps else ""
  return f"{rival} reaches the loss that {name} has at step {EARLY_STEP}{when}"


def _interval(value: dict[str, float | None]) -> str:
  if value["mean"] is None or value["half"] is None:
    return _number(value["mean"])
  return str(Interval(value["mean"], value["half"]))


def _number(value: float | None) -> str:
  return "diverged" if value is None else f"{value:.4g}"
