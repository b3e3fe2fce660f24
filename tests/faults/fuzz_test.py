"""Files from strangers: whatever is in them, only documented errors, little memory, nothing run."""

import importlib.util
import os
import resource
import subprocess
import sys

import pytest

from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.storage import files
from tests import programs
from tests.faults import cases
from tests.faults import readers
from tests.faults import table

FEW, MANY = 40, 100_000
LEAST_REFUSED = {"weights": 24, "jpeg": 18}  # of FEW; most bytes of these may be any
FOUND = {  # what fuzzing found, kept
  "config": [
    b'{"kind": "lstm", "layer_sizes": [2], "output_scale": 1' + b"0" * 400 + b"}",
    b'{"kind": "lstm", "layer_sizes": [' + b"1, " * 2999 + b"1]}",
  ],
  "run_config": [
    b'{"problem": {"name": "bowl", "init_scale": 1' + b"0" * 400 + b"},"
    b' "optimizer": {"name": "lstm", "output_scale": 1' + b"0" * 400 + b'}, "training": {}}',
  ],
}


@pytest.mark.parametrize("name", readers.READERS)
def test_broken_files_lead_to_documented_errors(name):
  reader = readers.READERS[name]
  assert reader.accepts(reader.seed())
  for data in [b"", b"{}", b"[" * 10**5, b"\xff", *FOUND.get(name, [])]:
    assert not reader.accepts(data), data[:99]
  refused = sum(not reader.accepts(data) for data in cases.mutants(reader.seed(), FEW))
  assert refused >= LEAST_REFUSED.get(name, 36), refused


@table.thorough
@pytest.mark.parametrize("name", readers.READERS)
def test_fuzzing_guided_by_coverage(name, tmp_path):
  if not importlib.util.find_spec("atheris"):
    pytest.skip("needs pip install atheris")
  program = [sys.executable, "-m", "tests.faults.fuzz", name, str(MANY), str(tmp_path)]
  with table.trial(f"fuzzing: {name}", MANY):
    done = subprocess.run(
      program, cwd=programs.ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    findings = [n for n in os.listdir(tmp_path) if n != "corpus"]
    assert done.returncode == 0 and not findings, done.stderr[-3000:]
    assert f"stat::number_of_executed_units: {MANY}" in done.stderr, done.stderr[-500:]


def test_files_without_an_end_are_refused(tmp_path):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  for name, target in (("pipe", None), ("zero", "/dev/zero")):
    path = str(tmp_path / name)
    os.symlink(target, path) if target else os.mkfifo(path)
    with pytest.raises(files.CheckpointError, match="no regular file"):
      files.read_json(path)
  assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17


def test_a_huge_integer_is_no_float():
  with pytest.raises(ValueError, match="output_scale must be finite"):
    optimizer_options.LSTM(output_scale=10**400)


def test_a_file_written_aside_follows_no_link(tmp_path):
  """Of old, PATH.tmp was written to, wherever it led."""
  mine = tmp_path / "mine"
  mine.write_text("mine")
  (tmp_path / "x.json.tmp").symlink_to(mine)
  files.write_json(str(tmp_path / "x.json"), {})
  assert mine.read_text() == "mine" and (tmp_path / "x.json").read_text() == "{}\n"
