"""Tests of --init_from: phi is that of another optimizer."""

import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import problems as problem_options
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.training import Training
from l2l_tf.optimizers import partition
from l2l_tf.runs import run as training_run
from l2l_tf.runs.run import TrainingRun
from l2l_tf.storage import optimizer_files

TRAINING = Training(num_steps=4, unroll_length=2, num_epochs=2, validation_runs=2)
BOWL = Experiment(
  problem_options.Bowl(dimensions=3), optimizer_options.LSTM(layer_sizes=(3,)), TRAINING
)


def _partition_run(directory, init_from):
  problem = problem_options.Mnist(hidden=(3,), batch_size=8, data="bundled")
  pair = Experiment(problem, optimizer_options.Partition(layer_sizes=(3,)), TRAINING)
  return TrainingRun(str(directory), pair, init_from=init_from)


def test_a_single_optimizer_begins_every_group_of_a_partition(tmp_path, monkeypatch):
  monkeypatch.setattr(partition, "check", lambda *args, **kwargs: None)  # no convolutions here
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
    ("quadratic_lstm", r"--init_from=quadratic_lstm is an optimizer .* but the run's is"),
    ("no_such", "--init_from: There is no directory no_such and no pretrained optimizer"),
  ],
)
def test_another_optimizer_cannot_begin_a_run(tmp_path, where, message):
  with pytest.raises(training_run.RunError, match=message):
    TrainingRun(str(tmp_path / "run"), BOWL, init_from=where)
  assert not (tmp_path / "run").exists()
