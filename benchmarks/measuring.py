"""What the benchmarks measure with: time, peak memory, the machine's description."""

from collections.abc import Callable, Sequence
import multiprocessing
import os
import platform
import sys
import time
from typing import Any

import numpy as np

MIB = 2**20


def resident_bytes() -> int:
  """Memory that this process has now; 0 where the system does not say (only Linux does)."""
  return _status("VmRSS")


def peak_bytes() -> int:
  """The most memory that this process has had since `reset_peak`, or ever; 0 as above."""
  return _status("VmHWM")


def reset_peak():
  """Lets `peak_bytes` start anew from what is resident now, where the system can."""
  if os.path.exists("/proc/self/clear_refs"):
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
      file.write("5")


def _status(key: str) -> int:
  if not os.path.exists("/proc/self/status"):
    return 0
  with open("/proc/self/status", encoding="ascii") as file:
    lines = dict(line.split(":", 1) for line in file)
  return int(lines[key].split()[0]) * 1024


def timed(function: Callable[[], Any], repeats: int) -> list[float]:
  """Calls `function`, which waits for its result, and returns the seconds of each call."""
  seconds = []
  for _ in range(repeats):
    began = time.perf_counter()
    function()
    seconds.append(time.perf_counter() - began)
  return seconds


def measured(function: Callable[[], Any], repeats: int, baseline: int | None = None) -> dict:
  """Times `function` and the memory it takes over what was resident before.

  Args:
    function: waits for its result; called twice more before the clock runs.
    repeats: timed calls.
    baseline: bytes to count from; by default what is resident before the first call.

  Returns:
    `first_seconds` (tracing and compilation included), `seconds` (see `quantiles`), `first_peak`
    and `peak`, the bytes over `baseline` of the first call and of the timed ones.
  """
  reset_peak()
  baseline = resident_bytes() if baseline is None else baseline
  (first,) = timed(function, 1)
  first_peak = peak_bytes() - baseline
  function()
  reset_peak()
  seconds = timed(function, repeats)
  peak = peak_bytes() - baseline
  return {
    "first_seconds": first,
    "seconds": quantiles(seconds),
    "first_peak": first_peak,
    "peak": peak,
  }


def in_own_process(function: Callable[..., Any], *args: Any) -> Any:
  """Returns `function(*args)` from a new process, whose memory nothing else has used."""
  with multiprocessing.get_context("spawn").Pool(1) as pool:
    return pool.apply(function, args)


def row(figures: dict) -> dict[str, Any]:
  """What `measured` returns, flat, in seconds and MiB."""
  return {
    **{f"{key}_s": value for key, value in figures["seconds"].items() if key != "count"},
    "first_s": figures["first_seconds"],
    "peak_mib": figures["peak"] / MIB,
    "first_peak_mib": figures["first_peak"] / MIB,
  }


def ratio(a: float, b: float) -> float | None:
  """a / b, and None where b was too small to be seen."""
  return a / b if b > 0 else None


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
  """The median, and the 10 % and 90 % quantiles."""
  low, median, high = np.percentile(seconds, [10, 50, 90])
  return {"median": median, "low": low, "high": high, "count": len(seconds)}


def machine() -> dict[str, Any]:
  """The processor, its cores, and those this process may use."""
  return {
    "cpu": _cpu(),
    "cores": os.cpu_count(),
    "usable_cores": len(cpus()),
    "system": f"{platform.system()} {platform.machine()}",
  }


def versions(packages: Sequence[str]) -> dict[str, str]:
  """The versions of those of `packages` that are imported."""
  return {name: sys.modules[name].__version__ for name in packages if name in sys.modules}


def _cpu() -> str:
  if os.path.exists("/proc/cpuinfo"):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      for line in file:
        if line.startswith("model name"):
          return line.split(":", 1)[1].strip()
  return platform.processor() or "unknown"


def cpus() -> list[int]:
  """The cores that this process may run on."""
  if hasattr(os, "sched_getaffinity"):
    return sorted(os.sched_getaffinity(0))
  return list(range(os.cpu_count() or 1))
