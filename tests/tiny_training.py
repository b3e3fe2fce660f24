"""bin/train.py run in-process on tiny problems."""

import contextlib
import functools
import io
from unittest import mock

import tensorflow as tf

from l2l_tf.problems import datasets
from tests import programs

train = programs.load("train")
TINY = ["--episodes_per_epoch=1", "--num_steps=4", "--unroll_length=2", "--validation_runs=2"]
TINY += ["--num_epochs=2", "--layer_sizes=3", "--test_runs=2", "--tuning_runs=1"]
TINY += ["--imitation_rounds=0"]
MNIST = ["--problem=mnist", "--data=bundled", "--hidden=4", "--batch_size=8", *TINY]
BOWL = ["--problem=bowl", "--dimensions=3", "--num_tasks=1", *TINY]


@contextlib.contextmanager
def eagerly():
  """Functions of TensorFlow run as they are: to trace those of a few steps takes far longer."""
  tf.config.run_functions_eagerly(True)
  try:
    yield
  finally:
    tf.config.run_functions_eagerly(False)


digits = functools.cache(datasets._bundled_mnist)


def run(*args):
  """Runs the program: exit status, stdout and stderr without the progress bar.

  The real bundled digits are parsed once.
  """
  out, err = io.StringIO(), io.StringIO()
  with contextlib.ExitStack() as stack:
    stack.enter_context(mock.patch.dict(datasets._BUNDLED, mnist=digits))
    stack.enter_context(contextlib.redirect_stdout(out))
    stack.enter_context(contextlib.redirect_stderr(err))
    status = programs.run(train.main, *args)
  return status, out.getvalue(), err.getvalue()


def run_eagerly(*args):
  """The same without most of the tracing, where it is not the training that is tested."""
  with eagerly():
    return run(*args)
