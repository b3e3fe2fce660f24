"""What bin/figures.py does once its flags are right; it needs no TensorFlow."""

from collections.abc import Sequence
import os
import sys
from typing import Any, NamedTuple

import numpy as np

from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import results as results_lib
from l2l_tf.inspection import proposal_files
from l2l_tf.plotting import curves as plots
from l2l_tf.plotting import proposal_plots
from l2l_tf.storage import files

PANEL_INCHES = (3.4, 3.0)


class Panel(NamedTuple):
  """One panel of a figure and what the results it shows must be of."""

  file: str  # under the results directory
  title: str
  problem: dict[str, Any]  # options that the results must have
  num_steps: int
  first_step: int = 0
  window: int = 1  # steps that each point is the mean of, against the noise of minibatches


def _mnist(file: str, title: str, num_steps: int, first_step: int = 0, **options: Any) -> Panel:
  base = {"hidden": [20], "activation": "sigmoid", "batch_size": 128, "margin": 0, "pooling": 1}
  base = {"name": "mnist", **base, "split": "train"}
  return Panel(file, title, base | options, num_steps, first_step)


def _cifar10(title: str, split: str) -> Panel:
  base = {"filters": [16, 16, 16], "kernel_size": 5, "units": 32, "batch_size": 128, "pooling": 1}
  options = {"name": "cifar10", **base, "split": split}
  return Panel(f"cifar10_{split}.json", title, options, 1000, window=20)


def _art(title: str, size: int) -> Panel:
  options = {"name": "neural_art", "size": size}
  return Panel(f"neural_art_{size}.json", title, options, 128)


FIGURES = {
  "figure_4": (
    Panel("quadratic.json", "Quadratics", {"name": "quadratic", "dimensions": 10}, 100),
    _mnist("mnist_100.json", "MNIST", 100),
    _mnist("mnist_200.json", "MNIST, 200 steps", 200, first_step=100),
  ),
  "figure_5": (
    _mnist("mnist_40.json", "MNIST, 40 units", 100, hidden=[40]),
    _mnist("mnist_2x20.json", "MNIST, 2 layers", 100, hidden=[20, 20]),
    _mnist("mnist_relu.json", "MNIST, ReLU", 100, activation="relu"),
  ),
  "figure_7": (
    _cifar10("CIFAR-10, training set", "train"),
    _cifar10("CIFAR-10, held-out set", "test"),
  ),
  "figure_8": (
    _art("Training style, 64 × 64", 64),
    _art("New style, 128 × 128", 128),
  ),
}
"""The figures and their panels, left to right."""

WITH_RATIOS = ("figure_7", "figure_8")  # whose lines lie close together

VISUALIZATIONS = {
  "quadratic": "quadratic_lstm.json",
  "mnist": "mnist_lstm.json",
  "neural_art": "neural_art_lstm.json",
}
"""What Figures 9 and 10 show: files in `visualizations/` under the results directory."""
COLUMNS = 8  # of Figure 10: the grid of appendix C

NAMES = {"ntm_lbfgs": "NTM-L-BFGS", "ntm_bfgs": "NTM-BFGS", "lstm_gac": "LSTM+GAC", "lstm": "LSTM"}
NAMES |= {"conv_fc": "LSTM for conv, LSTM for fc"}
"""How learned optimizers are called in the paper, by the end of their names."""


def run(program: str, flags: experiment_flags.Flags) -> int:
  """Draws everything that there are results for; 1 if a panel could not be drawn."""
  _check_results(flags.results)
  os.makedirs(flags.out, exist_ok=True)
  status = 0
  for name, panels in FIGURES.items():
    if not any(os.path.exists(os.path.join(flags.results, panel.file)) for panel in panels):
      print(f"{name} is left as it is: no results yet ({panels[0].file})", file=sys.stderr)
      continue
    drawable = []
    for panel in panels:
      try:
        drawable.append((panel, _read(os.path.join(flags.results, panel.file), panel)))
      except results_lib.ResultsError as error:
        print(f"{program}: {name} lacks the panel {panel.title!r}: {error}", file=sys.stderr)
        status = 1
    if not drawable:
      continue
    figure = draw(drawable, name in WITH_RATIOS)
    _write(flags.out, f"{name}.png", plots.png(figure, dpi=200))
    _write(flags.out, f"{name}.svg", plots.svg(figure))
  for problem, file in VISUALIZATIONS.items():
    path = os.path.join(flags.results, "visualizations", file)
    if not os.path.exists(path):
      what = f"figures 9 and 10 of {problem} are left as they are"
      print(f"{what}: no results yet ({file})", file=sys.stderr)
      continue
    try:
      document = proposal_files.read(path)
    except proposal_files.VisualizationError as error:
      print(f"{program}: figures 9 and 10 lack {problem}: {error}", file=sys.stderr)
      status = 1
      continue
    for name, figure in draw_proposals(document).items():
      _write(flags.out, f"{name.format(problem)}.png", plots.png(figure, dpi=110))
  return status


def _check_results(directory: str):
  """Raises ResultsError unless there is something to draw from."""
  files = [panel.file for panels in FIGURES.values() for panel in panels]
  files += [os.path.join("visualizations", file) for file in VISUALIZATIONS.values()]
  if not any(os.path.exists(os.path.join(directory, file)) for file in files):
    raise results_lib.ResultsError(
      f"There are no results in {directory}: none of {', '.join(files)}. Write them there with"
      " bin/evaluate.py and bin/visualize.py, as the README does, or name their folder, such as"
      " --results=runs/results."
    )


