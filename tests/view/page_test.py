"""Tests of the view as a file: what is in it, and what a browser shows when sliders are moved."""

import json
import re

import numpy as np
import pytest

from l2l_tf.inspection import sweep_files
from l2l_tf.inspection.proposal_files import VisualizationError
from l2l_tf.storage import outputs
from l2l_tf.view import page
from tests import browser
from tests import programs
from tests.view import documents

COMMITTED = programs.ROOT / "results" / "visualizations" / "mnist_lstm.json"
LIMIT = 5 * 10**6  # bytes of a page
HOSTILE = '<img src=x onerror="document.title=1">'
P = 8  # that the axis begins with: e^-8 is the first below the gradients of `documents`


@pytest.fixture(name="epochs", scope="module")
def _epochs():
  return [documents.make(epoch) for epoch in (1, 2, 5)]


def test_a_page_is_one_small_file_that_asks_for_nothing(epochs):
  text = page.make("A <title>", {"a run": epochs}).decode()
  assert len(text) < LIMIT and text.count("<title>A &lt;title&gt;</title>") == 1
  assert "default-src 'none'" in text
  assert not re.findall(r"(?:src|href)=|^import ", text, re.M)
  assert not re.findall(r"https?://", text)


def test_of_many_epochs_some_are_left_out(epochs, monkeypatch):
  monkeypatch.setattr(page, "MAX_DATA_BYTES", 10**4)
  many = [epochs[0] | {"epoch": 1 + i} for i in range(400)]
  for i, document in enumerate(many):
    many[i] = document | {"losses": np.random.default_rng(i).uniform(1, 2, 11).tolist()}
  kept = page.thinned(many, 7)
  assert [document["epoch"] for document in kept[:3]] == [1, 8, 15] and kept[-1]["epoch"] == 400
  text = page.make("many", {"many": many}).decode()
  assert len(re.search(r'id="data">(.*?)</script>', text)[1]) <= 10**4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_too_large_in_any_choice_of_epochs_is_an_error(epochs, count, monkeypatch):
  monkeypatch.setattr(page, "MAX_DATA_BYTES", 100)
  with pytest.raises(VisualizationError, match="a page, which may have 100. Lower `num_panels`"):
    page.make("large", {"large": epochs[:count]})


def test_the_page_of_a_run_leaves_out_what_is_damaged(tmp_path, epochs):
  assert page.of_run(str(tmp_path)) is None
  for document in epochs:
    sweep_files.write(str(tmp_path), document)
  (tmp_path / "sweeps" / "epoch_00002.json.gz").write_bytes(b"damaged")
  assert len(page.of_run(str(tmp_path))) < LIMIT


def test_only_a_page_is_replaced_by_a_page(tmp_path, epochs):
  path = tmp_path / "view.html"
  page.check(str(path), False)
  page.check(None, False)
  path.write_bytes(page.make("a", {"a": epochs}))
  page.check(str(path), False)
  path.write_text("<html>mine</html>")
  with pytest.raises(outputs.OutputError, match="is no page of this program.*overwrite"):
    page.check(str(path), False)
  page.check(str(path), True)
  with pytest.raises(outputs.OutputError, match="is a directory; name a file with `html`"):
    page.check(str(tmp_path), True)


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory, epochs):
  path = tmp_path_factory.mktemp("page") / "view.html"
  path.write_bytes(page.make("What a run learned", {"a run": epochs}))
  return path.as_uri()


def check_lines(shown, document, coordinate, k, p=P):
  for name, label in (("learned", "Learned"), ("adam", "Adam"), ("sgd", "SGD")):
    expected = documents.points(document, coordinate, k, p, name)
    found = np.array(browser.drawn(shown, ".large", label))
    np.testing.assert_allclose(found, expected, atol=0.003 * np.ptp(expected, axis=0).max())


