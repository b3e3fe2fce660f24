"""The ablation's trainings on one problem, scored on one task."""

import pytest

from benchmarks import ablation
from l2l_tf.problems import base
from l2l_tf.zoo import tasks


def one_problem_and_task(monkeypatch: pytest.MonkeyPatch):
  """Leaves no more of them, no data but the bundled digits, and no compilation by XLA."""
  whole = ablation.problems(False)
  only = base.Mixture(
    {"linear": whole.problems["linear"]}, {"linear": 1.0}, whole.validation, whole.digest
  )
  training = ablation.training
  without_xla = lambda *args: training(*args).replace(jit_compile=False)  # noqa: E731
  monkeypatch.setattr(ablation, "training", without_xla)
  monkeypatch.setattr(ablation, "problems", lambda _: only)
  monkeypatch.setattr(tasks, "TASKS", {"digits_sigmoid": tasks.TASKS["digits_sigmoid"]})
  monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
