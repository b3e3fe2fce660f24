"""Keras, imported once before TensorFlow does: where its backend is not there, a line says so."""

import importlib
import os

BACKENDS = ("tensorflow", "jax", "torch")

try:
  importlib.import_module("keras")
except Exception as error:  # Keras raises what the backend does
  if os.environ.get("KERAS_BACKEND") in BACKENDS or getattr(error, "name", "") == "keras":
    raise
  raise ImportError(
    f"Keras cannot be imported: {type(error).__name__}: {error}. l2l_tf runs it on TensorFlow, JAX"
    ' or PyTorch: set KERAS_BACKEND to the one that is installed, or "backend" in'
    " ~/.keras/keras.json, or install one:"
    ' python -m pip install "l2l_tf[tensorflow]", or [jax], or [torch].'
  ) from error
