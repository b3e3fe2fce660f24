"""Curves in the terminal, where no browser is at hand."""

from collections.abc import Mapping
import math

import numpy as np

MARKS = "*o+x#@"  # of the curves, in their order; the first stands above the others
WIDTH, HEIGHT = 72, 14  # characters
LABEL_WIDTH = 8


def curves(losses: Mapping[str, np.ndarray], width: int = WIDTH, height: int = HEIGHT) -> str:
  """Draws loss against step, on a logarithmic scale.

  Args:
    losses: `[T+1]` by name, at most as many as there are `MARKS`; what is not positive and finite
      leaves a gap. The scale is that of what stays below the highest start.
    width: of the drawing, in characters.
    height: in lines, without the axis and the legend.

  Returns:
    Lines joined, the last of them the legend.
  """
  last = max(len(curve) for curve in losses.values()) - 1
  starts = [curve[0] for curve in losses.values() if math.isfinite(curve[0]) and curve[0] > 0]
  shown = np.concatenate([np.asarray(curve, np.float64) for curve in losses.values()])
  shown = shown[np.isfinite(shown) & (shown > 0) & (shown <= max(starts, default=math.inf))]
  if not shown.size:
    return "  (no loss is finite and positive)"
  low, high = math.log(shown.min()), math.log(shown.max())
  high = high if high > low else low + 1
  cells = [[" "] * width for _ in range(height)]
  for mark, curve in reversed([*zip(MARKS, losses.values())]):
    for column in range(width):
      loss = curve[min(round(column * last / (width - 1)), len(curve) - 1)]
      if math.isfinite(loss) and loss > 0:
        row = round((high - math.log(loss)) / (high - low) * (height - 1))
        if 0 <= row < height:
          cells[row][column] = mark
  labels = [math.exp(high + (low - high) * row / (height - 1)) for row in range(height)]
  lines = [
    f"{f'{label:.3g}' if row % 4 == 0 or row == height - 1 else '':>{LABEL_WIDTH}} |{''.join(line)}"
    for row, (label, line) in enumerate(zip(labels, cells))
  ]
  axis = f"{'':{LABEL_WIDTH}} +{'-' * width}"
  steps = f"{'':{LABEL_WIDTH}}  0{last:>{width - 1}}"
  names = "   ".join(f"{mark} {name}" for mark, name in zip(MARKS, losses))
  legend = f"{'':{LABEL_WIDTH}}  {names}"
  return "\n".join([*(line.rstrip() for line in lines), axis, steps, legend])
