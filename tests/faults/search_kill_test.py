"""kill -9 of one of two processes that search in one directory: nothing is lost or done twice."""

import glob
import os
import random
import signal

from l2l_tf.runs import search
from tests.faults import table
from tests.faults import victims

KILLS = table.trials(0, 12)
TRIALS = 4  # too few for pruning, which depends on who is first
SEARCH = [*victims.TRAIN, f"--search={TRIALS}"]
pytestmark = [table.thorough, victims.needs_compiler]


def settled(directory: str) -> dict[int, float]:
  """The losses of the finished trials by index."""
  trials = search.settled(directory)
  assert not any(trial.pruned for trial in trials)
  return {trial.index: trial.best_loss for trial in trials}


def checkpoints(directory: str, indices) -> dict[str, int]:
  """When each checkpoint of these trials was written."""
  paths = [f for i in indices for f in glob.glob(f"{directory}/trial_{i:03d}/checkpoints/*")]
  return {path: os.stat(path).st_mtime_ns for path in paths}


def test_kill_9_of_one_of_two_processes(tmp_path):
  library, undisturbed = victims.preload(tmp_path), str(tmp_path / "undisturbed")
  args = [*SEARCH, f"--run_dir={undisturbed}"]
  operations = victims.operations("train", *args, directory=undisturbed, library=library)
  expected, dice, kills = settled(undisturbed), random.Random(0), 0
  assert sorted(expected) == list(range(TRIALS))
  for number in range(2 * KILLS):
    directory = str(tmp_path / f"search_{number}")
    args = [*SEARCH, f"--run_dir={directory}"]
    fault = f"kill:{dice.randint(1, operations // 2)}:{directory}"
    with table.trial("kill -9 of one of two searches"):
      victim = victims.start("train", *args, fault=fault, library=library)
      other = victims.start("train", *args)
      for process in (victim, other):
        _, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err[-3000:]
      assert other.returncode == 0 and victim.returncode in (0, -signal.SIGKILL)
      kills += victim.returncode != 0
      before = settled(directory)
      written = checkpoints(directory, before)
      status, out, err = victims.run("train", *args)
      assert status == 0, err
      assert before.items() <= settled(directory).items() and settled(directory) == expected
      assert written == checkpoints(directory, before), "a finished trial was trained again"
      assert f"{min(expected.values()):.5g}" in out
      for index in expected:
        best = victims.final_state(f"{undisturbed}/trial_{index:03d}")
        victims.assert_same_state(f"{directory}/trial_{index:03d}", best)
    if kills == KILLS:
      break
  assert kills >= KILLS
