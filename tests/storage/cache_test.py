"""Tests of l2l_tf/storage/cache.py."""

import numpy as np
import pytest

from l2l_tf.storage import cache


@pytest.fixture(name="parts")
def _parts(tmp_path):
  return cache.Parts(str(tmp_path / "work"))


def _forbidden():
  raise AssertionError("computed again")


def test_a_finished_part_is_not_computed_again(parts):
  values = np.array([1, np.inf, np.nan], np.float32)
  np.testing.assert_array_equal(parts.get({"a": 1}, lambda: values), values)
  again = cache.Parts(parts.directory).get({"a": 1}, _forbidden)
  np.testing.assert_array_equal(again, values)
  assert again.dtype == np.float32


def test_another_key_is_another_part(parts):
  parts.get({"a": 1}, lambda: np.zeros(1))
  assert parts.get({"a": 2}, lambda: np.ones(1)) == 1
  assert parts.get({"b": 1}, lambda: np.ones(1)) == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_part_is_computed_anew(parts, tmp_path, damage):
  parts.get({}, lambda: np.arange(50.0))
  (path,) = (tmp_path / "work").iterdir()
  content = bytearray(path.read_bytes())
  if damage == "flipped":
    content[300] ^= 1
  path.write_bytes({"truncated": content[:-30], "flipped": content, "empty": b""}[damage])
  np.testing.assert_array_equal(parts.get({}, lambda: np.ones(2)), np.ones(2))
  np.testing.assert_array_equal(parts.get({}, _forbidden), np.ones(2))


def test_a_failed_part_leaves_nothing(parts, tmp_path):
  with pytest.raises(AssertionError):
    parts.get({}, _forbidden)
  assert not list((tmp_path / "work").iterdir())


def test_removal_leaves_what_is_not_ours(parts, tmp_path):
  parts.get({}, lambda: np.ones(2))
  (tmp_path / "work" / "notes.txt").write_text("mine")
  parts.remove()
  assert [path.name for path in (tmp_path / "work").iterdir()] == ["notes.txt"]
  (tmp_path / "work" / "notes.txt").unlink()
  parts.remove()
  assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", ["peer.npz", "x.tmp", "0" * 64 + ".json", "a" * 63 + ".npz"])
def test_removal_leaves_arrays_and_files_of_a_user(parts, tmp_path, name):
  parts.get({}, lambda: np.ones(2))
  aside = f"{'0' * 64}.npz.1a2b3c4d.tmp"  # of a process that was killed
  for path in (name, aside):
    (tmp_path / "work" / path).write_text("mine")
  parts.remove()
  assert [path.name for path in (tmp_path / "work").iterdir()] == [name]


def test_digest_does_not_depend_on_the_order_of_keys():
  assert cache.digest({"a": 1, "b": [2]}) == cache.digest({"b": [2], "a": 1})
  assert cache.digest({"a": 1}) != cache.digest({"a": 1.5})
