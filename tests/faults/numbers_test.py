"""Losses and gradients that are not finite: single ones, bursts, from a step on, everywhere."""

import math

import pytest

from l2l_tf.config import presets
from l2l_tf.storage import optimizer_files
from l2l_tf.training.meta_trainer import MetaTrainer
from tests.faults import table
from tests.tiny_training import BOWL
from tests.tiny_training import run

PATTERNS = {  # bad meta-steps, of 8
  "single": {3},
  "burst": {2, 3, 4, 5},
  "from a step on": set(range(4, 99)),
  "all": set(range(99)),
}
ARGS = [*BOWL, "--num_epochs=4", "--unroll_length=4", "--episodes_per_epoch=2", "--tuning_runs=0"]


@pytest.mark.parametrize(
  "pattern, value",
  [
    pytest.param(p, v, marks=() if (p, v) == ("single", "nan") else table.thorough)
    for p in PATTERNS
    for v in ("nan", "inf", "1e30")
  ],
)
def test_bad_steps_are_skipped_and_counted(tmp_path, monkeypatch, pattern, value):
  step, calls = MetaTrainer.step, []

  def poisoned(self):
    before = [v.numpy() for v in self.phi]
    report = None
    if len(calls) in PATTERNS[pattern]:
      gradient = self._carry.gradients["theta"]
      self._carry = self._carry._replace(params={"theta": gradient * 0 + float(value)})
      self.progress.window = min(self.progress.window, self.config.windows - 1)
      if not self.progress.episode:
        self.progress.episode = 1
    calls.append(report := step(self))
    if not report.finite:
      assert all((a == v.numpy()).all() for a, v in zip(before, self.phi))
    return report

  monkeypatch.setattr(MetaTrainer, "step", poisoned)
  directory = str(tmp_path / "run")
  with table.trial(f"meta-steps not finite: {pattern}"):
    status, out, err = run(*ARGS, "--max_bad_steps=5", f"--run_dir={directory}")
    bad = sum(not report.finite for report in calls)
    assert "Traceback" not in err and bad == len(PATTERNS[pattern] & set(range(len(calls))))
    if pattern in ("single", "burst"):
      assert status == 0 and f"{bad} meta-steps were not finite" in out
    else:
      assert status == 1 and "5 meta-steps in a row" in err
    if pattern != "all":
      _, about = optimizer_files.load_optimizer(f"{directory}/best")
      assert math.isfinite(about["validation_final_loss"])


def test_the_rule_that_ends_a_run_has_a_default():
  assert presets.PRESETS["quick"]["mnist"].training.max_bad_steps > 0
