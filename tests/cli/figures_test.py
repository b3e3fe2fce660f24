"""Tests of bin/figures.py and l2l_tf/plotting/curves.py."""

import shutil

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from l2l_tf.evaluation import results
from l2l_tf.inspection import proposal_files
from l2l_tf.plotting import curves as plots
from tests import programs
from tests import tiny_results

figures, work = programs.load("figures"), programs.work("figures")


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory):
  """A results directory with tiny results of every panel."""
  folder = tmp_path_factory.mktemp("made") / "results"
  (folder / "visualizations").mkdir(parents=True)
  for panels in work.FIGURES.values():
    for panel in panels:
      results.write(str(folder / panel.file), tiny_results.make(panel.problem, panel.num_steps))
  for problem, file in work.VISUALIZATIONS.items():
    document = tiny_results.visualization()
    if problem != "mnist":  # one is drawn with all its steps, which takes a while
      _keep_steps(document, 1)
    proposal_files.write(str(folder / "visualizations" / file), document)
  return folder


def _keep_steps(document, count):
  """Leaves the first sweeps of a visualization only."""
  del document["steps"][count:]
  for entry in document["coordinates"].values():
    for sweeps in entry["swept_updates"].values():
      del sweeps[count:]


@pytest.fixture(name="directory")
def _directory(made, tmp_path):
  """The same, to be changed."""
  shutil.copytree(made, tmp_path / "results")
  return tmp_path


@pytest.fixture(name="counted")
def _counted(monkeypatch):
  """In place of each picture, which takes a second to render, the number of its panels."""

  def count(figure, **_):
    return b"%d panels" % sum(axes.get_visible() for axes in figure.axes)

  monkeypatch.setattr(plots, "png", count)
  monkeypatch.setattr(plots, "svg", count)


def _run(directory) -> int:
  arguments = (f"--results={directory / 'results'}", f"--out={directory / 'figures'}")
  return programs.run(figures.main, *arguments)


@pytest.mark.slow
def test_draws_every_figure_as_png_and_svg(directory, capsys):
  assert _run(directory) == 0
  names = sorted(path.name for path in (directory / "figures").iterdir())
  proposals = [
    f"figure_{end}.png"
    for problem in ("mnist", "neural_art", "quadratic")
    for end in (f"10_{problem}_1", f"10_{problem}_2", f"9_{problem}")
  ]
  curves = [f"figure_{number}.{kind}" for number in (4, 5, 7, 8) for kind in ("png", "svg")]
  assert names == sorted([*curves, *proposals])
  for name in proposals:
    picture = tf.io.decode_png((directory / "figures" / name).read_bytes()).numpy()
    assert picture.shape[1] > 500 and picture.std() > 10
  picture = tf.io.decode_png((directory / "figures" / "figure_4.png").read_bytes()).numpy()
  assert picture.shape[1] > 1500 and picture.std() > 10
  svg = (directory / "figures" / "figure_5.svg").read_bytes()
  assert svg.startswith(b"<?xml") and b"<svg" in svg
  assert "figure_5.svg" in capsys.readouterr().out
  shutil.rmtree(directory / "results" / "visualizations")
  for name in ("figure_4", "figure_7", "figure_8"):
    for panel in work.FIGURES[name]:
      (directory / "results" / panel.file).unlink()
  (directory / "figures" / "figure_5.svg").unlink()
  assert _run(directory) == 0
  assert (directory / "figures" / "figure_5.svg").read_bytes() == svg


def test_layout_is_the_papers():
  panels = [
    (panel, tiny_results.make(panel.problem, panel.num_steps)) for panel in work.FIGURES["figure_4"]
  ]
  figure = work.draw(panels)
  left, _, right = figure.axes
  assert [axes.get_yscale() for axes in figure.axes] == ["log"] * 3
  assert left.get_xlim() == (0, 100) and right.get_xlim() == (100, 200)
  lines = {line.get_label(): line for line in right.get_lines()}
  assert list(lines) == ["LSTM", "Adam", "RMSprop", "SGD", "Adadelta", "Adagrad", "Rprop"]
  assert lines["LSTM"].get_linestyle() == "-"
  assert len({line.get_color() for line in lines.values()}) == 7
  assert all(line.get_linestyle() == "--" for name, line in lines.items() if name != "LSTM")
  np.testing.assert_array_equal(lines["Adam"].get_xdata(), np.arange(100, 201))
  expected = panels[2][1]["optimizers"]["adam"]["mean"][100:]
  np.testing.assert_array_equal(lines["Adam"].get_ydata(), expected)
  assert len(right.collections) == 7  # the shaded intervals
  assert len(figure.legends[0].get_texts()) == 7


