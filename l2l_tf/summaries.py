"""TensorBoard event files of a meta-training, and the pictures in them."""

import json
from typing import Any, Mapping

import numpy as np
import tensorflow as tf

from l2l_tf import plots

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
