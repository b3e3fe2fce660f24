"""What TensorBoard shows of a meta-training: event files, the pictures in them, and the sweeps.

TensorBoard sorts groups and charts by name and opens the first two groups. So the names are chosen
for the alphabet: the losses that say whether the optimizer is ahead come first, what is only looked
at when something is wrong comes last.
"""

from collections.abc import Callable, Mapping, Sequence
import json
import os
from typing import Any

from absl import logging
import numpy as np
import tensorflow as tf

from l2l_tf import surroundings
from l2l_tf.inspection import sweep_files
from l2l_tf.inspection.observation import Observation
from l2l_tf.inspection.proposal_files import LEARNED
from l2l_tf.inspection.proposal_files import VisualizationError
from l2l_tf.plotting import curves as plots
from l2l_tf.plotting import proposal_plots
from l2l_tf.runs import directory as run_directory
from l2l_tf.runs import literal_path
from l2l_tf.storage import files
from l2l_tf.unroll import FINAL_STEPS

with surroundings.extra("train"):
  from tensorboard.plugins.hparams import summary_v2 as hparams  # its api imports Keras

UPDATE = "Proposed at each step of the learned optimizer's trajectory"
GRADIENT = "Seen by all at each step of the learned optimizer's trajectory"
SWEEP = "Update as a function of the current gradient, the history as it was (Figure 10)"

FINAL, MEAN = "loss/validation_final", "loss/validation_mean"
OBJECTIVE = "loss/validation_least"
SCALARS = {
  "validation_final_loss": (FINAL, "Last ten steps, held-out instances"),
  "validation_mean_loss": (MEAN, "All steps, held-out instances"),
  "best_validation_loss": (OBJECTIVE, "The least final loss so far, of the optimizer in best/"),
  "meta_loss": ("training/meta_loss", "Mean of f over the epoch's windows (nats for MNIST)"),
  "gradient_norm": ("training/gradient_norm", "Mean norm of the meta-gradient, unclipped"),
  "learning_rate": ("training/learning_rate", "Of Adam on phi"),
  "seconds_per_meta_step": ("watch/seconds_per_meta_step", "Wall time, without validation"),
  "bad_steps": ("watch/bad_steps", "Meta-steps skipped as not finite, all together"),
}
OBSERVED = {
  "half": ("proposals/half", "Change over a sweep's middle half, of all: 1/2 a line, 1 a step"),
  "at_0": ("proposals/at_0", "Update at gradient 0 over a sweep's largest; > 0: against the past"),
  "against_adam": ("proposals/against_adam", "Share of a sweep where Adam has the other sign"),
  "gradient": ("trajectory/gradient_magnitude", "Root mean square, mean over the steps of a run"),
  "update": ("trajectory/update_magnitude", "Root mean square, mean over the steps of a run"),
  "zero": ("watch/zero_gradients", "Share of coordinates whose gradient is 0"),
  "hidden": ("watch/saturated_hidden", "Share of units with |h| > 0.95"),
  "cells": ("watch/saturated_cells", "Share of units with |tanh c| > 0.99"),
  "gates": ("watch/saturated_gates", "Share of gates within 0.01 of 0 or 1"),
}
CURVES = "loss/validation_over_steps"
SWEEPS = "proposals/update_against_gradient/step_{:02}"
ADAM = "Adam"  # its lines are a run beside the training's
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # as many pictures of a tag as TensorBoard keeps


