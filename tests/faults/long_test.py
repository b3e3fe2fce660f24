"""2,000 meta-steps, and 10,000 steps with one trained optimizer."""

import gc
import os

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import make_seeds
from l2l_tf.runs import run as training_run
from l2l_tf.storage import optimizer_files
from tests.faults import table
from tests.tiny_training import BOWL
from tests.tiny_training import train

PAGE = os.sysconf("SC_PAGE_SIZE")
MAX_EVENT_BYTES = 2_000  # an epoch, without pictures


def resident() -> int:
  gc.collect()
  with open("/proc/self/statm", encoding="ascii") as file:
    return int(file.read().split()[1]) * PAGE


@table.thorough
def test_2000_meta_steps(tmp_path):
  args = [*BOWL, "--episodes_per_epoch=25", "--num_epochs=80", "--num_steps=2"]
  args += ["--unroll_length=2", f"--run_dir={tmp_path}"]
  flags = train.make_flags().parse(["train.py", *args])
  run = training_run.TrainingRun.new(str(tmp_path), train.experiment_flags.experiment(flags))
  seen = []

  def look(row):
    handles = len(os.listdir("/proc/self/fd"))
    traces = run.trainer._meta_step.experimental_get_tracing_count()
    seen.append((row["epoch"], resident(), handles, traces))

  with table.trial("2,000 meta-steps"):
    run.train(on_epoch=look)
    first, last = seen[len(seen) // 4], seen[-1]
    assert run.trainer.meta_steps == 2000
    assert last[1] < 1.02 * first[1], (first, last)
    assert last[2] <= first[2] and {traces for *_, traces in seen} == {1}
    pictures = [v for v in events(tmp_path) if v.HasField("tensor") and "picture" in v.tag]
    scalars = sum(v.ByteSize() for v in events(tmp_path) if is_scalar(v))
    assert not pictures and scalars < MAX_EVENT_BYTES * len(seen)


def events(directory):
  for path in directory.glob("*tfevents*"):
    for event in tf.compat.v1.train.summary_iterator(str(path)):
      yield from event.summary.value


def is_scalar(value) -> bool:
  return value.metadata.plugin_data.plugin_name == "scalars" or not value.tensor.string_val


@pytest.mark.parametrize("name", ["quadratic_lstm", "mnist_lstm"])
def test_10000_steps_of_a_trained_optimizer(name):
  """Far beyond its horizon its states stay finite; what the loss does is in docs/reliability.md."""
  optimizer, _ = optimizer_files.load_optimizer(pretrained.find(name))
  problem = problems.quadratic(10)
  carry, first = unroll.start(problem, optimizer, make_seeds(0, Stream.TEST, count=4))
  window = tf.function(lambda carry: unroll.unroll(problem, optimizer, carry, 100))
  losses = [first.numpy()]
  with table.trial("10,000 steps of a trained optimizer"):
    for _ in range(table.trials(3, 100)):
      carry, more = window(carry)
      losses.extend(more.numpy())
      assert all(np.isfinite(x).all() for x in tf.nest.flatten(carry.state))
    means = np.mean(losses, axis=1)
    assert np.isfinite(means).all()
  print(name, {t: float(f"{means[t]:.3g}") for t in (0, 100, 1000, 10000) if t < len(means)})
