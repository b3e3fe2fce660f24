"""Drawing of proposed updates, as in Figures 9 and 10: learned optimizers solid, rivals dashed."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

import numpy as np

from l2l_tf import surroundings
from l2l_tf.plotting import curves as plots

with surroundings.extra("train"):
  from matplotlib import ticker
  from matplotlib.axes import Axes

ZERO: dict[str, Any] = {"color": plots.SILVER, "linewidth": 0.6, "zorder": 1}
LINSCALE = 0.39  # then the two parts of the symmetric logarithm meet without a bend
ROOM = 1.15  # from the largest number shown to the edge


def linear_within(gradients: Sequence[float]) -> float:
  """Where the axis of swept gradients turns from linear to logarithmic: e^-p, p an integer.

  It is the first e^-p below all of them but 0, of a p of 0..20.
  """
  sizes = np.abs(gradients)
  smallest = min(1.0, sizes[sizes > 0].min(initial=1.0))
  return math.exp(-min(20, math.ceil(-math.log(smallest))))


def _decades(gradients: Sequence[float], most: int = 3) -> list[float]:
  """Ticks for swept gradients: 0 and, on each side, at most so many powers of ten.

  Those near 0, whose labels would lie upon its own, are left out.
  """
  last = math.floor(math.log10(gradients[-1]))
  first = min(last, math.ceil(math.log10(linear_within(gradients))) + 1)
  powers = [
    10.0**power for power in range(last, first - 1, -max(1, -(-(last - first + 1) // most)))
  ]
  return [*(-power for power in powers), 0.0, *reversed(powers)]


def _line(axes: Axes, name: str, x: np.ndarray, y: np.ndarray, label: str):
  """One optimizer's line; the learned one, which is no rival, is called `label`."""
  is_rival = name in plots.RIVAL_STYLES
  style = plots.RIVAL_STYLES.get(name, plots.LEARNED_STYLES["LSTM"])
  axes.plot(
    x,
    y,
    color=style.colour,
    linestyle=style.dashes,
    linewidth=1.2 if is_rival else 1.6,
    zorder=2 if is_rival else 3,
    label=plots.RIVAL_LABELS[name] if is_rival else label,
  )


def draw_history(
  axes: Axes, updates: Mapping[str, Sequence[float]], num_steps: int, label: str, title: str
):
  """Draws the updates proposed at the steps 1..num_steps for one coordinate (Figure 9).

  Args:
    axes: where to draw.
    updates: by optimizer, at least `[num_steps]` each.
    num_steps: how many to show.
    label: of the learned optimizer, which is the one that is no rival.
    title: of the panel.
  """
  shown = {name: np.asarray(u[:num_steps]) for name, u in updates.items()}
  axes.axhline(0, **ZERO)
  for name, y in shown.items():
    _line(axes, name, np.arange(1, num_steps + 1), y, label)
  limit = ROOM * _largest(shown)
  axes.set(xlim=(1, num_steps), ylim=(-limit, limit), xlabel="step")
  axes.set_title(title, fontsize="medium")
  axes.grid(True, linewidth=0.4, alpha=0.35)


def _largest(lines: Mapping[str, np.ndarray]) -> float:
  """The largest magnitude, SGD's counted only as far as twice the others'."""
  others = [np.abs(y).max() for name, y in lines.items() if name != "sgd"] or [0.0]
  sgd = np.abs(lines["sgd"]).max() if "sgd" in lines else 0.0
  return max(*others, min(sgd, 2 * max(others))) or 1.0


def draw_sweep(
  axes: Axes,
  gradients: Sequence[float],
  swept: Mapping[str, Sequence[float]],
  seen: tuple[float, float],
  limit: float,
  label: str,
  title: str,
):
  """Draws the updates proposed against the current gradient of one coordinate (Figure 10).

  Args:
    axes: where to draw.
    gradients: `[V]`, those of the sweep.
    swept: the update for each of them by optimizer, `[V]`.
    seen: the gradient that was really seen, and the learned optimizer's update: marked.
    limit: of the updates shown.
    label: of the learned optimizer.
    title: of the panel.
  """
  axes.axhline(0, **ZERO)
  axes.axvline(0, **ZERO)
  axes.axvline(seen[0], color=plots.BLUE, linewidth=0.8, alpha=0.6, zorder=1)
  for name, updates in swept.items():
    x, y = np.asarray(gradients), np.asarray(updates)
    if name not in plots.RIVAL_STYLES:  # its line passes through what it really did
      where = np.searchsorted(x, seen[0])
      x, y = np.insert(x, where, seen[0]), np.insert(y, where, seen[1])
    _line(axes, name, x, y, label)
  axes.plot(*seen, "o", color=plots.BLUE, markersize=3.5, zorder=4, label="gradient seen")
  axes.set_xscale("symlog", linthresh=linear_within(gradients), linscale=LINSCALE)
  axes.set(xlim=(gradients[0], gradients[-1]), ylim=(-limit, limit))
  axes.set_title(title, fontsize="small", pad=3)
  axes.tick_params(labelsize="x-small", length=2)
  axes.xaxis.set_major_locator(ticker.FixedLocator(_decades(gradients, 1)))
  axes.xaxis.set_minor_locator(ticker.NullLocator())
  axes.yaxis.set_major_locator(ticker.MaxNLocator(2, symmetric=True))
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))


