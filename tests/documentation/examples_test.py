"""The Python of README.md and of the tutorial runs as it stands there."""

import re

import numpy as np
import pytest

from l2l_tf import problems
from l2l_tf.problems.base import Stream
from tests import sources


def blocks(page: str) -> list[str]:
  """The blocks of Python of a page."""
  text = (sources.ROOT / page).read_text(encoding="utf-8")
  return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_five_lines_of_the_readme():
  (block,) = blocks("README.md")
  assert len([line for line in block.splitlines() if line]) == 5
  names = {}
  exec(block, names)
  history = names["model"].history.history["loss"]
  assert history[-1] < 0.5 < history[0]


@pytest.mark.slow
def test_the_fit_of_the_tutorial(capsys):
  exec(blocks("docs/tutorial.md")[0], {})
  lines = capsys.readouterr().out.strip().splitlines()
  ends = {line.split()[0]: float(re.findall(r"[\d.e-]+", line)[-1]) for line in lines}
  assert ends["LearnedOptimizer"] < ends["Adam"]


def test_the_problem_of_the_tutorial():
  names = {}
  exec(blocks("docs/tutorial.md")[1], names)
  problem = names["digits"]()
  assert isinstance(problem, problems.Problem)
  seeds = problem.seeds(0, Stream.TEST, count=2)
  params, _ = problem.init(seeds[0])
  assert sum(np.prod(x.shape) for x in params.values()) == 49 * 10 + 10 + 10 * 10 + 10
