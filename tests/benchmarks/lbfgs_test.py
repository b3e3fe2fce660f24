"""Tests of benchmarks/lbfgs.py: the evaluations it may use, and what it reports."""

import json

import numpy as np
import pytest

from benchmarks import lbfgs
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.config.problems import NeuralArt
from l2l_tf.evaluation import comparison
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import results
from l2l_tf.problems import base
from l2l_tf.problems import photographs
from tests import tiny_results
from tests import tiny_vgg


@pytest.mark.slow
def test_losses_are_the_least_seen_within_the_evaluations_allowed():
  pictures, style, network = tiny_vgg.pictures(), tiny_vgg.style(), tiny_vgg.network()
  problem, calls = problems.style_transfer(pictures, style, network), []
  loss = problem.lifted_loss

  def counted(*args):
    calls.append(1)
    return loss(*args)

  (seed,) = problem.seeds(0, base.Stream.TEST, count=1)
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


@pytest.mark.slow
def test_the_program_writes_what_it_prints(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  out = tmp_path / "lbfgs.json"
  flags = ["--size=32", "--vgg=hed", "--num_runs=2", "--num_steps=3", f"--out={out}"]
  assert lbfgs.main(["lbfgs", *flags]) == 0
  found = json.loads(out.read_text())
  assert len(found["mean"]) == 4 and len(found["final_losses"]) == 2
  assert "scikit-image" in found["data"] and "--vgg=hed" in found["command"]
  assert found["command"].startswith("python -m benchmarks.lbfgs --")
  assert f"{np.mean(found['final_losses']):.4g}" in capsys.readouterr().out
  with pytest.raises(experiment_flags.UsageError, match="--num_runs must be an integer of 2"):
    lbfgs.main(["lbfgs", "--num_runs=1"])


@pytest.mark.slow
def test_ratios_are_paired_over_the_first_instances(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  flags = ["--size=32", "--vgg=hed", "--num_runs=2", "--num_steps=3"]
  options = NeuralArt(size=32, vgg="hed")
  problem, data = options.build()
  setting = comparison.Setting("neural_art", options, 3, 2, 0)
  seeds = problem.seeds(0, base.Stream.TEST, count=2)
  own = protocol.final_losses(np.array([lbfgs.run(problem, seed, 3) for seed in seeds]))
  losses = np.tile(2 * own, 3)[:, np.newaxis] * np.ones([6, 4])
  losses[2:] = 1e9  # instances that L-BFGS did not run on
  made = tiny_results.make(setting.config(), 3, ("art_lstm",), art_lstm=losses) | {"data": data}
  path, out = tmp_path / "art.json", tmp_path / "lbfgs.json"
  results.write(str(path), made)
  assert lbfgs.main(["lbfgs", *flags, f"--against={path}", f"--out={out}"]) == 0
  ratio = json.loads(out.read_text())["ratios"]["art_lstm"]
  assert [ratio[key] for key in ("ratio", "low", "high")] == pytest.approx([0.5] * 3, rel=1e-5)
  assert "final loss / art_lstm's, paired: 0.500 (0.500..0.500)" in capsys.readouterr().out
  for change, words in (("--seed=1", "not of {"), ("--num_runs=7", "holds 6 runs")):
    with pytest.raises(results.ResultsError, match=words):
      lbfgs.main(["lbfgs", *flags, f"--against={path}", change])
