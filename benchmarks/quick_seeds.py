"""The first run over seeds: python -m benchmarks.quick_seeds --out=results/quick_seeds.json

Meta-trains the quick preset as `make train` does, once for every case of `CASES`, each in a process
of its own: ten seeds on the 5,000 bundled digits, three on all of MNIST (TFDS_DATA_DIR), seed 0 on
one and on two threads and with oneDNN's operations off and on, which stand for other machines, five
seeds on quadratics, three on CIFAR-10 (TFDS_DATA_DIR) and three on neural art. Each phi then meets
fresh instances of its seed, for as many steps as the preset trains for, beside the hand-designed
rivals, each at its best of 30 learning rates: digits are whole ones of 28 x 28 pixels there. A run
directory stays under --runs, and the finished cases under OUT.work: the same command goes on.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
from concurrent import futures
import functools
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np

from benchmarks import reports
from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config import presets
from l2l_tf.config.problems import PROBLEMS
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import outputs

PROGRAM = "-m benchmarks.quick_seeds"
TUNING_RUNS = 10  # instances that pick each rival's learning rate


class Case(NamedTuple):
  """One meta-training."""

  group: str  # whose bounds hold for it
  problem: str
  options: dict[str, Any]  # of the problem it is tested on
  seed: int
  cores: int = 0  # that the process may use; 0: all
  environment: dict[str, str] = {}

  @property
  def steps(self) -> int:
    """Of its episodes, in training and in the test."""
    return presets.PRESETS["quick"][self.problem].training.num_steps


def _digits(seed: int, group: str = "digits", **more: Any) -> Case:
  return Case(group, "mnist", {"data": "bundled"}, seed, **more)


def _variant(**more: Any) -> Case:
  """Seed 0 as another machine may compute it; apart from the seeds, which it would outweigh."""
  return _digits(0, "digits_variants", **more)


def _neural_art(seed: int) -> Case:
  return Case("neural_art", "neural_art", {"size": 32, "vgg": "hed"}, seed)


CASES = {
  **{f"digits_{seed}": _digits(seed) for seed in range(10)},
  "digits_0_one_core": _variant(cores=1),
  "digits_0_two_cores": _variant(cores=2),
  "digits_0_onednn_off": _variant(environment={"TF_ENABLE_ONEDNN_OPTS": "0"}),
  "digits_0_onednn_on": _variant(environment={"TF_ENABLE_ONEDNN_OPTS": "1"}),
  **{f"mnist_{seed}": Case("mnist", "mnist", {"data": "tfds"}, seed) for seed in range(3)},
  **{f"quadratic_{seed}": Case("quadratic", "quadratic", {}, seed) for seed in range(5)},
  **{f"cifar10_{seed}": Case("cifar10", "cifar10", {"data": "tfds"}, seed) for seed in range(3)},
  **{f"neural_art_{seed}": _neural_art(seed) for seed in range(3)},
}
RIVALS = {"quadratic": tuple(optimizers.HAND_DESIGNED)}  # of others Adam, where all six take hours


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", None, "the results file")
  flags.add(paths.Written, "runs", "runs/quick_seeds", "directory of the run directories")
  text = f"of {', '.join(CASES)}, or groups of them: {', '.join(_groups())}; default all"
  flags.add(tuple[str, ...], "cases", None, text)
  flags.add(int, "test_runs", 40, "fresh instances of each seed", bounds=(2, 10**5))
  flags.add(int, "jobs", 1, "cases at the same time", bounds=(1, 64))
  flags.add(bool, "overwrite", False, "replace a file of more cases or instances")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  if not flags.out:
    raise experiment_flags.UsageError("Name the results file: --out=runs/quick_seeds.json.")
  known = {name: [name] for name in CASES} | _groups()
  names: dict[str, None] = {}  # each once, in this order
  for word in [word for words in flags.cases or [tuple(CASES)] for word in words]:
    if word not in known:
      raise experiment_flags.UsageError(f"Unknown case {word!r}; known: {', '.join(known)}.")
    names |= dict.fromkeys(known[word])
  content = outputs.Content(
    {f"case {name}": f"of {CASES[name].steps} steps" for name in names},
    {"test_runs": flags.test_runs, "tuning_runs": TUNING_RUNS},
  )
  check = functools.partial(outputs.check, flags.out, content, flags.overwrite, _content)
  check()
  work = f"{flags.out}.work"
  os.makedirs(work, exist_ok=True)
  with futures.ThreadPoolExecutor(flags.jobs) as pool:
    rows = dict(pool.map(lambda n: (n, _row(n, work, flags.runs, flags.test_runs)), names))
  for name, row in rows.items():
    print(f"{name:22}{row['mean_ratio']:8.3f}{row['final_ratio']:8.3f} of {row['rival']}")
  document = {
    "test_runs": flags.test_runs,
    "tuning_runs": TUNING_RUNS,
    "summary": summary(rows),
    "cases": rows,
  }
  check()
  reports.write(__file__, flags, document)
  for path in os.listdir(work):
    os.remove(os.path.join(work, path))
  os.rmdir(work)
  print(f"Written to {flags.out}")
  return 0


def _groups() -> dict[str, list[str]]:
  """The names of the cases of each group."""
  groups = {}
  for name, case in CASES.items():
    groups.setdefault(case.group, []).append(name)
  return groups


def _content(path: str) -> outputs.Content:
  """What a file of this program holds.

  Raises:
    OutputError: if it is none.
  """
  found = files.read_json(path)
  try:
    cases = {
      f"case {name}": f"of {row.get('steps', 100)} steps"  # before cases said it, all had 100
      for name, row in found["cases"].items()
    }
    counts = {name: int(found[name]) for name in ("test_runs", "tuning_runs")}
    return outputs.Content(cases, counts)
  except (KeyError, TypeError, ValueError) as error:
    raise outputs.OutputError(f"{path} is no file of this program.") from error


def summary(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
  """Median and worst of the ratios to the best rival, of each group of cases."""
  groups = {}
  for row in rows.values():
    groups.setdefault(row["group"], []).append(row)
  return {
    group: {
      "cases": len(of),
      **{
        f"{key}_{word}": float(function([row[f"{key}_ratio"] for row in of]))
        for key in ("mean", "final")
        for word, function in (("median", np.median), ("worst", np.max))
      },
    }
    for group, of in groups.items()
  }


def _row(name: str, work: str, runs: str, test_runs: int) -> dict[str, Any]:
  """Trains and tests a case in processes of its own, unless that is done; returns its row."""
  path = os.path.join(work, f"{name}_{test_runs}.json")  # another number is another test
  if not os.path.exists(path):
    directory = os.path.join(runs, name)
    seconds = _train(CASES[name], directory)
    code = "import sys; from benchmarks import quick_seeds as q; q.test(*sys.argv[1:])"
    words = [sys.executable, "-c", code, name, directory, str(test_runs), str(seconds), path]
    subprocess.run(words, check=True)
  return files.read_json(path)


def _train(case: Case, directory: str) -> float:
  """Trains a case, or goes on with it; returns the seconds of processor time of the last try."""
  words = [sys.executable, "bin/train.py", f"--run_dir={directory}"]
  if os.path.exists(os.path.join(directory, "config.json")):
    words += ["--resume"]
  else:
    words += [f"--problem={case.problem}", f"--seed={case.seed}"]
    words += [f"--{key}={value}" for key, value in case.options.items()]
  cores = sorted(os.sched_getaffinity(0))[: case.cores or None]
  words = ["taskset", "-c", ",".join(map(str, cores)), *words]
  os.makedirs(os.path.dirname(directory), exist_ok=True)
  with open(f"{directory}.log", "ab") as log:
    child = subprocess.Popen(words, env=os.environ | case.environment, stdout=log, stderr=log)
  _, status, usage = os.wait4(child.pid, 0)
  if status:
    raise OSError(f"The training of {directory} failed; see {directory}.log.")
  return usage.ru_utime + usage.ru_stime


def test(name: str, directory: str, test_runs: str, seconds: str, out: str):
  """Compares what a case has trained with the rivals, and writes its row to `out`."""
  case = CASES[name]
  options = PROBLEMS[case.problem](**case.options)
  problem, data = options.build()
  seeds = problem.seeds(case.seed, Stream.TEST, count=int(test_runs))
  names = RIVALS.get(case.problem, ("adam",))
  rates = baselines.tune(problem, names, case.seed, case.steps, TUNING_RUNS)
  rivals = {n: optimizers.HAND_DESIGNED[n](rate) for n, rate in rates.items()}
  learned, about = optimizer_files.load_optimizer(os.path.join(directory, "best"))
  everybody = {"learned": learned, **rivals}
  curves = {n: protocol.curves(problem, o, seeds, case.steps) for n, o in everybody.items()}
  means = {n: c[:, 1:].mean(axis=1) for n, c in curves.items()}
  finals = {n: protocol.final_losses(c) for n, c in curves.items()}
  best = min(rivals, key=lambda n: finals[n].mean())
  mean, final = (intervals.ratio_interval(x["learned"], x[best]) for x in (means, finals))
  row = {
    "group": case.group,
    "seed": case.seed,
    "steps": case.steps,
    "data": data,
    "environment": case.environment,
    "cores": case.cores or len(os.sched_getaffinity(0)),
    "processor_seconds": float(seconds),
    "epoch": about["epoch"],
    "rival": f"{best}@{rates[best]:.3g}",
    "mean_ratio": mean.ratio,
    "mean_interval": [mean.low, mean.high],
    "final_ratio": final.ratio,
    "final_interval": [final.low, final.high],
    "mean_loss": {n: float(x.mean()) for n, x in means.items()},
    "final_loss": {
      n: float(x.mean()) if np.isfinite(x.mean()) else None for n, x in finals.items()
    },
  }
  files.write_json(out, row)


if __name__ == "__main__":
  experiment_flags.run(main, (subprocess.CalledProcessError,))
