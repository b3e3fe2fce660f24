"""Rows of paintings with what they are above and their losses below, as in Figure 6."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from l2l_tf.plotting import curves as plots

INCHES = 1.35  # of a picture, without what is written under it


class Row(NamedTuple):
  """A photograph and what was painted after it."""

  content: np.ndarray  # uint8 [height, width, 3]
  painted: list[tuple[np.ndarray, float]]  # for each style the results in order, each with its loss


def paintings(
  styles: Sequence[tuple[str, np.ndarray]], columns: Sequence[str], rows: Sequence[Row]
) -> plots.Figure:
  """A figure: a row of the styles, and one for each photograph, with a result a style and column.

  Args:
    styles: S of them, each a title and uint8 `[height, width, 3]`.
    columns: what painted, K names.
    rows: whose `painted` has S * K pictures, the columns of the first style first.
  """
  count = 1 + len(styles) * len(columns)
  figure = plots.new_figure(INCHES * count, (INCHES + 0.2) * (1 + len(rows)))
  all_axes = figure.subplots(1 + len(rows), count, squeeze=False)
  for axes in all_axes.ravel():
    axes.set_axis_off()
  for s, (title, style) in enumerate(styles):
    axes = all_axes[0, 1 + s * len(columns)]
    axes.imshow(style)
    axes.set_title(title, fontsize="small", loc="left")
  for place, row in zip(all_axes[1:], rows):
    place[0].imshow(row.content)
    for axes, (pixels, loss) in zip(place[1:], row.painted):
      axes.imshow(pixels)
      text = f"loss {loss:.0f}" if loss >= 1000 else f"loss {loss:.4g}"
      axes.text(0.5, -0.03, text, ha="center", va="top", transform=axes.transAxes)
  for axes, title in zip(all_axes[1], ["photograph", *[*columns] * len(styles)]):
    axes.set_title(title, fontsize="small")
  return figure
