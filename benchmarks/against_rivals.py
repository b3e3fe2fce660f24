"""One meta-step against its rivals: python -m benchmarks.against_rivals [--rivals_python=PATH]

A meta-step is 20 optimization steps of the MNIST base MLP (15,910 coordinates, minibatch 128) by
the 2 x 20 LSTM, the meta-gradient with first derivatives, and Adam on phi. Ours, a loop in PyTorch,
a scan in JAX, the original's way in TensorFlow 2, and the matrix products alone take turns, each in
a process of its own. Before that all must compute the same losses, meta-gradients and phi.

The rivals need `pip install -e ".[implementations]"`, here or in the environment of
--rivals_python; ours_compiled needs g++. Run it on an otherwise idle machine.
"""

from collections.abc import Sequence
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks import reports
from benchmarks.implementations import case as case_lib
from benchmarks.implementations import matrix_products
from benchmarks.implementations import ours
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.errors import ExpectedError
from l2l_tf.problems.datasets import SOURCES

OURS = ("ours", "ours_compiled", "ours_sampled")  # no rivals
CONTESTANTS = (*OURS, "torch_loop", "jax_scan", "per_parameter", "matrix_products")
RIVALS = ("torch_loop", "jax_scan")  # which need packages of their own
FLOOR = "matrix_products"
SAMPLED = "ours_sampled"  # takes another meta-gradient

# By how much float32 results may differ, after 20 steps that feed each other: in losses, in the
# meta-gradient of each tensor, and in how far phi went in `worker.CHECKED_STEPS` meta-steps, all by
# norms. Of phi, only what has a gradient above CLEAR counts: the rivals' Adams put epsilon beside
# the corrected root, which smaller ones notice.
TOLERANCES = {"losses": 1e-4, "gradients": 1e-3, "phi": 0.05}
CLEAR = 1e-4


class Disagreement(ExpectedError, RuntimeError):
  """A contestant computes something else."""


class Process:
  """A contestant in its own process, which keeps to the first `threads` cores."""

  def __init__(self, name: str, path: str, threads: int, python: str):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    cores = measuring.cpus()[:threads]
    self.name = name
    self._process = subprocess.Popen(
      [python, "-m", f"benchmarks.implementations.{name}", path],
      cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
      env=environment,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      preexec_fn=lambda: hasattr(os, "sched_setaffinity") and os.sched_setaffinity(0, cores),
    )

  def ask(self, command: str, argument: Any) -> dict[str, Any]:
    """Sends a command of `implementations.worker` and waits for the answer.

    Raises:
      ChildProcessError: if the process ends instead.
    """
    with contextlib.suppress(BrokenPipeError):  # its end is noticed below
      self._process.stdin.write(json.dumps([command, argument]) + "\n")
      self._process.stdin.flush()
    line = self._process.stdout.readline()
    if not line:
      status = self._process.wait()
      raise ChildProcessError(
        f"{self.name} ended with status {status}; its reason is printed above. The rivals need"
        ' pip install -e ".[implementations]", here or in the environment of --rivals_python.'
      )
    return json.loads(line)

  def __enter__(self) -> "Process":
    return self

  def __exit__(self, *exc_info: Any):
    with contextlib.suppress(BrokenPipeError):
      self._process.stdin.close()
    self._process.wait()
    self._process.stdout.close()


def compare(name: str, case: case_lib.Case, expected: dict, received: dict) -> dict[str, float]:
  """The largest differences between two answers to "check", relative as the tolerances are.

  Raises:
    Disagreement: if one is above its tolerance.
  """
  differences = dict.fromkeys(TOLERANCES, 0.0)
  for key, value in expected.items():
    kind, _, tensor = key.partition(":")
    difference, scale = received[key] - value, value
    if kind == "phi":
      clear = np.abs(expected[f"gradients:{tensor}"]) > CLEAR
      difference, scale = difference[clear], (value - case.phi[tensor])[clear]
    if scale.size:
      relative = float(np.linalg.norm(difference) / np.linalg.norm(scale))
      differences[kind] = max(differences[kind], relative)
  for kind, difference in differences.items():
    if not difference <= TOLERANCES[kind]:
      raise Disagreement(
        f"{kind} of {name} differ from ours by {difference:.2g}, at most {TOLERANCES[kind]:g} is"
        " allowed."
      )
  return differences


