"""What bin/zoo.py does once its flags are right."""

import os
import time

from l2l_tf import surroundings
from l2l_tf.cli import experiment_flags
from l2l_tf.plotting import curves
from l2l_tf.storage import files
from l2l_tf.storage import outputs
from l2l_tf.zoo import comparison
from l2l_tf.zoo import measure
from l2l_tf.zoo import report
from l2l_tf.zoo import rivals
from l2l_tf.zoo import summary
from l2l_tf.zoo import tasks

with surroundings.extra("train"):
  import tqdm


ALL, TUNED = "all", "tuned"
PROFILES = (
  *("general", "tuned Adam", "Celo", "Prodigy", "MoMoAdam", "Muon", "ScheduleFreeAdamW"),
  *("NAdamWCosine", "mnist_lstm", "cifar10_lstm"),
)


def run(flags: experiment_flags.Flags) -> int:
  """Runs what is missing, writes results files and prints tables; 1 if a run failed."""
  results = flags.results or flags.runs
  if flags.report:
    return _write_report(results, flags.docs or results)
  chosen, names, tuned = _tasks(flags), *_optimizers(flags)
  command = experiment_flags.command("bin/zoo.py", flags, ["runs", "results"], ["jobs"])
  os.makedirs(flags.runs, exist_ok=True)  # that it can be made shows now
  runs = measure.full_plan() if flags.full else _first_runs(names, chosen, tuned, flags)
  documents = _summaries(names, tuned, flags.runs, command)
  for name in names:
    _check(documents[name], results, flags.overwrite, runs)
  failed = _run(runs, flags)
  failed += _run(_finalist_runs(chosen, flags), flags) if tuned else 0
  os.makedirs(results, exist_ok=True)
  documents = _summaries(names, tuned, flags.runs, command)
  for document in documents.values():
    _check(document, results, flags.overwrite)
  for name, document in documents.items():
    path = os.path.join(results, summary.file_name(name))
    summary.write(path, document)
    print(f"Written to {path}")
  for name, document in documents.items():
    if name != comparison.DEFAULT or len(documents) == 1:
      shown = {task.name for task in chosen}
      print(_table(name, document, documents[comparison.DEFAULT], flags.metric, shown))
  return 1 if failed else 0


def _summaries(names, tuned: bool, runs: str, command: str) -> dict:
  """The results files of default Adam, of the optimizers named, and of tuned Adam if it was."""
  every, default = list(tasks.TASKS.values()), comparison.DEFAULT
  documents = {
    name: summary.summarize(rivals.find(name), every, runs, command, far=name == default)
    for name in dict.fromkeys([default, *names])
  }
  if tuned:
    documents[summary.TUNED] = summary.summarize_tuned(every, runs, command)
  return documents


def _check(document: dict, results: str, overwrite: bool, runs=()):
  """Makes sure that a results file takes the place of nothing that has more, see `outputs`.

  Args:
    document: what will be written.
    results: the directory of the file.
    overwrite: whether it may all the same.
    runs: those still to come, of all optimizers.
  """
  path = os.path.join(results, summary.file_name(document["optimizer"]))
  old = summary.content(summary.read(path)) if os.path.isfile(path) and not overwrite else None
  new = summary.content(document, runs)
  if old:
    counts = {name: new.counts.get(name, 0) for name in old.counts}
    outputs.check(path, new._replace(counts=counts), overwrite, lambda _: old)


def _tasks(flags) -> list:
  try:
    if not flags.task:
      return tasks.of_families(_flat(flags.family))
    return tasks.of_names(_flat(flags.task))
  except ValueError as error:
    raise experiment_flags.UsageError(str(error)) from error


def _optimizers(flags) -> tuple[list[str], bool]:
  """The names given, "all" spelt out, and whether "tuned" is among them."""
  given = [ALL, TUNED] if flags.full else _flat(flags.optimizer)
  names = [n for name in given for n in (rivals.standard() if name == ALL else [name])]
  names = [name for name in dict.fromkeys(names) if name != TUNED]
  try:
    for name in names:
      rivals.find(name)
  except rivals.UnknownOptimizer as error:
    raise experiment_flags.UsageError(str(error)) from error
  _check_names([comparison.DEFAULT, *names, *([summary.TUNED] if TUNED in given else [])])
  return names, TUNED in given


