"""Tests of l2l_tf/runs/directory.py: one process at a time, what a kill leaves, links."""

import os
import subprocess
import sys

import pytest

from l2l_tf.runs import directory as run_directory

HOLD = """
import fcntl, os, sys
file = open(os.path.join(sys.argv[1], "lock"), "a")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print(f"process {os.getpid()} on somewhere since 2026-01-01 12:00:00", file=file, flush=True)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture(name="other")
def _other(tmp_path):
  """Another process that holds the lock of `tmp_path`."""
  command = [sys.executable, "-c", HOLD, str(tmp_path)]
  process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
  assert process.stdout.readline() == "locked\n"
  yield process
  process.kill()
  process.communicate()


def test_a_second_process_is_refused_and_the_first_named_until_it_dies(tmp_path, other):
  for enter in (run_directory.claimed, run_directory.taken_up):
    with pytest.raises(run_directory.DirectoryTaken) as info, enter(str(tmp_path)):
      pass
    assert f"{tmp_path} is in use by process {other.pid} on " in str(info.value)
    assert " since 2" in str(info.value)
  other.kill()
  other.wait()
  with run_directory.claimed(str(tmp_path)):
    assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")
  run_directory.unlock(str(tmp_path))


def test_a_lock_is_given_back_and_taken_by_one_process_as_often_as_it_likes(tmp_path):
  run_directory.lock(str(tmp_path))
  run_directory.lock(str(tmp_path / "." / "x" / ".."))
  run_directory.unlock(str(tmp_path))
  run_directory.unlock(str(tmp_path))
  command = [sys.executable, "-c", HOLD, str(tmp_path)]
  done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
  assert done.stdout == "locked\n"


def test_what_a_run_killed_before_it_began_has_left_is_cleared_away(tmp_path):
  (tmp_path / "checkpoints" / "ckpt-0_temp").mkdir(parents=True)
  (tmp_path / "checkpoints" / "ckpt-0.index").write_text("half")
  (tmp_path / "config.json.1a2b3c4d.tmp").write_text("{")
  with run_directory.claimed(str(tmp_path)):
    assert os.listdir(tmp_path) == ["lock"]
  run_directory.unlock(str(tmp_path))


@pytest.mark.parametrize("name", ["config.json", "notes.txt", "checkpoints", "checkpoints/mine"])
def test_what_may_be_somebody_elses_is_not(tmp_path, name):
  (tmp_path / name).parent.mkdir(exist_ok=True)
  (tmp_path / name).write_text("mine")
  expected = pytest.raises(run_directory.DirectoryTaken, match="not empty")
  with expected, run_directory.claimed(str(tmp_path)):
    pass
  assert (tmp_path / name).read_text() == "mine" and not (tmp_path / "lock").exists()


def test_a_resume_clears_away_what_was_half_written_and_nothing_of_a_user(tmp_path):
  (tmp_path / "best").mkdir()
  for name in ("notes.tmp", "config.json.1a2b3c4d.tmp", "best/a.safetensors.00000000.tmp"):
    (tmp_path / name).write_text("x")
  with run_directory.taken_up(str(tmp_path)):
    left = [name for _, _, names in os.walk(tmp_path) for name in names]
    assert sorted(left) == ["lock", "notes.tmp"]
  run_directory.unlock(str(tmp_path))


def test_a_block_that_fails_leaves_nothing(tmp_path):
  with pytest.raises(KeyError), run_directory.claimed(str(tmp_path / "run")):
    (tmp_path / "run" / "checkpoints").mkdir()
    raise KeyError
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["best", "events", "checkpoints/ckpt-0.index", "lock"])
def test_links_in_a_run_directory_are_not_followed(tmp_path, name):
  run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
  (run / name).parent.mkdir(parents=True)
  elsewhere.mkdir()
  (run / name).symlink_to(elsewhere / "file" if name == "lock" else elsewhere)
  expected = pytest.raises(run_directory.RunError, match="symbolic link")
  with expected, run_directory.taken_up(str(run)):
    pass
  assert not list(elsewhere.iterdir())


def test_a_lock_that_is_a_link_is_not_free_and_what_it_points_to_is_left_alone(tmp_path):
  notes = tmp_path / "notes.txt"
  notes.write_text("precious")
  (tmp_path / "run").mkdir()
  (tmp_path / "run" / "lock").symlink_to(notes)
  expected = pytest.raises(run_directory.DirectoryTaken, match="not empty")
  with expected, run_directory.claimed(str(tmp_path / "run")):
    pass
  with pytest.raises(run_directory.RunError, match="Cannot use"):
    run_directory.lock(str(tmp_path / "run"))
  assert notes.read_text() == "precious"


def test_a_directory_that_is_reached_by_a_link_has_one_lock(tmp_path):
  (tmp_path / "run").mkdir()
  (tmp_path / "link").symlink_to("run")
  run_directory.lock(str(tmp_path / "run"))
  run_directory.lock(str(tmp_path / "link"))  # this process has it
  run_directory.unlock(str(tmp_path / "link"), remove=True)
  assert not list((tmp_path / "run").iterdir())