def check(path: str, names: Sequence[str], python: dict[str, str]) -> list[dict[str, Any]]:
  """Compares all contestants with ours; returns a row of differences each."""
  answers, case = {}, case_lib.load(path)
  for name in names:
    out = f"{path}.{name}.npz"
    with Process(name, path, 1, python[name]) as process:
      process.ask("check", out)
    with np.load(out) as arrays:
      answers[name] = dict(arrays)
  others = [name for name in names if name != "ours"]
  return [
    {"contestant": name} | compare(name, case, answers["ours"], answers[name]) for name in others
  ]


def race(
  path: str, names: Sequence[str], python: dict[str, str], threads: int, rounds: int, batch: int
) -> list[dict[str, Any]]:
  """Lets the contestants take turns; returns a row of figures each.

  Args:
    path: of the case.
    names: of the contestants.
    python: the interpreter of each.
    threads: and cores of each.
    rounds: turns of each contestant, after its first.
    batch: timed meta-steps a turn, after one that is not.
  """
  firsts, seconds = {}, {name: [] for name in names}
  with contextlib.ExitStack() as stack:
    start = lambda name: stack.enter_context(Process(name, path, threads, python[name]))  # noqa: E731
    processes = [start(name) for name in names]
    for process in processes:
      firsts[process.name] = process.ask("time", batch)
    for _ in range(rounds):
      for process in processes:
        seconds[process.name] += process.ask("time", batch)["seconds"]
  medians = {name: measuring.quantiles(values)["median"] for name, values in seconds.items()}
  fastest = min((medians[name] for name in names if name not in (*OURS, FLOOR)), default=None)
  rows = []
  for name in names:
    first, times = firsts[name], measuring.quantiles(seconds[name])
    rows.append(
      {
        "contestant": name,
        "threads": threads,
        **{f"{key}_s": value for key, value in times.items() if key != "count"},
        "count": times["count"],
        "over_fastest_rival": times["median"] / fastest if fastest else None,
        "over_floor": times["median"] / medians[FLOOR] if FLOOR in medians else None,
        "compile_s": max(0.0, first["first_seconds"] - times["median"]),
        "peak_mib": first["peak"] / measuring.MIB,
        "first_peak_mib": first["first_peak"] / measuring.MIB,
        "versions": " ".join(f"{k} {v}" for k, v in first["versions"].items()),
      }
    )
  return rows


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(tuple[str, ...], "contestants", None, f"who takes part: {', '.join(CONTESTANTS)}")
  flags.add(
    paths.Read, "rivals_python", sys.executable, "interpreter that has the packages of the rivals"
  )
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  flags.add(tuple[int, ...], "threads", (1, 2), "of each contestant, a race each")
  flags.add(int, "rounds", 10, "turns of each contestant")
  flags.add(int, "batch", 3, "timed meta-steps a turn, after one that is not")
  flags.add(int, "num_steps", 20, "optimization steps a meta-step")
  flags.add(int, "batch_size", 128, "examples a minibatch")
  flags.add(paths.Written, "out", None, "JSON file to write: benchmarks/against_rivals.json")
  flags.parse(argv)
  names = [name for given in flags.contestants or [CONTESTANTS] for name in given]
  _check_flags(flags, names)
  python = {name: flags.rivals_python if name in RIVALS else sys.executable for name in names}
  data = problems.load("mnist", "train", flags.data)
  case = ours.make_case(data.images, data.labels, flags.num_steps, flags.batch_size)
  print(f"{data.source}; {matrix_products.flops(case) / 1e9:.1f} GFLOP of matrix products")
  with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "case.npz")
    case_lib.save(path, case)
    differences = check(path, [name for name in names if name not in (SAMPLED, FLOOR)], python)
    if differences:
      print(f"Largest relative differences from ours:\n{reports.table(differences)}\n")
    rows = []
    for threads in flags.threads:
      rows += race(path, names, python, threads, flags.rounds, flags.batch)
  reports.report(__file__, flags, rows, data=data.source, differences=differences)
  return 0


def _check_flags(flags: experiment_flags.Flags, names: Sequence[str]):
  if not {"ours"} <= set(names) <= set(CONTESTANTS):
    raise experiment_flags.UsageError(
      f"--contestants must be ours and some of {', '.join(CONTESTANTS[1:])}; got"
      f" {', '.join(names)}."
    )
  for name in ("rounds", "batch", "num_steps", "batch_size"):
    if getattr(flags, name) < 1:
      raise experiment_flags.UsageError(f"--{name} must be at least 1, got {getattr(flags, name)}.")
  usable = len(measuring.cpus())
  if not all(1 <= threads <= usable for threads in flags.threads):
    raise experiment_flags.UsageError(
      f"--threads must be of 1..{usable}, the cores this process may use; got {flags.threads}."
    )


if __name__ == "__main__":
  experiment_flags.run(main)
