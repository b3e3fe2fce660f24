"""SIGINT and SIGTERM at any moment of bin/train.py: it ends soon, by convention, all kept."""

import random
import signal
import time

import pytest

from tests.faults import table
from tests.faults import victims

pytestmark = table.thorough
SECONDS = 10


@pytest.mark.parametrize(
  "signum, estimator",
  [
    (signal.SIGINT, "backprop"),
    (signal.SIGTERM, "backprop"),
    (signal.SIGTERM, "es"),
    (signal.SIGINT, "pes"),
  ],
)
def test_signals(tmp_path, signum, estimator):
  undisturbed, directory = str(tmp_path / "undisturbed"), str(tmp_path / "run")
  began = time.monotonic()
  assert victims.run("train", *victims.train_args(undisturbed, estimator))[0] == 0
  whole, dice = time.monotonic() - began, random.Random(signum)
  for _ in range(table.trials(0, 10)):
    process = victims.start("train", *victims.train_args(directory, estimator))
    time.sleep(dice.uniform(0.1, 1.0) * whole)
    sent = time.monotonic()
    process.send_signal(signum)
    with table.trial(f"{signum.name}, {estimator}"):
      out, err = process.communicate(timeout=60)
      assert time.monotonic() - sent < SECONDS
      assert "Traceback" not in err, err[-3000:]
      assert process.returncode in (0, 128 + signum, -signum), (process.returncode, out, err[-500:])
      victims.assert_nothing_half_written(directory)
  status, _, err = victims.run("train", *victims.train_args(directory, estimator))
  assert status == 0, err
  victims.assert_same_state(directory, victims.final_state(undisturbed))
