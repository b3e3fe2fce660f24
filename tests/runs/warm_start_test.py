"""Tests of what phi starts from: another optimizer, or what a teacher does."""

import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import problems as problem_options
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.training import Training
from l2l_tf.evaluation import protocol
from l2l_tf.problems.base import Stream
from l2l_tf.runs import warm_start
from l2l_tf.runs.directory import RunError
from l2l_tf.runs.run import TrainingRun
from l2l_tf.storage import optimizer_files

TRAINING = Training(num_steps=4, unroll_length=2, num_epochs=2, validation_runs=2)
BOWL = Experiment(
  problem_options.Bowl(dimensions=3), optimizer_options.LSTM(layer_sizes=(3,)), TRAINING
)


def _partition_run(directory, init_from):
  problem = problem_options.Mnist(hidden=(3,), batch_size=8, data="bundled")
  pair = Experiment(problem, optimizer_options.Partition(layer_sizes=(3,)), TRAINING)
  return TrainingRun.new(str(directory), pair, init_from=init_from)


def test_a_single_optimizer_begins_every_group_of_a_partition(tmp_path, monkeypatch):
  monkeypatch.setattr(optimizers.Partition, "check", lambda *args, **kwargs: None)  # only dense
  single = optimizers.CoordinatewiseLSTM((3,), seed=7)
  optimizer_files.save_optimizer(str(tmp_path / "single"), single, {"trained": "on something"})
  run = _partition_run(tmp_path / "run", str(tmp_path / "single"))
  for group in run.trainer.optimizer.groups.values():
    for variable, expected in zip(group.trainable_variables, single.trainable_variables):
      np.testing.assert_array_equal(variable, expected)
  assert run.config["init_from"] == {"trained": "on something"}


@pytest.mark.parametrize(
  "where, message",
  [
    ("quadratic_lstm", r"`init_from`=quadratic_lstm is an optimizer .* but the run's is"),
    ("no_such", "`init_from`: There is no directory no_such and no pretrained optimizer"),
  ],
)
def test_another_optimizer_cannot_begin_a_run(tmp_path, where, message):
  with pytest.raises(RunError, match=message):
    TrainingRun.new(str(tmp_path / "run"), BOWL, init_from=where)
  assert not (tmp_path / "run").exists()


IMITATION = Training(
  num_steps=20, unroll_length=20, num_epochs=1, episodes_per_epoch=1, validation_runs=2,
  imitation_rounds=2, seed=3,
)  # fmt: skip


def _bowl(**training):
  return Experiment(
    problem_options.Bowl(dimensions=3),
    optimizer_options.LSTM(layer_sizes=(3,)),
    IMITATION.replace(**training),
  )


@pytest.mark.slow
def test_a_run_that_imitates_begins_nearer_to_its_teacher(tmp_path):
  rounds = []
  run = TrainingRun.new(
    str(tmp_path / "run"), _bowl(imitation_rounds=6), on_round=lambda index, r: rounds.append(r)
  )
  assert len(rounds) == 6 and max(r.error for r in rounds) < 1
  told = run.config["imitation"]
  assert (told["num_steps"], told["rounds"], told["unroll_length"]) == (20, 6, 20)
  assert told["teacher_rate"] in protocol.LEARNING_RATES
  fresh = optimizer_options.LSTM(layer_sizes=(3,)).build(3)
  seeds = run.problem.seeds(3, Stream.TEST, count=5)
  before, after = (
    protocol.curves(run.problem, o, seeds, 20)[:, 1:].mean() for o in (fresh, run.trainer.optimizer)
  )
  assert after < 0.5 * before


@pytest.mark.slow
def test_a_resumed_run_does_not_imitate_again_and_remembers_its_teacher(tmp_path, monkeypatch):
  directory = str(tmp_path / "run")
  with TrainingRun.new(directory, _bowl()) as run:
    began = [v.numpy() for v in run.trainer.phi]
  monkeypatch.setattr(warm_start, "imitate", None)  # calling it would be an error
  resumed = TrainingRun.resume(directory)
  for a, b in zip(resumed.trainer.phi, began, strict=True):
    np.testing.assert_array_equal(a, b)
  assert resumed.config["imitation"] == run.config["imitation"]


@pytest.mark.slow
def test_a_run_stopped_amid_its_imitation_leaves_nothing(tmp_path):
  def stop(index, result):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    TrainingRun.new(str(tmp_path / "run"), _bowl(), on_round=stop)
  assert not (tmp_path / "run").exists()


def test_no_teacher_is_one_line(tmp_path, monkeypatch):
  monkeypatch.setattr(
    protocol, "grid_curves", lambda *args: np.full([len(protocol.LEARNING_RATES), 3, 21], np.inf)
  )
  with pytest.raises(RunError, match="no teacher to imitate.*imitation_rounds to 0"):
    TrainingRun.new(str(tmp_path / "run"), _bowl())


@pytest.mark.parametrize(
  "steps, expected",
  [(100, 100), (128, 64), (150, 75), (1000, 100), (101, 101), (202, 101), (4, 4), (1, 1)],
)
def test_a_window_of_imitation_is_long_whatever_divides_the_steps(steps, expected):
  assert warm_start.window(steps) == expected