def _write(directory: str, name: str, content: bytes):
  path = os.path.join(directory, name)
  files.write_aside(path, content)
  print(path)


def draw_proposals(document: dict[str, Any]) -> dict[str, plots.Figure]:
  """Draws Figure 9 and, for each coordinate, Figure 10, by names with room for the problem's."""
  entries, label = document["coordinates"], _label(document["optimizer"]["name"])
  num_steps = document["num_steps"]
  figures = {"figure_9_{}": proposal_plots.histories(entries, num_steps, label)}
  for number, (coordinate, entry) in enumerate(entries.items(), start=1):
    figures[f"figure_10_{{}}_{number}"] = proposal_plots.sweep_grid(
      {coordinate: entry},
      document["steps"],
      COLUMNS,
      label,
      f"{coordinate}; gradients on a symmetric-log axis, a scale of updates for each row",
    )
  return figures


def draw(panels: Sequence[tuple[Panel, dict[str, Any]]], with_ratios: bool = False) -> plots.Figure:
  """Draws panels with their results side by side, with one legend for all.

  Args:
    panels: each with its results.
    with_ratios: whether a last panel shows the ratios of the first learned optimizer's final losses
      to its rivals', if there is one.
  """
  with_ratios = with_ratios and bool(_curves(panels[0][1])[2])
  width, height = PANEL_INCHES
  count = len(panels) + with_ratios
  figure = plots.new_figure(width * count, height + 0.5)
  all_axes = figure.subplots(1, count, squeeze=False)[0]
  for axes, (panel, results) in zip(all_axes, panels):
    curves, halves, learned = _curves(results)
    if panel.window > 1:
      curves, halves = (
        {name: _smoothed(values, panel.window) for name, values in each.items()}
        for each in (curves, halves)
      )
    stride = max(1, panel.window // 4)
    plots.draw_curves(axes, curves, learned, halves, panel.first_step, panel.title, stride)
    if panel.window > 1:
      axes.set_ylabel(f"loss, means of {panel.window} steps")
    if lines := diverging(results):
      corner = {"transform": axes.transAxes, "ha": "right", "va": "top"}
      axes.text(0.98, 0.98, "\n".join(lines), fontsize=7, zorder=5, **corner)
  if with_ratios:
    first = next(iter(_curves(panels[0][1])[2]))
    ratios = {panel.title: _ratios(results) for panel, results in panels}
    plots.draw_ratios(all_axes[-1], ratios, f"Ratios of {first}")
  plots.add_legend(figure, all_axes[: len(panels)], columns=2 * count)
  return figure


def diverging(results: dict[str, Any]) -> list[str]:
  """Why a rival's mean loss leaves the picture: a line for each that ends above its start."""
  lines = []
  for name, entry in results["optimizers"].items():
    first, last = entry["mean"][0], entry["mean"][-1]
    if entry["kind"] == "rival" and (last is None or last > first):
      above = sum(loss is None or loss > first for loss in entry["final_losses"])
      label, rate = plots.RIVAL_LABELS[name], entry["learning_rate"]
      at = "" if rate is None else f" at its best rate, {rate:.2g}"
      lines.append(f"{label} leaves{at};\ndiverging: {above} of {results['num_runs']} instances")
  return lines


def _ratios(results: dict[str, Any]) -> dict[str, plots.Ratio]:
  """The ratios of the first learned optimizer to each rival that has one."""
  first = next(name for name, e in results["optimizers"].items() if e["kind"] == "learned")
  rivals = [name for name, entry in results["optimizers"].items() if entry["kind"] == "rival"]
  pairs = {name: results_lib.ratio_of(results, first, name) for name in rivals}
  return {name: plots.Ratio(*ratio) for name, ratio in pairs.items() if ratio}


def _smoothed(values: np.ndarray, window: int) -> np.ndarray:
  """Means of `window` neighbours, fewer at the ends: `[T+1]`."""
  sums = (np.convolve(x, np.ones(window), "same") for x in (values, np.ones_like(values)))
  total, count = sums
  return total / count


def _curves(results: dict[str, Any]) -> tuple[dict, dict, list[str]]:
  """Mean losses and half widths of their intervals by label, and the learned ones' labels.

  Peers are left out, as in the paper: the table shows them.
  """
  curves, halves, learned = {}, {}, []
  for name, entry in results["optimizers"].items():
    if entry["kind"] == "peer":
      continue
    label = _label(name) if entry["kind"] == "learned" else name
    label = name if label in curves else label
    curves[label] = np.array(entry["mean"], np.float64)  # null becomes NaN
    error = np.array(entry["standard_error"], np.float64)
    halves[label] = intervals.half(error, results["num_runs"])
    if entry["kind"] == "learned":
      learned.append(label)
  return curves, halves, learned


def _label(name: str) -> str:
  return next((label for end, label in NAMES.items() if name.endswith(end)), name)


def _read(path: str, panel: Panel) -> dict[str, Any]:
  """Reads the results of a panel; raises ResultsError if they are of something else."""
  results = results_lib.read(path)
  expected = panel.problem | {"num_steps": panel.num_steps}
  received = results["problem"] | {"num_steps": results["num_steps"]}
  received = {key: received.get(key) for key in expected}
  if received != expected:
    raise results_lib.ResultsError(f"{path} must hold results of {expected}, got {received}.")
  return results