def test_an_optimizer_has_one_colour_in_all_figures():
  styles = [*plots.LEARNED_STYLES.values(), *plots.RIVAL_STYLES.values()]
  assert len({style.colour for style in styles}) == len(styles)
  few, more = plots.learned_styles(["NTM-BFGS"]), plots.learned_styles(["LSTM", "NTM-BFGS", "mine"])
  assert few["NTM-BFGS"] == more["NTM-BFGS"] and len({s.colour for s in more.values()}) == 3


def test_a_panel_says_why_a_rival_leaves_it():
  losses = tiny_results.curves(0.01)
  losses[2, -10:] = 1e9
  made = tiny_results.make(sgd=losses)
  (line,) = work.diverging(made)
  assert line == "SGD leaves at its best rate, 0.1;\ndiverging: 1 of 6 instances"
  assert work.diverging(tiny_results.make()) == []


def test_paired_ratios_have_a_panel_of_their_own():
  panels = [
    (panel, tiny_results.make(panel.problem, panel.num_steps)) for panel in work.FIGURES["figure_7"]
  ]
  *_, last = work.draw(panels, with_ratios=True).axes
  assert [text.get_text() for text in last.get_yticklabels()][:2] == ["Adam", "RMSprop"]
  ratio = results.ratio_of(panels[0][1], "mnist_lstm", "adam")
  x = last.containers[0].lines[0].get_xdata()[0]
  assert x == pytest.approx(max(ratio.ratio, plots.LEAST_RATIO)) and len(last.containers) == 2


def test_what_is_shaded_is_students_interval():
  """With few runs 1.96 standard errors would be too narrow."""
  made = tiny_results.make({"name": "bowl"}, 20)
  _, halves, _ = work._curves(made)
  factor = scipy.stats.t.ppf(0.975, made["num_runs"] - 1)
  errors = np.array(made["optimizers"]["adam"]["standard_error"])
  np.testing.assert_allclose(halves["adam"], factor * errors)
  assert factor > 1.98


def test_figure_7_shows_both_sets_and_both_kinds():
  panels = work.FIGURES["figure_7"]
  assert [panel.file for panel in panels] == ["cifar10_train.json", "cifar10_test.json"]
  assert [panel.problem["split"] for panel in panels] == ["train", "test"]
  learned = ("cifar10_conv_fc", "cifar10_lstm")
  drawn = [(p, tiny_results.make(p.problem, p.num_steps, learned)) for p in panels]
  axes = work.draw(drawn).axes
  assert [a.get_xlim() for a in axes] == [(0, 1000)] * 2
  labels = [line.get_label() for line in axes[1].get_lines()]
  assert labels[:3] == ["LSTM for conv, LSTM for fc", "LSTM", "Adam"] and len(labels) == 8
  adam = axes[1].get_lines()[2]
  shown = dict(zip(*adam.get_data()))
  mean = np.array(drawn[1][1]["optimizers"]["adam"]["mean"])
  np.testing.assert_allclose(shown[500], mean[490:510].mean())
  np.testing.assert_allclose([shown[0], shown[1000]], [mean[:10].mean(), mean[-11:].mean()])
  assert axes[1].get_ylabel() == "loss, means of 20 steps"


def test_limits_follow_the_curves_that_fall():
  axes = plots.new_figure(3, 3).subplots()
  down, up = np.geomspace(2, 0.2, 11), np.geomspace(2, 1e9, 11)
  gone = np.append(down[:5], [np.nan] * 6)
  plots.draw_curves(axes, {"learned": down, "adam": up, "sgd": gone}, ["learned"])
  low, high = axes.get_ylim()
  assert 0.1 < low < 0.2 and 2 < high < 4


def test_nothing_finite_is_drawn_all_the_same():
  axes = plots.new_figure(3, 3).subplots()
  plots.draw_curves(axes, {"learned": np.full(5, np.nan)}, ["learned"])
  (line,) = axes.get_lines()
  assert line.get_label() == "learned" and len(line.get_xdata()) == 5
  assert np.isfinite(axes.get_ylim()).all()  # a panel with axes rather than an error