@pytest.mark.slow
@browser.needed
def test_sliders_move_the_curves_to_the_numbers_of_the_file(file, epochs, tmp_path):
  with browser.opened(file) as shown:
    shown.wait_for_selector(".large .main-svg")
    check_lines(shown, epochs[2], "a[0]", 0)
    for epoch, step in ((0, 3), (1, 8), (2, 5)):
      browser.set_slider(shown, "epoch", epoch)
      browser.set_slider(shown, "step", step)
      check_lines(shown, epochs[epoch], "a[0]", step)
    shown.select_option("select[name=coordinate]", "b[1,2]")
    check_lines(shown, epochs[2], "b[1,2]", 5)
    browser.set_slider(shown, "p", 3)
    check_lines(shown, epochs[2], "b[1,2]", 5, p=3)
    browser.shoot(shown, tmp_path / "page.png")


@pytest.mark.slow
@browser.needed
def test_a_click_switches_an_optimizer_and_the_axis(file, epochs):
  with browser.opened(file) as shown:
    shown.wait_for_selector(".large .main-svg")
    names = "panel => panel.data.map(trace => trace.name)"
    assert shown.locator(".large").evaluate(names) == ["Learned", "Adam", "SGD", "Gradient seen"]
    shown.get_by_role("checkbox", name="Adam").uncheck()
    assert shown.locator(".large").evaluate(names) == ["Learned", "SGD", "Gradient seen"]
    assert shown.locator(".history").evaluate(names) == ["Learned", "SGD"]
    assert shown.locator(".losses").evaluate(names) == ["Learned", "This instance"]
    shown.get_by_role("checkbox", name="symmetric logarithm").uncheck()
    found = np.array(browser.drawn(shown, ".large", "SGD"))
    entry = epochs[2]["coordinates"]["a[0]"]
    np.testing.assert_allclose(found[:, 0], entry["swept_gradients"], atol=0.003)
    assert shown.locator("input[name=p]").is_disabled()


@pytest.mark.slow
@browser.needed
def test_the_gradient_seen_is_marked_and_hovering_tells_numbers(file, epochs):
  with browser.opened(file) as shown:
    shown.wait_for_selector(".large .main-svg")
    browser.set_slider(shown, "step", 4)
    entry = epochs[2]["coordinates"]["a[0]"]
    seen, taken = entry["gradients"][4], entry["updates"]["learned"][4]
    marker = "panel => [panel.data.at(-1).x[0], panel.data.at(-1).y[0]]"
    np.testing.assert_allclose(
      shown.locator(".large").evaluate(marker), [documents.place(seen, P), taken], rtol=1e-6
    )
    box = shown.locator(".large .nsewdrag").bounding_box()
    gradient = entry["swept_gradients"][3]
    where = shown.locator(".large").evaluate(
      "(p, x) => p._fullLayout.xaxis.l2p(x)", documents.place(gradient, P)
    )
    shown.mouse.move(box["x"] + where, box["y"] + 20)
    shown.wait_for_selector(".large .hoverlayer text")
    told = shown.locator(".large .hoverlayer").text_content()
    update = entry["swept_updates"]["sgd"][4][3]
    assert f"SGD : {update:.3g} at gradient −{-gradient:.3g}" in told.replace("\u00a0", " "), told


@pytest.mark.slow
@browser.needed
def test_words_and_a_table_say_what_is_drawn(file, epochs):
  with browser.opened(file) as shown:
    shown.wait_for_selector(".large .main-svg")
    browser.set_slider(shown, "step", 2)
    entry = epochs[2]["coordinates"]["a[0]"]
    told = shown.locator("[role=status]").text_content()
    assert told.startswith("Epoch 5, step 3, a[0]: gradient −0.416; updates Learned 0.100, Adam ")
    assert shown.locator(".large").get_attribute("aria-label").endswith(told)
    assert shown.locator("input[name=step]").get_attribute("aria-valuetext") == "step 3"
    shown.locator("summary").focus()
    shown.keyboard.press("Enter")
    shown.locator("table tr").first.wait_for()
    rows = shown.locator("table tr").all_text_contents()
    assert len(rows) == 1 + 21 and rows[0] == "gradientlearnedadamsgd"
    number = float(
      shown.locator("table tr:nth-child(22) td:nth-child(2)").text_content().replace("−", "-")
    )
    assert number == pytest.approx(entry["swept_updates"]["learned"][2][-1], rel=5e-3)


