"""Tests of benchmarks/lbfgs.py: the evaluations it may use, and what it reports."""

import json

import numpy as np
import pytest

from benchmarks import lbfgs
from l2l_tf import command_line
import problems
from problems import base
from tests import tiny_vgg


def test_losses_are_the_least_seen_within_the_evaluations_allowed():
  pictures, style, network = tiny_vgg.pictures(), tiny_vgg.style(), tiny_vgg.network()
  problem, calls = problems.style_transfer(pictures, style, network), []
  loss = problem.lifted_loss

  def counted(*args):
    calls.append(1)
    return loss(*args)

  (seed,) = base.seeds_of(problem, 0, base.Stream.TEST, count=1)
  params, task = problem.init(seed)
  losses = lbfgs.run(problem._replace(lifted_loss=counted), seed, 30)
  assert losses.shape == (31,) and len(calls) == 1  # a single trace
  assert losses[0] == pytest.approx(float(problem.loss(params, task, seed)), rel=1e-5)
  assert np.all(np.diff(losses) <= 0) and losses[-1] < 0.5 * losses[0]
  np.testing.assert_allclose(lbfgs.run(problem, seed, 10), losses[:11], rtol=1e-4)


def test_what_converges_stays_where_it_is():
  problem = problems.from_function(
    lambda seed: {"image": np.ones([2, 2], np.float32)},
    lambda params, task, seed: (params["image"] ** 2)[0, 0] + 3.0,
  )
  losses = lbfgs.run(problem, np.array([0, 0], np.int32), 50)
  assert losses.shape == (51,) and losses[0] == 4.0 and losses[-1] == pytest.approx(3.0)


def test_the_program_writes_what_it_prints(tmp_path, capsys):
  out = tmp_path / "lbfgs.json"
  flags = ["--size=32", "--vgg=hed", "--num_runs=2", "--num_steps=3", f"--out={out}"]
  assert lbfgs.main(["lbfgs", *flags]) == 0
  found = json.loads(out.read_text())
  assert len(found["mean"]) == 4 and len(found["final_losses"]) == 2
  assert "scikit-image" in found["data"] and "--vgg" not in found["command"]
  assert f"{np.mean(found['final_losses']):.4g}" in capsys.readouterr().out
  with pytest.raises(command_line.UsageError, match="--num_runs must be an integer of 2"):
    lbfgs.main(["lbfgs", "--num_runs=1"])
