"""What a meta-training reports while it runs: how far it is, its losses, the end of each epoch."""

import itertools
import math
from typing import Any

from l2l_tf.runs import reporting
from l2l_tf.training.trainer import StepReport
from l2l_tf.training.trainer import Trainer


class TrainingReport(reporting.Report):
  """Counts windows, those of validations too, so that nothing is left to do when all are done."""

  def __init__(self, trainer: Trainer):
    """Begins where `trainer` stands."""
    config = trainer.config
    self._trainer = trainer
    total = config.num_epochs * (config.steps_per_epoch + config.windows)
    super().__init__(total, "window", self._windows())
    self._validated = itertools.count(self._windows())

  def step(self, step: StepReport):
    """After a meta-step."""
    best = self._trainer.progress.best_loss
    note = f", best validation {best:.4g}" if math.isfinite(best) else ""
    self.reach(self._windows(), f"loss {step.loss:.4g}{note}")
    self._validated = itertools.count(self._windows())

  def validating(self):
    """Before a window of a validation."""
    self.reach(next(self._validated), "validating")

  def epoch(self, row: dict[str, Any]):
    """After an epoch, of which `row` tells."""
    loss, best = row["validation_final_loss"], self._trainer.progress.best_epoch
    losses = f"loss {row['meta_loss']:.4g}, validation {loss:.4g}"
    losses = losses if math.isfinite(loss) else "its validation diverged"
    kept = f"; the best so far was epoch {best}" if best else ""
    self.say(f"Epoch {row['epoch']} of {self._trainer.config.num_epochs}: {losses}{kept}")
    self.reach(self._windows())

  def _windows(self) -> int:
    trainer = self._trainer
    return trainer.meta_steps + trainer.progress.epoch * trainer.config.windows
