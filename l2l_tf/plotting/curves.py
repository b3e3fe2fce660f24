"""Drawing of learning curves, as in the paper's figures: learned optimizers solid, rivals dashed.

The colours are those of Okabe and Ito, which colour-blind readers tell apart, two greys, a brown;
the dashes tell the rivals apart in black and white. An optimizer has one colour in all figures, and
no other has it.
"""

from collections.abc import Iterable, Mapping, Sequence
import io
import math
from typing import Any, NamedTuple

import numpy as np

from l2l_tf import surroundings

with surroundings.extra("train"):
  import matplotlib
  from matplotlib import ticker
  from matplotlib.axes import Axes
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

BLACK, BLUE, VERMILLION, PURPLE = "#000000", "#0072B2", "#D55E00", "#CC79A7"
BROWN = "#7F4F24"
ORANGE, SKY, GREEN, GREY, SILVER = "#E69F00", "#56B4E9", "#009E73", "#606060", "#999999"
DECADES_WITH_2_AND_5 = 2.2  # a loss axis that is longer has ticks at powers of ten only


class Style(NamedTuple):
  """How a line looks."""

  colour: str
  dashes: str | tuple = "-"


LEARNED_STYLES = {
  "LSTM": Style(BLACK),
  "LSTM+GAC": Style(VERMILLION),
  "NTM-BFGS": Style(BLUE),
  "NTM-L-BFGS": Style(PURPLE),
}
RIVAL_STYLES = {
  "adam": Style(ORANGE, (0, (6, 1.5))),
  "rmsprop": Style(SKY, (0, (6, 1.5, 1, 1.5))),
  "sgd": Style(GREEN, (0, (3, 1.5))),
  "adadelta": Style(GREY, (0, (3, 1.5, 1, 1.5))),
  "adagrad": Style(BROWN, (0, (1, 1.2))),
  "rprop": Style(SILVER, (0, (6, 1.5, 1, 1.5, 1, 1.5))),
}
OTHER_STYLE = Style(ORANGE, (0, (2, 1)))
RIVAL_LABELS = {
  "adam": "Adam",
  "rmsprop": "RMSprop",
  "sgd": "SGD",
  "adadelta": "Adadelta",
  "adagrad": "Adagrad",
  "rprop": "Rprop",
}


def new_figure(width: float, height: float) -> Figure:
  """An empty figure, in inches, that needs no display."""
  figure = Figure(figsize=(width, height), layout="constrained")
  FigureCanvasAgg(figure)
  return figure


def learned_styles(names: Sequence[str]) -> dict[str, Style]:
  """The styles of learned optimizers: their own, or of those that are left the next."""
  found = {name: LEARNED_STYLES[name] for name in names if name in LEARNED_STYLES}
  left = [style for name, style in LEARNED_STYLES.items() if name not in found]
  left = left or [*LEARNED_STYLES.values()]
  others = [name for name in names if name not in found]
  return found | {name: left[i % len(left)] for i, name in enumerate(others)}


def draw_curves(
  axes: Axes,
  curves: Mapping[str, np.ndarray],
  learned: Sequence[str],
  halves: Mapping[str, np.ndarray] | None = None,
  first_step: int = 0,
  title: str = "",
  stride: int = 1,
):
  """Draws loss against step into `axes`, on a logarithmic scale.

  The limits follow from the curves that stay below their own start: one that diverges leaves the
  picture instead of squeezing the others.

  Args:
    axes: where to draw.
    curves: losses `[T+1]` at the steps 0..T by the optimizer's name; NaN leaves a gap.
    learned: which names are learned: solid and above the others.
    halves: half widths of intervals to shade, `[T+1]` by name.
    first_step: where the picture begins.
    title: of the picture.
    stride: every how many steps a curve has a point; smooth ones need fewer.
  """
  own = learned_styles(learned)
  for name, curve in curves.items():
    style = own.get(name) or RIVAL_STYLES.get(name, OTHER_STYLE)
    steps = np.union1d(np.arange(first_step, len(curve), stride), len(curve) - 1)
    axes.plot(
      steps,
      curve[steps],
      color=style.colour,
      linestyle=style.dashes,
      linewidth=2.0 if name in learned else 1.5,
      zorder=3 if name in learned else 2,
      label=RIVAL_LABELS.get(name, name),
    )
    if halves and name in halves:
      low, high = (curve + sign * halves[name] for sign in (-1, 1))
      low = np.maximum(low, 0.5 * curve)  # a logarithmic axis has no room for 0
      axes.fill_between(steps, low[steps], high[steps], color=style.colour, alpha=0.18, linewidth=0)
  axes.set(xlabel="step", ylabel="loss", yscale="log", title=title)
  axes.grid(True, which="both", linewidth=0.4, alpha=0.35)
  _set_limits(axes, curves, first_step)


