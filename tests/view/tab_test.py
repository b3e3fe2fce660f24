"""Tests of TensorBoard's tab: what it serves, and that nothing in a logdir can harm it."""

import json
import os
import subprocess
import sys

import pytest
from tensorboard.plugins import base_plugin
import werkzeug.test

from l2l_tf.inspection import sweep_files
from l2l_tf.view import tab
import l2l_tf_tensorboard
from tests import sources
from tests.view import documents


@pytest.fixture(name="logdir")
def _logdir(tmp_path):
  folder = tmp_path / "runs"
  for run, epochs in (("a", (1, 2)), ("deep/b", (7,))):
    for epoch in epochs:
      sweep_files.write(str(folder / run), documents.make(epoch))
  (folder / "without").mkdir()
  return folder


def tab_of(logdir):
  return l2l_tf_tensorboard.Loader().load(base_plugin.TBContext(logdir=str(logdir)))


def get(made, route, **query):
  """The JSON, or the text, that a route answers with."""
  client = werkzeug.test.Client(made.get_plugin_apps()[route])
  answer = client.get(route, query_string=query)
  assert answer.status_code == 200
  return json.loads(answer.data) if "json" in answer.content_type else answer.get_data(as_text=True)


def test_it_lists_runs_and_epochs_as_they_come(logdir):
  made = tab_of(logdir)
  assert made.is_active()
  assert get(made, "/runs") == {"runs": {"a": [1, 2], "deep/b": [7]}}
  sweep_files.write(str(logdir / "a"), documents.make(3))
  assert get(made, "/runs")["runs"]["a"] == [1, 2, 3]


def test_it_serves_the_documents(logdir):
  made = tab_of(logdir)
  assert get(made, "/document", run="deep/b", epoch=7) == documents.make(7)
  alone = tab_of(logdir / "a")
  assert get(alone, "/runs") == {"runs": {"a": [1, 2]}}
  assert get(alone, "/document", run="a", epoch=2) == documents.make(2)


def test_it_serves_the_view(logdir):
  made = tab_of(logdir)
  assert made.frontend_metadata().es_module_path in made.get_plugin_apps()
  for name in tab.FILES:
    with open(os.path.join(tab.ASSETS, name), encoding="utf-8") as file:
      assert get(made, f"/{name}") == file.read()
  assert "plotly.js v" in get(made, "/plotly.js")[:300]


def test_a_logdir_without_sweeps_has_no_tab_yet(tmp_path):
  made = tab_of(tmp_path)
  assert not made.is_active() and get(made, "/runs") == {"runs": {}}
  sweep_files.write(str(tmp_path / "a"), documents.make(1))
  assert made.is_active()


@pytest.mark.parametrize("logdir", ["", "gs://bucket/runs", "/nothing/here"])
def test_a_logdir_that_is_no_directory_here_holds_nothing(logdir):
  made = tab_of(logdir)
  assert not made.is_active() and get(made, "/runs") == {"runs": {}}


@pytest.mark.parametrize(
  "run, epoch",
  [
    ("a", "3"),
    ("../a", "1"),
    ("/etc", "1"),
    ("a", "../1"),
    ("a", "²"),
    ("a", ""),
    ("", "1"),
    ("a", "9" * 5000),
  ],
)
def test_what_is_not_there_is_a_line(logdir, run, epoch):
  line = get(tab_of(logdir), "/document", run=run, epoch=epoch)
  assert line == {"problem": f"There are no sweeps of epoch {epoch} of {run}."}


def test_a_damaged_file_is_a_line(logdir):
  path = logdir / "a" / "sweeps" / "epoch_00001.json.gz"
  path.write_bytes(path.read_bytes()[:1000])
  found = get(tab_of(logdir), "/document", run="a", epoch=1)
  assert found.keys() == {"problem"} and f"{path} is damaged or half written" in found["problem"]
  assert get(tab_of(logdir), "/document", run="a", epoch=2) == documents.make(2)


@pytest.mark.parametrize("linked", ["a file", "the folder", "the run"])
def test_links_out_of_the_logdir_are_not_followed(logdir, tmp_path, linked):
  outside = tmp_path / "outside"
  sweep_files.write(str(outside), documents.make(9))
  if linked == "a file":
    name = "epoch_00009.json.gz"
    (logdir / "a" / "sweeps" / name).symlink_to(outside / "sweeps" / name)
  elif linked == "the folder":
    (logdir / "without" / "sweeps").symlink_to(outside / "sweeps")
  else:
    (logdir / "link").symlink_to(outside)
  made = tab_of(logdir)
  for run in get(made, "/runs")["runs"]:
    found = get(made, "/document", run=run, epoch=9)
    assert found.keys() == {"problem"}


def test_it_needs_no_tensorflow(logdir):
  """TensorBoard imports the loader at its start, and the tab with it."""
  script = f"""
import sys
from tensorboard.plugins import base_plugin
import l2l_tf_tensorboard
assert "l2l_tf" not in sys.modules and "pydantic" not in sys.modules
made = l2l_tf_tensorboard.Loader().load(base_plugin.TBContext(logdir={str(logdir)!r}))
assert made.is_active() and "tensorflow" not in sys.modules and "plotly" not in sys.modules
"""
  subprocess.run([sys.executable, "-c", script], check=True)


def test_what_is_missing_is_a_warning(monkeypatch, caplog, logdir):
  monkeypatch.delattr("l2l_tf.view.tab")
  monkeypatch.setitem(sys.modules, "l2l_tf.view.tab", None)
  assert tab_of(logdir) is None
  assert "No tab of l2l_tf: " in caplog.text


def test_beside_a_keras_py_of_the_users_there_is_no_tab(tmp_path):
  """`import l2l_tf` is refused there; TensorBoard is not."""
  (tmp_path / "keras.py").write_text("x = 1")
  script = "import l2l_tf_tensorboard; print(l2l_tf_tensorboard.Loader().load(None))"
  environment = os.environ | {"PYTHONPATH": str(sources.ROOT)}
  command = [sys.executable, "-c", script]
  done = subprocess.run(
    command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
  )
  assert done.stdout == "None\n" and "stands in the place of the package keras" in done.stderr


def test_a_missing_plotly_is_said_in_the_tab(monkeypatch, logdir):
  monkeypatch.setitem(sys.modules, "plotly", None)
  assert 'python -m pip install "l2l_tf[train]"' in get(tab_of(logdir), "/plotly.js")
