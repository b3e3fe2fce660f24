"""Tests of writing and reading files."""

import os

import pytest

from l2l_tf.storage import files


def test_json_that_json_lacks_is_an_error_and_leaves_the_old_file(tmp_path):
  path = str(tmp_path / "x.json")
  files.write_json(path, {"a": 1})
  with pytest.raises(ValueError, match="JSON"):
    files.write_json(path, {"a": float("nan")})
  assert files.read_json(path) == {"a": 1} and os.listdir(tmp_path) == ["x.json"]


def test_a_new_file_is_written_once(tmp_path):
  path = str(tmp_path / "x.json")
  assert files.write_new(path, b"first") and not files.write_new(path, b"second")
  assert files.read(path, 100) == b"first" and os.listdir(tmp_path) == ["x.json"]


def test_a_new_file_needs_no_hard_links(tmp_path, monkeypatch):
  def refuse(*_):
    raise PermissionError("no links here")

  monkeypatch.setattr(os, "link", refuse)
  test_a_new_file_is_written_once(tmp_path)
