"""`import l2l_tf` is all that loading a saved model needs, before or after Keras."""

import os
import subprocess
import sys

import pytest

from tests import sources

SAVED = sources.ROOT / "tests" / "keras" / "saved_by_an_earlier_version.keras"


@pytest.mark.slow
@pytest.mark.parametrize("imports", ["import keras, l2l_tf", "import l2l_tf, keras"])
def test_a_saved_model_is_loaded(imports):
  script = f"{imports}\nmodel = keras.models.load_model({str(SAVED)!r})\n"
  script += "print(type(model.optimizer).__module__, int(model.optimizer.iterations))"
  environment = os.environ | {"PYTHONPATH": str(sources.ROOT), "CUDA_VISIBLE_DEVICES": ""}
  command = [sys.executable, "-c", script]
  run = subprocess.run(command, env=environment, capture_output=True, text=True)
  assert run.stdout.split() == ["l2l_tf.keras.optimizer", "8"], run.stderr[-3000:]


def test_importing_l2l_tf_imports_no_keras():
  script = "import sys, l2l_tf; print(sorted({'keras', 'tensorflow', 'jax'} & sys.modules.keys()))"
  environment = os.environ | {"PYTHONPATH": str(sources.ROOT)}
  run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
  assert run.stdout.strip() == b"[]", run.stderr[-3000:]