class Summaries:
  """Writes what TensorBoard shows of a meta-training; the step axis counts epochs.

  Numbers and sweeps come after every epoch, pictures after the epochs 1, 2, 4, 8, ... and the last:
  of more than ten of a kind TensorBoard shows only some.
  """

  def __init__(
    self,
    directory: str,
    config: Mapping[str, Any],
    command: str = "",
    curves: Mapping[str, np.ndarray] | None = None,
  ):
    """Opens an event file in `directory` and writes what the run is into it.

    Args:
      directory: of the run.
      config: as `config.json` has it.
      command: that began or resumed it.
      curves: of the tuned rivals on the held-out instances, `[T+1]` by name.
    """
    self._directory = directory
    self._curves = dict(curves or {})
    self._adam = None
    with run_directory.writing(directory):
      self._writer = literal_path.event_writer(directory)
      with self._writer.as_default(step=0):
        tf.summary.text("config", _readable(table(config)))
        if command:
          tf.summary.text("command", _readable(f"    {command}"))
        _write_hparams(config, _readable(os.path.basename(os.path.abspath(directory))))
      self._writer.flush()
      if np.isfinite(self._curves.get("adam", np.nan)).all():
        self._adam = literal_path.event_writer(os.path.join(directory, ADAM))

  def __enter__(self) -> "Summaries":
    return self

  def __exit__(self, error_type, error, traceback):
    if error_type is None:
      with run_directory.writing(self._directory):
        self._writer.close()
        if self._adam:
          self._adam.close()

  def epoch(
    self,
    row: Mapping[str, Any],
    curve: np.ndarray,
    observe: Callable[[], Observation],
    is_last: bool = False,
  ):
    """Writes an epoch.

    Args:
      row: the epoch's numbers.
      curve: of the learned optimizer on the held-out instances, `[T+1]`.
      observe: measures the optimizer as it is now.
      is_last: whether no epoch follows.
    """
    epoch, seen, curves = row["epoch"], observe(), {LEARNED: curve, **self._curves}
    with run_directory.writing(self._directory):
      with self._writer.as_default(step=epoch):
        for names, values in ((SCALARS, row), (OBSERVED, seen.scalars)):
          for key, (tag, description) in names.items():
            if key in values:  # an optimizer without an LSTM has no gates
              tf.summary.scalar(tag, values[key], description=description)
        if is_last or not epoch & (epoch - 1):
          _write_pictures(epoch, curves, seen)
      self._writer.flush()
      if self._adam:
        with self._adam.as_default(step=epoch):
          _write_adam(self._curves["adam"])
        self._adam.flush()
      if seen.proposed:
        _write_sweeps(self._directory, epoch, seen, curves)