def sweep_grid(
  entries: Mapping[str, Mapping], steps: Sequence[int], columns: int, label: str, title: str = ""
) -> plots.Figure:
  """A figure of panels in reading order: each coordinate at each of the steps.

  The panels of a row share the scale of the updates, those of a coordinate that of the gradients.

  Args:
    entries: as the "coordinates" of a visualization file (docs/visualizations.md).
    steps: all those that were swept.
    columns: panels side by side.
    label: of the learned optimizer.
    title: of the figure.
  """
  rows = len(entries) * -(-len(steps) // columns)
  figure = plots.new_figure(0.4 + 1.28 * columns, 0.75 + 1.12 * rows)
  all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
  for axes in all_axes:
    axes.set_visible(False)
  start = 0
  for coordinate, entry in entries.items():
    for k, step in enumerate(steps):
      axes = all_axes[start + k]
      axes.set_visible(True)
      if k % columns == 0:
        row = {n: np.array(u[k : k + columns]) for n, u in entry["swept_updates"].items()}
        limit = ROOM * _largest(row)
      swept = {name: u[k] for name, u in entry["swept_updates"].items()}
      learned = next(u for n, u in entry["updates"].items() if n not in plots.RIVAL_STYLES)
      seen = entry["gradients"][step - 1], learned[step - 1]
      draw_sweep(axes, entry["swept_gradients"], swept, seen, limit, label, f"step {step}")
      if len(entries) > 1 and k == 0:
        axes.set_ylabel(coordinate, fontsize="x-small")
      is_last = k + columns >= len(steps)
      axes.tick_params(labelleft=k % columns == 0, labelbottom=is_last)
      is_bottom = is_last and entry is [*entries.values()][-1]
      axes.set_xlabel("gradient" if is_bottom else "", fontsize="x-small", labelpad=1)
    start += -(-len(steps) // columns) * columns
  figure.supylabel("proposed update", fontsize="small")
  if title:
    figure.suptitle(title, fontsize="medium")
  plots.add_legend(figure, all_axes[:1], columns=8)
  return figure


def sweep_panel(
  entry: Mapping[str, Any], k: int, step: int, label: str, title: str, one_scale: bool = False
) -> plots.Figure:
  """A figure of one large panel: a coordinate's sweep `k`, which is that of `step`.

  Args:
    entry: of the coordinate, as in `sweep_grid`.
    k: which of the sweeps.
    step: that it belongs to.
    label: of the learned optimizer.
    title: of the figure.
    one_scale: whether the scale of the updates is that of all sweeps.
  """
  figure = plots.new_figure(5.4, 4)  # small, so that letters are large where TensorBoard shrinks it
  axes = figure.subplots()
  swept = {name: np.asarray(updates) for name, updates in entry["swept_updates"].items()}
  shown = swept if one_scale else {name: updates[k] for name, updates in swept.items()}
  learned = next(u for n, u in entry["updates"].items() if n not in plots.RIVAL_STYLES)
  draw_sweep(
    axes,
    entry["swept_gradients"],
    {name: updates[k] for name, updates in swept.items()},
    (entry["gradients"][step - 1], learned[step - 1]),
    ROOM * _largest(shown),
    label,
    "",
  )
  axes.set_title(title, fontsize="medium")
  axes.set(xlabel="current gradient (symmetric logarithm)", ylabel="proposed update")
  axes.tick_params(labelsize="medium")
  axes.yaxis.set_major_locator(ticker.MaxNLocator(5))
  axes.xaxis.set_major_locator(ticker.FixedLocator(_decades(entry["swept_gradients"])))
  plots.add_legend(figure, [axes], columns=4)
  return figure


def histories(entries: Mapping[str, Mapping], num_steps: int, label: str) -> plots.Figure:
  """A figure of one panel a coordinate, side by side, in the form of `sweep_grid`'s `entries`."""
  figure = plots.new_figure(3.2 * len(entries), 2.9)
  all_axes = figure.subplots(1, len(entries), squeeze=False)[0]
  for axes, (coordinate, entry) in zip(all_axes, entries.items()):
    draw_history(axes, entry["updates"], num_steps, label, coordinate)
  all_axes[0].set_ylabel("proposed update")
  plots.add_legend(figure, all_axes, columns=8)
  return figure
