"""Runs by evolution strategies: a stop changes nothing; a mixture has a closing table."""

import functools
import os
import re
import signal

import pytest

from l2l_tf import problems
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import problems as problem_options
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.training import Training
from l2l_tf.problems.base import Mixture
from l2l_tf.runs.run import TrainingRun
from l2l_tf.runs.signals import Interrupted
from l2l_tf.storage import optimizer_files
from l2l_tf.training.trainer import Trainer
from tests import programs
from tests.tiny_training import eagerly

pytestmark = pytest.mark.slow

train = programs.load("train")
TRAINING = Training(
  estimator="es",
  num_steps=6,
  unroll_length=2,
  shortest=2,
  num_tasks=2,
  num_epochs=2,
  episodes_per_epoch=3,
  validation_runs=2,
  seed=5,
)


@pytest.fixture(autouse=True)
def _small_mixture(monkeypatch):
  """Bowls and quadratics in place of networks."""
  own = {"bowl": problems.bowl(3), "quadratic": problems.quadratic(3)}
  held_out = {"bowl_4": problems.bowl(4), "quadratic_4": problems.quadratic(4)}
  mixture = Mixture(own, {"bowl": 2.0, "quadratic": 1.0}, held_out)
  monkeypatch.setattr(problem_options.General, "build", lambda self: (mixture, "made up"))
  with eagerly():
    yield


def run(directory, estimator):
  optimizer = optimizer_options.General(controller_sizes=(4,))
  training = TRAINING.replace(estimator=estimator)
  return TrainingRun.new(str(directory), Experiment(problem_options.General(), optimizer, training))


def contents(directory):
  optimizer, about = optimizer_files.load_optimizer(os.path.join(directory, "best"))
  return [v.numpy().tobytes() for v in optimizer.trainable_variables], about["history"]


@functools.cache
def undisturbed(estimator, directory):
  """The contents of a whole training."""
  run(directory / estimator, estimator).train()
  return contents(directory / estimator)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
  return tmp_path_factory.mktemp("undisturbed")


@pytest.mark.parametrize(
  "estimator, counts",
  [
    ("es", [3, 5]),  # at the end of an epoch, and in the middle of the next
    ("pes", [2, 9]),  # in the middle of an episode, and at the end of an epoch
    ("pes", [13]),
  ],
)
def test_resuming_is_never_having_stopped(tmp_path, monkeypatch, directory, estimator, counts):
  expected = undisturbed(estimator, directory)
  step, calls = Trainer.step, []

  def stopped(self):
    calls.append(self)
    if len(calls) in counts:
      os.kill(os.getpid(), signal.SIGINT)
    return step(self)

  monkeypatch.setattr(Trainer, "step", stopped)
  training = run(tmp_path / "stopped", estimator)
  for count in counts:
    with pytest.raises(Interrupted):
      training.train()
    assert len(calls) == count
    training = TrainingRun.resume(str(tmp_path / "stopped"))
  training.train()
  assert len(calls) == {"es": 6, "pes": 18}[estimator]
  assert contents(tmp_path / "stopped") == expected


def test_the_closing_table_has_a_row_for_each_problem_that_validates(tmp_path, capsys):
  flags = ["--problem=general", "--nojit_compile", "--num_steps=6", "--shortest=2"]
  flags += ["--num_tasks=2", "--num_epochs=1", "--episodes_per_epoch=2", "--validation_runs=2"]
  flags += ["--test_runs=2", "--tuning_runs=1", f"--run_dir={tmp_path / 'run'}"]
  assert programs.run(train.main, *flags) == 0
  printed = capsys.readouterr().out
  ratios = []
  for name in ("bowl_4", "quadratic_4"):
    _, learned, adam, rate, ratio = next(
      line for line in printed.splitlines() if line.strip().startswith(name)
    ).split()
    assert float(learned) / float(adam) == pytest.approx(float(ratio), rel=0.01)
    assert float(rate) > 0
    ratios.append(float(ratio))
  mean = float(re.search(r"geometric mean +([\d.]+)", printed)[1])
  assert mean == pytest.approx((ratios[0] * ratios[1]) ** 0.5, rel=0.01)
  assert "--optimizer=" in printed and "--problem=general" in printed  # look, train on