@pytest.mark.slow
@browser.needed
def test_everything_is_reached_by_the_tab_key_alone(file):
  with browser.opened(file) as shown:
    shown.wait_for_selector(".large .main-svg")
    reached = []
    for _ in range(16):
      shown.keyboard.press("Tab")
      reached.append(
        shown.evaluate("document.activeElement.name || document.activeElement.tagName")
      )
    wanted = ["coordinate", "epoch", "step", "optimizer", "symlog", "p", "sameScale", "SUMMARY"]
    assert [name for name in wanted if name in reached] == wanted, reached
    unnamed = """[...document.querySelectorAll("input, select")].filter(
      field => !field.labels.length && !field.ariaLabel).length"""
    assert shown.evaluate(unnamed) == 0


@pytest.mark.slow
@browser.needed
def test_the_axis_of_losses_has_whole_numbers(file):
  """Of the losses 2 to 0.2; a diverging curve would leave the panel."""
  with browser.opened(file) as shown:
    shown.wait_for_selector(".losses .main-svg")
    ticks = shown.locator(".losses .ytick text").all_text_contents()
    assert ticks == ["0.2", "0.5", "1", "2"]


@pytest.mark.slow
@browser.needed
def test_it_is_dark_where_the_reader_wants_that(file, tmp_path):
  background = "getComputedStyle(document.querySelector('.l2l-view')).backgroundColor"
  line = "document.querySelector('.large').data[0].line.color"
  with browser.opened(file) as shown:
    shown.wait_for_selector(".large .main-svg")
    assert (shown.evaluate(background), shown.evaluate(line)) == (
      "rgb(255, 255, 255)",
      "rgb(0, 0, 0)",
    )
    shown.emulate_media(color_scheme="dark")
    browser.wait_until(shown, f"{line} == 'rgb(255, 255, 255)'")
    assert shown.evaluate(background) == "rgb(27, 29, 33)"
    browser.shoot(shown, tmp_path / "dark.png")


@pytest.mark.slow
@browser.needed
def test_names_in_files_are_text(tmp_path, epochs):
  document = json.loads(json.dumps(epochs[0]))
  document["coordinates"] = {HOSTILE: document["coordinates"]["a[0]"]}
  document["rivals"][HOSTILE] = {"learning_rate": 1.0}
  for updates in ("updates", "swept_updates"):
    entry = document["coordinates"][HOSTILE][updates]
    entry[HOSTILE] = entry["sgd"]
  path = tmp_path / "view.html"
  path.write_bytes(page.make(HOSTILE, {HOSTILE: [document], "</script>": [document]}))
  with browser.opened(path.as_uri()) as shown:
    shown.wait_for_selector(".large .main-svg")
    shown.select_option("select[name=run]", "</script>")
    shown.wait_for_timeout(300)
    assert shown.title() == HOSTILE and shown.locator("img").count() == 0
    assert HOSTILE in shown.locator("[role=status]").text_content()


@pytest.mark.slow
@browser.needed
def test_a_committed_visualization_is_shown(tmp_path):
  document = sweep_files.of_visualization(json.loads(COMMITTED.read_text()))
  path = tmp_path / "view.html"
  path.write_bytes(page.make("mnist_lstm", {"mnist_lstm": [document]}))
  with browser.opened(path.as_uri(), size=(420, 900)) as shown:  # a telephone
    shown.wait_for_selector(".large .main-svg")
    assert shown.locator("input[name=epoch]").is_hidden()
    browser.set_slider(shown, "step", 10)
    coordinate = next(iter(document["coordinates"]))
    p = int(shown.locator("input[name=p]").input_value())
    check_lines(shown, document, coordinate, 10, p)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 420
    browser.shoot(shown, tmp_path / "telephone.png")