def _check_names(names: list[str]):
  """Makes sure that each optimizer has files of its own: some signs of a name become _ there."""
  for place in (summary.file_name, lambda name: measure.path_of("", measure.Run("", name, 0, 0))):
    found: dict[str, str] = {}
    for name in names:
      other = found.setdefault(place(name), name)
      if other != name:
        raise experiment_flags.UsageError(
          f"The files of {other} and {name} would have the same names. Rename one of the two"
          " directories, or run them one by one with another --runs and --results."
        )


def _flat(values) -> list[str]:
  """A flag given several times, its names separated by commas each time."""
  return [v for value in values for v in ([value] if isinstance(value, str) else value)]


def _first_runs(names, chosen, tuned: bool, flags) -> list[measure.Run]:
  """Default Adam far enough for speed-ups, the others, and for "tuned" each rate with one seed."""
  runs = []
  for task in chosen:
    for name in dict.fromkeys([comparison.DEFAULT, *names]):
      far = name == comparison.DEFAULT
      aware = rivals.find(name).knows_horizon
      runs += measure.plan(task, name, aware, flags.horizon, flags.seeds, far)
    for name in rivals.TUNED if tuned else ():
      runs += measure.plan(task, name, False, flags.horizon, 1)
  return runs


def _finalist_runs(chosen, flags) -> list[measure.Run]:
  """The best rates for each task and horizon, with all seeds and far."""
  runs = []
  for task in chosen:
    for horizon in measure.horizons_of(task, flags.horizon):
      for name in summary.finalists(task, flags.runs, horizon):
        runs += measure.plan(task, name, False, [horizon], flags.seeds, far=True)
  return measure.longest(runs)


def _run(runs: list[measure.Run], flags) -> int:
  """Makes those of the runs that are not there; returns how many jobs failed."""
  absent = measure.missing(dict.fromkeys(runs), flags.runs)
  print(f"{len(set(runs))} runs, {len(absent)} of them to be made.", flush=True)
  work = measure.jobs(absent, flags.runs)
  started = time.perf_counter()
  with tqdm.tqdm(total=len(work), unit="job", dynamic_ncols=True) as bar:

    def report_(job, reason):
      if reason:
        bar.write(f"Left out: {reason}")
      bar.set_postfix_str(f"{job.runs[0].task}, {job.runs[0].rival}", refresh=False)
      bar.update()

    failed = measure.do_all(work, flags.jobs, report_)
  if work:
    print(f"{time.perf_counter() - started:.0f} s", flush=True)
  return failed


def _table(name: str, document, reference, metric: str, shown) -> str:
  """What an optimizer reached, a line a task and horizon, in plain text."""
  lines = [f"\n{name} ({'held-out metric' if metric == 'held_out' else metric}, default Adam's)"]
  for c in comparison.comparisons(document, reference):
    if c.row["task"] not in shown:
      continue
    if metric == "speed_up":
      value = f"{c.speed_ups.mean():10.3g}"
    else:
      key = "final" if metric == "loss" else "held_out"
      value = f"{_mean(c.row[key]):>10} {_mean(_same(reference, c.row)[key]):>10}"
    diverged = "  diverged" if any(c.row["diverged"]) else ""
    lines.append(f"{c.row['task']:34}{c.row['horizon']:>6}{value}{diverged}")
  return "\n".join(lines)


def _same(document, row):
  keys = ("task", "horizon")
  return next(r for r in document["rows"] if all(r[key] == row[key] for key in keys))


def _mean(values) -> str:
  return "none" if not values or None in values else f"{sum(values) / len(values):.4g}"


def _write_report(results: str, docs: str) -> int:
  documents = summary.read_all(results)
  try:
    page = report.document(documents)
  except ValueError as error:
    raise experiment_flags.UsageError(f"--results={results}: {error}") from error
  picture = os.path.join(docs, report.PICTURE)
  os.makedirs(os.path.dirname(picture), exist_ok=True)
  names = [name for name in PROFILES if name in documents]
  files.write_aside(picture, curves.png(report.draw_profiles(documents, names), dpi=150))
  path = os.path.join(docs, "zoo.md")
  files.write_aside(path, page.encode())
  print(path)
  return 0
