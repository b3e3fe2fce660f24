"""TensorBoard event files of a meta-training, and the pictures in them."""

import json
import os
from typing import Any, Mapping

import numpy as np
import tensorflow as tf

from l2l_tf import plots
from l2l_tf import proposal_plots
from l2l_tf.proposals import LEARNED

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


class Summaries:
  """Writes one event file; the step axis counts epochs."""

  def __init__(self, directory: str):
    self._writer = tf.summary.create_file_writer(directory)

  def config(self, config: Any):
    """Writes the run's config as text."""
    with self._writer.as_default(step=0):
      tf.summary.text("config", f"```\n{json.dumps(config, indent=2)}\n```")

  def epoch(self, row: Mapping[str, Any], curves: Mapping[str, np.ndarray]):
    """Writes an epoch's scalars and its learning curves, `[T+1]` by the optimizer's name."""
    with self._writer.as_default(step=row["epoch"]):
      for key, (tag, description) in SCALARS.items():
        tf.summary.scalar(tag, row[key], description=description)
      figure = plots.learning_curves(curves, title=f"epoch {row['epoch']}")
      picture = tf.io.decode_png(plots.png(figure))
      tf.summary.image("validation/learning_curves", picture[tf.newaxis])
    self._writer.flush()


def write_visualization(directory: str, document: Mapping[str, Any]):
  """Writes a visualization file (docs/visualizations.md) as event files, a run an optimizer.

  The step axis of the charts counts optimization steps; the pictures stand at the last one.
  """
  label, last = document["optimizer"]["name"], document["num_steps"]
  entries = document["coordinates"]
  for name in [LEARNED, *document["rivals"]]:
    run = label if name == LEARNED else plots.RIVAL_LABELS[name]
    with tf.summary.create_file_writer(os.path.join(directory, run)).as_default():
      for coordinate, entry in entries.items():
        for step, update in enumerate(entry["updates"][name], start=1):
          tf.summary.scalar(f"update/{coordinate}", update, step, description=UPDATE)
  with tf.summary.create_file_writer(os.path.join(directory, label)).as_default():
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
