"""TensorBoard event files of a meta-training, and the pictures in them."""

from collections.abc import Callable, Mapping
import json
import os
from typing import Any

import numpy as np
import tensorflow as tf

from l2l_tf.inspection.observation import Observation
from l2l_tf.inspection.proposal_files import LEARNED
from l2l_tf.plotting import curves as plots
from l2l_tf.plotting import proposal_plots
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import literal_path

UPDATE = "Proposed at each step of the learned optimizer's trajectory"
GRADIENT = "Seen by all at each step of the learned optimizer's trajectory"
SWEEP = "Update as a function of the current gradient, the history as it was (Figure 10)"

SCALARS = {
  "meta_loss": ("meta_training/meta_loss", "Mean of f over the epoch's windows (nats for MNIST)"),
  "gradient_norm": ("meta_training/gradient_norm", "Mean norm of the meta-gradient, unclipped"),
  "bad_steps": ("meta_training/bad_steps", "Meta-steps skipped as not finite, all together"),
  "learning_rate": ("meta_training/learning_rate", "Of Adam on phi"),
  "seconds_per_meta_step": ("meta_training/seconds_per_meta_step", "Wall time, without validation"),
  "validation_final_loss": ("validation/final_loss", "Last ten steps, held-out instances"),
  "validation_mean_loss": ("validation/mean_loss", "All steps, held-out instances"),
}


OBSERVED = {
  "gradient": ("trajectory/gradient_magnitude", "Root mean square, mean over the steps of a run"),
  "update": ("trajectory/update_magnitude", "Root mean square, mean over the steps of a run"),
  "zero": ("trajectory/zero_gradients", "Share of coordinates whose gradient is 0"),
  "hidden": ("trajectory/saturated_hidden", "Share of units with |h| > 0.95"),
  "cells": ("trajectory/saturated_cells", "Share of units with |tanh c| > 0.99"),
  "gates": ("trajectory/saturated_gates", "Share of gates within 0.01 of 0 or 1"),
  "half": ("proposals/half", "Change over a sweep's middle half, of all: 1/2 a line, 1 a step"),
  "at_0": ("proposals/at_0", "Update at gradient 0 over a sweep's largest; > 0: against the past"),
  "against_adam": ("proposals/against_adam", "Share of a sweep where Adam has the other sign"),
}
CURVES = "validation/learning_curves"
SWEEPS = "proposals/update_against_gradient"
EVERY = 5  # epochs from one picture to the next


class Summaries:
  """Writes the event file of a meta-training; the step axis counts epochs.

  Numbers come after every epoch, pictures after the first, every `EVERY` from there, and the last.
  """

  def __init__(self, directory: str, config: Any):
    """Opens an event file in `directory` and writes the run's config into it as text."""
    self._directory = directory
    with run_directory.writing(directory):
      self._writer = literal_path.event_writer(directory)
      with self._writer.as_default(step=0):
        tf.summary.text("config", f"```\n{json.dumps(config, indent=2)}\n```")
      self._writer.flush()

  def __enter__(self) -> "Summaries":
    return self

  def __exit__(self, error_type, error, traceback):
    if error_type is None:
      with run_directory.writing(self._directory):
        self._writer.close()

  def epoch(
    self,
    row: Mapping[str, Any],
    curves: Mapping[str, np.ndarray],
    observe: Callable[[], Observation],
    is_last: bool = False,
  ):
    """Writes an epoch.

    Args:
      row: the epoch's numbers.
      curves: learning curves on the held-out instances, `[T+1]` by the optimizer's name.
      observe: measures the optimizer as it is now.
      is_last: whether no epoch follows.
    """
    epoch, seen = row["epoch"], observe()
    with run_directory.writing(self._directory), self._writer.as_default(step=epoch):
      for table, values in ((SCALARS, row), (OBSERVED, seen.scalars)):
        for key, (tag, description) in table.items():
          if key in values:  # an optimizer without an LSTM has no gates
            tf.summary.scalar(tag, values[key], description=description)
      if is_last or (epoch - 1) % EVERY == 0:
        _write_pictures(epoch, curves, seen)
      self._writer.flush()


def _write_pictures(epoch: int, curves: Mapping[str, np.ndarray], seen: Observation):
  title = f"epoch {epoch}"
  figure = plots.learning_curves(curves, title)
  _write_picture(CURVES, figure, epoch, "Held-out instances, against tuned rivals")
  if seen.entries:
    figure = proposal_plots.sweep_grid(seen.entries, seen.steps, len(seen.steps), "learned", title)
    _write_picture(SWEEPS, figure, epoch, SWEEP)


def write_visualization(directory: str, document: Mapping[str, Any]):
  """Writes a visualization file (docs/visualizations.md) as event files, a run an optimizer.

  The step axis of the charts counts optimization steps; the pictures stand at the last one.
  """
  label, last = document["optimizer"]["name"], document["num_steps"]
  entries = document["coordinates"]
  for name in [LEARNED, *document["rivals"]]:
    run = label if name == LEARNED else plots.RIVAL_LABELS[name]
    with literal_path.event_writer(os.path.join(directory, run)).as_default():
      for coordinate, entry in entries.items():
        for step, update in enumerate(entry["updates"][name], start=1):
          tf.summary.scalar(f"update/{coordinate}", update, step, description=UPDATE)
  with literal_path.event_writer(os.path.join(directory, label)).as_default():
    for step, loss in enumerate(document["losses"]):
      tf.summary.scalar("optimizee/loss", loss, step, description="f after so many steps")
    for coordinate, entry in entries.items():
      for step, gradient in enumerate(entry["gradients"], start=1):
        tf.summary.scalar(f"gradient/{coordinate}", gradient, step, description=GRADIENT)
    figure = proposal_plots.histories(entries, last, label)
    _write_picture("histories", figure, last, "Updates along the trajectory (Figure 9)")
    for coordinate, entry in entries.items():
      figure = proposal_plots.sweep_grid({coordinate: entry}, document["steps"], 8, label)
      _write_picture(f"update_against_gradient/{coordinate}", figure, last, SWEEP)


def _write_picture(tag: str, figure: plots.Figure, step: int, description: str):
  picture = tf.io.decode_png(plots.png(figure))
  tf.summary.image(tag, picture[tf.newaxis], step, description=description)
