"""LearnedOptimizer's hidden states in a smaller float type."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from tests import keras_models as models


def _hidden(optimizer):
  return [v for v in optimizer.variables if v.name.startswith("state_")]


@pytest.mark.parametrize("kind", models.KINDS)
def test_float32_changes_nothing_and_bfloat16_little(kind):
  runs = {}
  for dtype in (None, "float32", tf.bfloat16):
    optimizer = models.learned(kind, state_dtype=dtype)
    runs[dtype] = models.run(optimizer, models.variables())
    stored = {v.dtype for v in _hidden(optimizer) if "float" in v.dtype}
    assert stored == {"bfloat16" if dtype == tf.bfloat16 else "float32"}
  start = models.values(models.variables())
  models.assert_equal(runs[None], runs["float32"])
  for before, exact, rounded in zip(start, runs[None], runs[tf.bfloat16]):
    np.testing.assert_allclose(
      rounded - before, exact - before, atol=0.03 * abs(exact - before).max()
    )
    assert np.any(rounded != exact)


@pytest.mark.slow
def test_it_is_saved_with_the_model_and_in_the_config(tmp_path):
  straight, stopped = (models.compiled(models.learned(state_dtype="bfloat16")) for _ in range(2))
  models.fit(straight), models.fit(stopped)
  stopped.save(tmp_path / "m.keras")
  again = keras.saving.load_model(tmp_path / "m.keras")
  assert {v.dtype for v in _hidden(again.optimizer)} == {"bfloat16"}
  again.run_eagerly = True
  np.testing.assert_array_equal(models.fit(again), models.fit(straight))


@pytest.mark.parametrize("dtype", ["int8", "half a float", 3.5, tf.complex64, "float16"])
def test_other_types_are_errors(dtype):
  with pytest.raises(ValueError, match="state_dtype must be None, 'bfloat16'"):
    models.learned(state_dtype=dtype)


def test_fit_compiled():
  model = models.compiled(models.learned(state_dtype="bfloat16"), jit_compile=False)
  assert all(np.isfinite(models.fit(model)))
  assert isinstance(model.optimizer, l2l_tf.LearnedOptimizer)
