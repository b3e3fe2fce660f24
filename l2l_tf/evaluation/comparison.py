"""One comparison (section 3): rivals tuned on a grid, then everybody on the same fresh instances.

What it takes long to compute is kept in parts (`storage.cache`): one for each rival and tuning
seed, and one for each optimizer and batch of instances. A comparison that was interrupted, or that
shares rivals with another, thus computes only what is missing, and ends with the same numbers.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import time
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf import code
from l2l_tf import optimizers
from l2l_tf import unroll
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import results
from l2l_tf.evaluation import statistics
from l2l_tf.evaluation.candidates import Contender
from l2l_tf.optimizers import Optimizer
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import shapes
from l2l_tf.storage import provenance
from l2l_tf.storage.cache import Parts

# Where a machine keeps its data does not decide numbers; what they are is in `data`.
MACHINE_OPTIONS = ("data", "data_dir", "content_dir", "style", "vgg")
RATES_AT_ONCE = 5  # of a problem whose instances run one after another: what a stop may cost


@dataclasses.dataclass(frozen=True)
class Setting:
  """What is compared on."""

  name: str  # of the problem, in `config.problems.PROBLEMS`
  options: Any  # the problem's, `Options` that have a `build`
  num_steps: int  # T
  num_runs: int  # R, fresh instances that are reported
  tuning_runs: int  # instances that pick the learning rates
  seed: int = 0
  finalist_runs: int = 0  # instances on which the best rate meets its neighbours; 0: not at all

  def config(self) -> dict[str, Any]:
    """The problem in JSON types, without what belongs to the machine."""
    options = {k: v for k, v in self.options.to_dict().items() if k not in MACHINE_OPTIONS}
    return {"name": self.name, **options}


class Comparison:
  """Rivals and contenders on one setting."""

  def __init__(
    self,
    setting: Setting,
    contenders: Sequence[Contender],
    parts: Parts,
    rivals: Sequence[str] = tuple(optimizers.HAND_DESIGNED),
    progress: Callable[[str, int], None] = lambda name, runs: None,
    rates: Mapping[str, float] | None = None,
  ):
    """Builds the problem.

    Args:
      setting: what to compare on.
      contenders: trained optimizers.
      parts: where finished parts are kept.
      rivals: names in `optimizers.HAND_DESIGNED`.
      progress: called with an optimizer's name and how many runs of it have just finished.
      rates: learning rates of rivals that are known; the others are tuned.

    Raises:
      LabelError: if a contender is a partition that the problem's parameters do not fit.
    """
    self.setting = setting
    self.contenders = contenders
    self.seconds: dict[str, float] = {}  # spent on each optimizer, this time
    self._parts = parts
    self._rivals = rivals
    self._progress = progress
    self._rates = dict(rates or {})
    built_by = type(setting.options).__module__
    self._code = code.digest(__name__, *([built_by] if built_by.startswith("l2l_tf.") else []))
    self._problem, self.data = setting.options.build()
    for contender in contenders:
      contender.optimizer.check(shapes(self._problem))
    self._batch = protocol.batch_size(self._problem)
    grid = protocol.Grid(self._problem)
    self._grid_runners = {name: grid.runner(optimizers.HAND_DESIGNED[name]) for name in rivals}

  @property
  def total_runs(self) -> int:
    """How many runs `progress` hears of; neighbours of a winner may take more."""
    setting, everybody = self.setting, len(self._rivals) + len(self.contenders)
    num_rates = protocol.least_to_run(self._problem)
    tuning = num_rates * setting.tuning_runs + 3 * setting.finalist_runs
    return len(set(self._rivals) - set(self._rates)) * tuning + everybody * setting.num_runs

  def plan(self) -> dict[str, Any]:
    """What a results file will say of the setting and of everybody, known before anything runs."""
    setting, finalists = self.setting, self.setting.finalist_runs
    rival = {"kind": "rival"} | ({"finalists": {"runs": finalists}} if finalists else {})
    learned = {
      c.name: {"kind": c.kind, "source": c.source, "sha256": c.sha256} for c in self.contenders
    }
    return {
      "data": self.data,
      "data_sha256": self._problem.digest,
      "problem": setting.config(),
      "num_steps": setting.num_steps,
      "num_runs": setting.num_runs,
      "tuning_runs": setting.tuning_runs,
      "seed": setting.seed,
      "optimizers": learned | dict.fromkeys(self._rivals, rival),
    }

  def run(self) -> dict[str, Any]:
    """Runs what is missing; returns the part of a results file that follows from the numbers."""
    plan, losses = self.plan(), {}
    entries = plan.pop("optimizers")
    for contender in self.contenders:
      name, optimizer = contender.name, contender.optimizer
      phi = [v.numpy().tolist() for v in optimizer.trainable_variables]
      losses[name] = self._curves(name, optimizer, {"config": optimizer.config(), "phi": phi})
      entries[name] = entries[name] | statistics.summary(losses[name])
    for name in self._rivals:
      rate, tuned = self._tuned(name)
      losses[name] = self._rival_curves(name, rate)
      entries[name] = entries[name] | tuned | statistics.summary(losses[name])
    learned = [contender.name for contender in self.contenders]
    return {
      **plan,
      "streams": {"tuning": int(Stream.TUNING), "test": int(Stream.TEST)},
      "final_steps": unroll.FINAL_STEPS,
      "learning_rates": list(protocol.LEARNING_RATES),
      "optimizers": entries,
      **statistics.ratios(learned, self._rivals, losses),
    }

  def _tuned(self, name: str) -> tuple[float | None, dict[str, Any]]:
    """The learning rate of a rival, and what a results file says of how it was picked.

    None if every rate diverged on the tuning instances.
    """
    if name in self._rates:
      return self._rates[name], {"learning_rate": self._rates[name]}
    setting, rates = self.setting, protocol.LEARNING_RATES
    run = lambda some, steps: self._grid(name, some, setting.tuning_runs, steps)  # noqa: E731
    final = protocol.tuning(self._problem, run, setting.num_steps)
    best = int(np.argmin(final))
    about: dict[str, Any] = {"tuning_final_losses": results.numbers(final)}
    any_ends = np.isfinite(final[best])
    if setting.finalist_runs:
      best, finalists = self._climb(name, best) if any_ends else (best, {})
      numbers = sorted(finalists)
      about["finalists"] = {
        "runs": setting.finalist_runs,
        "learning_rates": [rates[k] for k in numbers],
        "final_losses": results.numbers(np.array([finalists[k] for k in numbers])),
      }
    rate = rates[best] if any_ends else None
    return rate, {"learning_rate": rate, **about}

  def _climb(self, name: str, best: int) -> tuple[int, dict[int, float]]:
    """From rate number `best` of a rival to one that is better than both of its neighbours.

    Returns:
      Its number, and the mean final losses over `finalist_runs` instances by number.
    """
    rates, finalists = protocol.LEARNING_RATES, {}
    while True:
      around = [k for k in (best - 1, best, best + 1) if 0 <= k < len(rates)]
      for k in around:
        if k not in finalists:
          setting = self.setting
          curves = self._grid(name, [rates[k]], setting.finalist_runs, setting.num_steps)
          finalists[k] = float(protocol.final_losses(curves).mean())
      winner = min(around, key=finalists.__getitem__)
      if winner == best:
        return best, finalists
      best = winner

  def _rival_curves(self, name: str, rate: float | None) -> np.ndarray:
    """The curves of a rival at its rate from every test seed, `[R, T+1]`."""
    if rate is None:
      self.seconds[name] = self.seconds.get(name, 0.0)
      self._progress(name, self.setting.num_runs)
      return protocol.lost(self.setting.num_runs, self.setting.num_steps)
    optimizer = optimizers.HAND_DESIGNED[name](rate)
    return self._curves(name, optimizer, {"rival": name, "learning_rate": rate})

  def _grid(self, name: str, rates: Sequence[float], num_runs: int, num_steps: int) -> np.ndarray:
    """The curves of a rival at K rates from the first R tuning seeds, `[K, R, T+1]`."""
    setting = self.setting
    at_once = RATES_AT_ONCE if self._problem.serial else len(rates)
    seeds = self._problem.seeds(setting.seed, Stream.TUNING, count=num_runs)
    rows = []
    for some in (rates[i : i + at_once] for i in range(0, len(rates), at_once)):
      key = {"grid": name, "learning_rates": list(some), "num_steps": num_steps}
      run = lambda batch, some=some: self._grid_runners[name](batch, some, num_steps)  # noqa: E731
      rows.append(np.concatenate(self._parts_of(name, key, run, seeds), axis=1))
    return np.concatenate(rows)

  def _curves(self, name: str, optimizer: Optimizer, key: dict[str, Any]) -> np.ndarray:
    """The curves of an optimizer, which `key` describes, from every test seed, `[R, T+1]`."""
    setting = self.setting
    seeds = self._problem.seeds(setting.seed, Stream.TEST, count=setting.num_runs)
    run = protocol.runner(self._problem, optimizer, setting.num_steps)
    key = key | {"num_steps": setting.num_steps}
    return np.concatenate(self._parts_of(name, key, run, seeds))

  def _parts_of(self, name: str, key: dict, run: Callable, seeds: np.ndarray) -> list[np.ndarray]:
    """`run` of each batch of `seeds`, in float64, from the disk if it is there."""
    batches = [seeds[i : i + self._batch] for i in range(0, len(seeds), self._batch)]
    return [self._part(name, key, run, batch) for batch in batches]

  def _part(self, name: str, key: dict, run: Callable, seeds: np.ndarray) -> np.ndarray:
    began = time.monotonic()
    key = key | {
      "problem": self.setting.config(),
      "data": self.data,
      "digest": self._problem.digest,
      "seeds": seeds.tolist(),
      "libraries": provenance.libraries(),
      "devices": sorted({d.device_type for d in tf.config.list_logical_devices()}),
      "code": self._code,
    }
    losses = self._parts.get(key, lambda: run(seeds))
    self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
    self._progress(name, losses.size // losses.shape[-1])
    return losses.astype(np.float64)