@pytest.mark.parametrize("how", ["missing", "corrupt", "mismatched"])
def test_a_bad_file_costs_its_panel_only(directory, counted, capsys, how):
  path = directory / "results" / "mnist_relu.json"
  if how == "missing":
    path.unlink()
  elif how == "corrupt":
    path.write_text("{")
  else:
    results.write(str(path), tiny_results.make(num_steps=100))
  assert _run(directory) == 1
  error = capsys.readouterr().err
  assert error.count("\n") == 1 and "figure_5 lacks the panel 'MNIST, ReLU'" in error
  assert "mnist_relu.json" in error
  assert len(list((directory / "figures").iterdir())) == 17
  for kind in ("png", "svg"):
    assert (directory / "figures" / f"figure_5.{kind}").read_bytes() == b"2 panels"
    assert (directory / "figures" / f"figure_4.{kind}").read_bytes() == b"3 panels"


def test_histories_show_the_updates_of_all_optimizers():
  document = tiny_results.visualization()
  figure = work.draw_proposals(document)["figure_9_{}"]
  assert [axes.get_title() for axes in figure.axes] == ["a[0]", "b[1,2]"]
  for axes, entry in zip(figure.axes, document["coordinates"].values()):
    lines = {line.get_label(): line for line in axes.get_lines()}
    for name, label in (("learned", "LSTM"), ("adam", "Adam"), ("sgd", "SGD")):
      np.testing.assert_array_equal(lines[label].get_xdata(), np.arange(1, 11))
      np.testing.assert_array_equal(lines[label].get_ydata(), entry["updates"][name])
    assert lines["LSTM"].get_linestyle() == "-" and lines["Adam"].get_linestyle() == "--"


def test_sweeps_are_a_grid_of_steps_with_the_gradient_seen():
  document = tiny_results.visualization()
  figure = work.draw_proposals(document)["figure_10_{}_2"]
  entry = document["coordinates"]["b[1,2]"]
  panels = [axes for axes in figure.axes if axes.get_visible()]
  assert [axes.get_title() for axes in panels] == [f"step {t}" for t in document["steps"]]
  for k, (axes, step) in enumerate(zip(panels, document["steps"])):
    lines = {line.get_label(): line for line in axes.get_lines()}
    seen = (entry["gradients"][step - 1], entry["updates"]["learned"][step - 1])
    assert lines["gradient seen"].get_xydata().tolist() == [list(seen)]
    assert list(seen) in lines["LSTM"].get_xydata().tolist()  # the line passes through it
    np.testing.assert_array_equal(lines["Adam"].get_xdata(), entry["swept_gradients"])
    np.testing.assert_array_equal(lines["Adam"].get_ydata(), entry["swept_updates"]["adam"][k])
    low, high = axes.get_ylim()
    assert low < seen[1] < high


def test_a_bad_visualization_costs_its_pictures_only(directory, counted, capsys):
  path = directory / "results" / "visualizations" / "mnist_lstm.json"
  path.write_text("{}")
  assert _run(directory) == 1
  error = capsys.readouterr().err
  assert error.count("\n") == 1 and "figures 9 and 10 lack mnist: " in error
  assert "mnist_lstm.json" in error
  assert len(list((directory / "figures").iterdir())) == 14


def test_figures_without_any_results_are_left_as_they_were(directory, counted, capsys):
  names = ["figure_5.png", "figure_5.svg", "figure_9_neural_art.png", "figure_10_neural_art_1.png"]
  (directory / "figures").mkdir()
  for name in [*names, "figure_4.png"]:
    (directory / "figures" / name).write_text("before")
  (directory / "results" / "visualizations" / "neural_art_lstm.json").unlink()
  for panel in work.FIGURES["figure_5"]:
    (directory / "results" / panel.file).unlink()
  assert _run(directory) == 0
  error = capsys.readouterr().err
  assert "figure_5 is left as it is: no results yet (mnist_40.json)" in error
  assert "figures 9 and 10 of neural_art are left as they are: no results yet" in error
  assert all((directory / "figures" / name).read_text() == "before" for name in names)
  assert (directory / "figures" / "figure_4.png").read_text() == "3 panels"


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_a_folder_without_results_is_an_error(tmp_path, capsys, there):
  if there:
    (tmp_path / "results" / "visualizations").mkdir(parents=True)
    results.write(str(tmp_path / "results" / "bowl_4.json"), tiny_results.make())
  assert _run(tmp_path) == 1
  error = capsys.readouterr().err
  assert f"There are no results in {tmp_path / 'results'}: none of quadratic.json, mnist_1" in error
  assert "visualizations/mnist_lstm.json" in error and "bin/evaluate.py" in error
  assert "--results=runs/results" in error and error.count("\n") == 1
  assert not (tmp_path / "figures").exists()


def test_an_output_that_cannot_be_made_is_one_line(directory, capsys):
  (directory / "figures").write_text("a file")
  assert _run(directory) == 1
  assert capsys.readouterr().err.count("\n") == 1
