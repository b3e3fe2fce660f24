"""BFGS and conjugate gradients on the quadratics: python -m benchmarks.exact_line_search

Both with exact line search, which no optimizer of bin/evaluate.py may do: it uses W. They run in
float64 on the very functions and theta_0 that bin/evaluate.py --problem=quadratic reports, and say
what is there to be gained in a few steps (Nocedal and Wright 2006, sections 5.1 and 6.1).
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable, Generator, Sequence

import numpy as np

from benchmarks import reports
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import instances
from l2l_tf.storage import outputs

REPORTED = (1, 2, 5, 10, 20, 100)  # steps
QUANTILES = (5, 50, 95)

# Yields d_t; is sent theta_{t+1} - theta_t and the gradient at theta_{t+1}.
Directions = Generator[np.ndarray, tuple[np.ndarray, np.ndarray], None]


def bfgs(gradient: np.ndarray) -> Directions:
  """Yields the directions of BFGS."""
  size = len(gradient)
  inverse, last = np.eye(size), None
  while True:
    if last is not None:
      s, y = last[0], gradient - last[1]
      if s @ y > 0:
        left = np.eye(size) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    direction = -inverse @ gradient
    before = gradient
    step, gradient = yield direction
    last = step, before


def conjugate_gradients(gradient: np.ndarray) -> Directions:
  """Yields the directions of conjugate gradients (Fletcher and Reeves)."""
  direction = -gradient
  while True:
    before = gradient @ gradient
    _, gradient = yield direction
    direction = -gradient + (gradient @ gradient / before if before > 0 else 0.0) * direction


METHODS = {"bfgs": bfgs, "conjugate_gradients": conjugate_gradients}


def run(
  method: Callable[[np.ndarray], Directions],
  w: np.ndarray,
  y: np.ndarray,
  theta: np.ndarray,
  num_steps: int,
) -> np.ndarray:
  """Returns f(theta_0), ..., f(theta_T) of f = ||W theta - y||^2, `[num_steps + 1]`."""
  hessian, gradient = 2 * w.T @ w, 2 * w.T @ (w @ theta - y)
  directions = method(gradient)
  direction, losses = next(directions), [np.sum((w @ theta - y) ** 2)]
  for _ in range(num_steps):
    curvature = direction @ hessian @ direction
    step = -(gradient @ direction) / curvature * direction if curvature > 0 else 0 * direction
    theta = theta + step
    gradient = 2 * w.T @ (w @ theta - y)
    losses.append(np.sum((w @ theta - y) ** 2))
    direction = directions.send((step, gradient))
  return np.array(losses)


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(int, "num_runs", 2000, "functions, as in bin/evaluate.py")
  flags.add(int, "dimensions", 10, "of theta")
  experiment_flags.add_output(flags, None, "JSON file to write")
  flags.parse(argv)
  if flags.num_runs < 1 or flags.dimensions < 1:
    raise experiment_flags.UsageError(
      f"--num_runs and --dimensions must be at least 1, got {flags.num_runs}, {flags.dimensions}."
    )
  setting = outputs.Content({"dimensions": flags.dimensions}, {"num_runs": flags.num_runs})
  outputs.check(flags.out, setting, flags.overwrite)
  problem = problems.quadratic(flags.dimensions)
  params, tasks = instances(problem, problem.seeds(0, Stream.TEST, count=flags.num_runs))
  arrays = [np.asarray(x, np.float64) for x in (tasks["w"], tasks["y"], params["theta"])]
  rows = {}
  print(f"{flags.num_runs} functions of {flags.dimensions} dimensions: mean (5 %, median, 95 %)")
  for name, method in METHODS.items():
    losses = np.array([run(method, *one, max(REPORTED)) for one in zip(*arrays)])
    rows[name] = {}
    for t in REPORTED:
      quantiles = np.percentile(losses[:, t], QUANTILES)
      rows[name][str(t)] = {"mean": losses[:, t].mean(), "quantiles": quantiles.tolist()}
      cells = ", ".join(f"{q:.2g}" for q in quantiles)
      print(f"  {name:20} step {t:4}: {losses[:, t].mean():.3g} ({cells})", flush=True)
  reports.write(__file__, flags, {**setting.counts, **setting.same, "losses": rows})
  return 0


if __name__ == "__main__":
  experiment_flags.run(main)