LIVE = """
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const file = window.view.source;
  const make = (source) => {
    const root = document.body.appendChild(document.createElement("main"));
    return new window.view.constructor(root, { seconds: 0, ...source }, window.Plotly);
  };
  const label = (view) => [
    view.find(".epoch b").textContent, view.field("epoch").getAttribute("aria-valuetext"),
  ];
"""
MOVED = """
  const list = async () => { await sleep(200); return { runs: { "a run": [1, 2, 5] } }; };
  const view = make({ list, document: (name, epoch) => file.document(name, epoch) });
  await view.start();
  const looking = view.refresh(); // as it does every five seconds
  await sleep(50);
  view.field("epoch").value = 0;
  view.field("epoch").dispatchEvent(new Event("input", { bubbles: true }));
  await looking;
  await sleep(100);
  return [view.field("epoch").value, view.document.epoch, ...label(view)];
"""
DAMAGED = """
  const read = async (name, epoch) => {
    if (epoch === 5) throw new Error("epoch 5 is damaged");
    return file.document(name, epoch);
  };
  const view = make({ list: async () => ({ runs: { "a run": [1, 2, 5] } }), document: read });
  const said = [];
  const alert = view.find(".problems");
  const note = () => said.push(alert.textContent);
  new MutationObserver(note).observe(alert, { childList: true, subtree: true });
  await view.start();
  for (let i = 0; i < 3; i++) { await view.refresh(); await sleep(20); }
  return [said, view.find(".waiting").hidden, ...label(view)];
"""


def live(shown, body):
  """What a function returns that makes a view of its own, with the page's data."""
  shown.wait_for_selector(".large .main-svg")
  return shown.evaluate(f"async () => {{ {LIVE} {body} }}")


@pytest.mark.slow
@browser.needed
def test_a_slider_that_moves_while_the_view_looks_for_news_stays(file):
  with browser.opened(file) as shown:
    assert live(shown, MOVED) == ["0", 1, "1", "epoch 1"]


@pytest.mark.slow
@browser.needed
def test_a_damaged_epoch_is_said_once_and_by_its_number(file):
  with browser.opened(file) as shown:
    assert live(shown, DAMAGED) == [["epoch 5 is damaged"], True, "5", "epoch 5"]


@pytest.mark.slow
@browser.needed
def test_losses_below_zero_have_an_axis_with_all_of_them(tmp_path, epochs):
  document = epochs[0] | {"losses": np.linspace(1, -3, 11).tolist(), "validation": {}}
  path = tmp_path / "view.html"
  path.write_bytes(page.make("below", {"below": [document]}))
  with browser.opened(path.as_uri()) as shown:
    shown.wait_for_selector(".losses .main-svg")
    axis = "panel => [panel.layout.yaxis.type ?? '', ...panel.layout.yaxis.range]"
    kind, low, high = shown.locator(".losses").evaluate(axis)
    assert kind != "log" and low < -3 and high > 1


@pytest.mark.slow
@browser.needed
def test_a_linear_axis_of_gradients_has_its_ends_written_and_a_narrow_page_no_scroll(file):
  with browser.opened(file, size=(320, 900)) as shown:
    shown.wait_for_selector(".large .main-svg")
    browser.set_slider(shown, "p", 0)
    ticks = shown.locator(".large").evaluate("panel => panel.layout.xaxis.ticktext")
    assert len(ticks) >= 3 and ticks[0] == "0" and ticks[1] == f"−{ticks[2]}"
    assert shown.evaluate("document.documentElement.scrollWidth") <= 320