def table(config: Mapping[str, Any]) -> str:
  """A run's config as a table in Markdown, a row for each value."""
  rows = [f"| {name} | {_code(value)} |" for name, value in flat(config).items()]
  return "\n".join(["| option | value |", "|---|---|", *rows])


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """The values in nested mappings by their paths, such as "experiment/training/seed"."""
  found: dict[str, Any] = {}
  for name, value in config.items():
    found |= (
      flat(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {prefix + name: value}
    )
  return found


def _code(value: Any) -> str:
  text = json.dumps(value, ensure_ascii=False).replace("`", "'").replace("|", "\\|")
  return f"`{text}`"


def _as_text(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value)


def _readable(text: str) -> str:
  """Text that is text: the bytes of a file's name may be none."""
  return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _write_hparams(config: Mapping[str, Any], run: str):
  """Every hyperparameter of a run, and the loss to compare runs by, for the tab HParams."""
  values = {
    name: value if isinstance(value, bool | int | float) else _readable(_as_text(value))
    for name, value in flat(config.get("experiment", {})).items()
  }
  names = [hparams.HParam(name) for name in values]
  title = "least validation loss"
  hparams.hparams_config(names, [hparams.Metric(OBJECTIVE, display_name=title)])
  hparams.hparams(values, trial_id=run)


def _write_adam(curve: np.ndarray):
  """Adam's losses on the held-out instances, in the charts of the learned optimizer's."""
  tf.summary.scalar(
    FINAL, curve[-FINAL_STEPS:].mean(), description=SCALARS["validation_final_loss"][1]
  )
  tf.summary.scalar(MEAN, curve[1:].mean(), description=SCALARS["validation_mean_loss"][1])


def _write_sweeps(directory: str, epoch: int, seen: Observation, curves: Mapping[str, np.ndarray]):
  """Writes the sweeps of an epoch; none if the optimizer diverges on the instance."""
  try:
    sweep_files.write(directory, sweep_files.make(epoch, seen.proposed, curves))
  except (ValueError, VisualizationError) as error:
    logging.warning("Epoch %d has no sweeps: %s", epoch, error)


def _write_pictures(epoch: int, curves: Mapping[str, np.ndarray], seen: Observation):
  title = f"epoch {epoch}"
  figure = plots.learning_curves(curves, title)
  _write_picture(CURVES, figure, epoch, "Held-out instances, against tuned rivals")
  if seen.proposed:
    coordinate, entry = next(iter(seen.proposed["coordinates"].items()))
    steps = seen.proposed["steps"]
    for k, step in enumerate(steps):
      figure = proposal_plots.sweep_panel(
        entry, k, step, LEARNED, f"{coordinate}, step {step}, {title}"
      )
      _write_picture(SWEEPS.format(step), figure, epoch, SWEEP)


def write_visualization(directory: str, document: Mapping[str, Any]):
  """Writes a visualization file (docs/visualizations.md) as event files, a run an optimizer.

  The step axis of the charts and of the pictures counts optimization steps. The sweeps are there
  for our tab, too. The run of the learned optimizer has its name, and a number if one of that name
  shows something else.

  Raises:
    VisualizationError: if the sweeps are too large for a file.
  """
  sweeps = sweep_files.of_visualization(document)
  label = _free(directory, document["optimizer"]["name"], sweeps)
  sweep_files.write(os.path.join(directory, label), sweeps)
  for name in [LEARNED, *document["rivals"]]:
    run = label if name == LEARNED else plots.RIVAL_LABELS[name]
    with literal_path.event_writer(os.path.join(directory, run)).as_default():
      for coordinate, entry in document["coordinates"].items():
        for step, update in enumerate(entry["updates"][name], start=1):
          tf.summary.scalar(f"update/{coordinate}", update, step, description=UPDATE)
  with literal_path.event_writer(os.path.join(directory, label)).as_default():
    for step, loss in enumerate(document["losses"]):
      tf.summary.scalar("optimizee/loss", loss, step, description="f after so many steps")
    for coordinate, entry in document["coordinates"].items():
      _write_coordinate(coordinate, entry, document["steps"], label)


def _free(directory: str, name: str, sweeps: Mapping[str, Any]) -> str:
  """The name, or with a number, of a run that has no sweeps yet or these."""
  content = sweep_files.packed(sweeps)

  def is_free(label):
    path = sweep_files.path_of(os.path.join(directory, label), sweeps["epoch"])
    return not os.path.lexists(path) or files.read(path, sweep_files.MAX_BYTES) == content

  return next(filter(is_free, run_directory.names(name)))


def _write_coordinate(coordinate: str, entry: Mapping[str, Any], steps: Sequence[int], label: str):
  """The gradients of a coordinate, its history, and its sweeps at the steps of `SHOWN`."""
  for step, gradient in enumerate(entry["gradients"], start=1):
    tf.summary.scalar(f"gradient/{coordinate}", gradient, step, description=GRADIENT)
  last = len(entry["gradients"])
  figure = proposal_plots.histories({coordinate: entry}, last, label)
  _write_picture(f"history/{coordinate}", figure, last, "Updates along the trajectory (Figure 9)")
  for k, step in enumerate(steps):
    if step in SHOWN:
      figure = proposal_plots.sweep_panel(entry, k, step, label, f"{coordinate}, step {step}", True)
      _write_picture(f"update_against_gradient/{coordinate}", figure, step, SWEEP)


def _write_picture(tag: str, figure: plots.Figure, step: int, description: str):
  picture = tf.io.decode_png(plots.png(figure))
  tf.summary.image(tag, picture[tf.newaxis], step, description=description)
