"""The one interface of the contestants, and the process that each of them runs in.

A contestant's module ends in `worker.serve(Contestant)`. The process then reads commands from its
standard input, a JSON list a line, and answers each with a line of JSON:

  ["time", N]      takes N meta-steps; the first such command also builds them
  ["check", PATH]  writes losses, meta-gradients, and phi after a few meta-steps, to PATH

Only NumPy is needed here, so that a rival's environment needs no TensorFlow.
"""

import abc
from collections.abc import Callable
import json
import os
import sys

import numpy as np

from benchmarks import measuring
from benchmarks.implementations import case as case_lib

CHECKED_STEPS = 3  # meta-steps after which phi is compared


class Contestant(abc.ABC):
  """One way to take a meta-step: a window from theta_0, its meta-gradient, Adam on phi."""

  @abc.abstractmethod
  def __init__(self, case: case_lib.Case):
    """Gets ready; the first `meta_step` may still trace or compile."""

  @abc.abstractmethod
  def meta_step(self) -> float:
    """Takes a meta-step, waits for it, and returns the mean loss. phi and Adam go on."""

  @abc.abstractmethod
  def losses_and_gradients(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The losses f(theta_1), ..., f(theta_T), `[T]`, and their sum's gradient by phi."""

  @abc.abstractmethod
  def phi(self) -> dict[str, np.ndarray]:
    """The weights as they are now, named and shaped as in the case."""


def check(contestant: Contestant) -> dict[str, np.ndarray]:
  """What contestants must agree on: "losses", "gradients:NAME", "phi:NAME"."""
  losses, gradients = contestant.losses_and_gradients()
  for _ in range(CHECKED_STEPS):
    contestant.meta_step()
  arrays = {"losses": losses}
  arrays |= {f"gradients:{name}": value for name, value in gradients.items()}
  return arrays | {f"phi:{name}": value for name, value in contestant.phi().items()}


def serve(build: Callable[[case_lib.Case], Contestant], packages: tuple[str, ...]):
  """Answers commands until the input ends. The case is the program's one argument."""
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # whatever a framework prints must not come between the answers
  case, contestant = case_lib.load(sys.argv[1]), None
  baseline = measuring.resident_bytes()
  for line in sys.stdin:
    command, argument = json.loads(line)
    answer = {}
    if command == "check":
      np.savez(argument, **check(build(case)))
    elif contestant is None:
      contestant = build(case)
      answer = measuring.measured(contestant.meta_step, argument, baseline)
      answer["versions"] = measuring.versions(packages)
    else:
      contestant.meta_step()  # caches are cold after the others' turns
      answer["seconds"] = measuring.timed(contestant.meta_step, argument)
    print(json.dumps(answer), file=answers, flush=True)