def _set_limits(axes: Axes, curves: Mapping[str, np.ndarray], first_step: int):
  """From just below the lowest loss to just above the highest of those that fell."""
  kept = [curve[first_step:] for curve in curves.values() if curve[-1] <= curve[0]]
  shown = np.concatenate(kept or [curve[first_step:] for curve in curves.values()])
  shown = shown[np.isfinite(shown) & (shown > 0)]
  if not shown.size:
    return
  starts = [curve[0] for curve in curves.values() if np.isfinite(curve[0])]
  top = shown.max() if first_step else min(shown.max(), 1.5 * max(starts))
  steps = max(len(curve) for curve in curves.values()) - 1
  bottom, top = shown.min() * 0.85, top * 1.15
  axes.set(xlim=(first_step, steps), ylim=(bottom, top))
  if math.log10(top / bottom) < DECADES_WITH_2_AND_5:
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
  axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def learning_curves(
  curves: Mapping[str, np.ndarray], title: str = "", learned: Sequence[str] = ("learned",)
) -> Figure:
  """A figure of one panel with a legend; the arguments are those of `draw_curves`."""
  figure = new_figure(6, 4)
  axes = figure.subplots()
  draw_curves(axes, curves, learned, title=title)
  axes.legend()
  return figure


class Ratio(NamedTuple):
  """A ratio of paired losses with its interval."""

  value: float
  low: float
  high: float


LEAST_RATIO = 0.5  # shown; of what is less a number stands at the edge


def draw_ratios(axes: Axes, ratios: Mapping[str, Mapping[str, Ratio]], title: str):
  """Draws ratios of a learned optimizer's final losses to its rivals', a row a rival.

  Args:
    axes: where to draw.
    ratios: by rival, by what they were measured on, which gets a mark and a legend.
    title: of the panel.
  """
  groups = list(ratios)
  rivals = list(dict.fromkeys(name for group in ratios.values() for name in group))
  axes.axvline(1, color=SILVER, linewidth=1, zorder=1)
  for g, (group, marker) in enumerate(zip(groups, "os^Dv")):
    shift = 0.3 * (g - (len(groups) - 1) / 2)
    rows = [rivals.index(name) + shift for name in ratios[group]]
    shown = [max(ratio.value, LEAST_RATIO) for ratio in ratios[group].values()]
    ends = [(r.low, r.high) for r in ratios[group].values()]
    away = np.maximum(
      [(x - max(low, LEAST_RATIO), high - x) for x, (low, high) in zip(shown, ends)], 0
    )
    axes.errorbar(shown, rows, xerr=away.T, fmt=marker, color=BLACK, markersize=4)
    axes.plot([], [], marker, color=BLACK, markersize=4, label=group)
    for row, ratio in zip(rows, ratios[group].values()):
      if ratio.value < LEAST_RATIO:
        text = f"{ratio.value:.2g}"
        axes.annotate(text, (LEAST_RATIO, row), (6, -3), textcoords="offset points", fontsize=7)
  axes.set_yticks(range(len(rivals)), [RIVAL_LABELS.get(name, name) for name in rivals])
  axes.invert_yaxis()
  axes.set_xlabel("its final loss / rival's, paired")
  axes.set_title(title, fontsize="medium")
  axes.set_xlim(LEAST_RATIO - 0.02, max(1.05, axes.get_xlim()[1]))
  axes.grid(True, axis="x", linewidth=0.4, alpha=0.35)
  axes.legend(fontsize="x-small", loc="upper left")


def add_legend(figure: Figure, all_axes: Iterable[Axes], columns: int):
  """Puts one legend for all panels below them, its entries in at most so many columns."""
  handles: dict[str, Any] = {}
  for axes in all_axes:
    for handle, label in zip(*axes.get_legend_handles_labels()):
      handles.setdefault(label, handle)
  figure.legend(
    [*handles.values()],
    [*handles],
    loc="outside lower center",
    ncols=min(len(handles), columns),
    frameon=False,
    fontsize="small",
    handlelength=3.2,
  )


def png(figure: Figure, dpi: int = 100) -> bytes:
  """Renders a figure as PNG."""
  return _render(figure, "png", {"dpi": dpi})


def svg(figure: Figure) -> bytes:
  """Renders a figure as SVG, the same bytes each time."""
  return _render(figure, "svg", {"metadata": {"Date": None}})


def _render(figure: Figure, kind: str, options: dict) -> bytes:
  buffer = io.BytesIO()
  with matplotlib.rc_context({"svg.hashsalt": "l2l_tf"}):
    figure.savefig(buffer, format=kind, **options)
  return buffer.getvalue()
