"""Drawing of learning curves, as in the paper's figures: learned optimizers solid, rivals dashed.

The colours are those of Okabe and Ito, which colour-blind readers tell apart, and two greys; the
dashes tell the rivals apart in black and white.
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
ORANGE, SKY, GREEN, GREY, SILVER = "#E69F00", "#56B4E9", "#009E73", "#606060", "#999999"
DECADES_WITH_2_AND_5 = 2.2  # a loss axis that is longer has ticks at powers of ten only


class Style(NamedTuple):
  """How a line looks."""

  colour: str
  dashes: str | tuple = "-"


LEARNED_STYLES = tuple(Style(c) for c in (BLACK, VERMILLION, BLUE, PURPLE))
RIVAL_STYLES = {
  "adam": Style(ORANGE, (0, (6, 1.5))),
  "rmsprop": Style(SKY, (0, (6, 1.5, 1, 1.5))),
  "sgd": Style(GREEN, (0, (3, 1.5))),
  "adadelta": Style(GREY, (0, (3, 1.5, 1, 1.5))),
  "adagrad": Style(PURPLE, (0, (1, 1.2))),
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
  solid = iter(LEARNED_STYLES * (len(learned) // len(LEARNED_STYLES) + 1))
  for name, curve in curves.items():
    style = next(solid) if name in learned else RIVAL_STYLES.get(name, OTHER_STYLE)
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
