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
    ' or PyTorch: set KERAS_BACKEND to tensorflow, jax or torch, or "backend" in'
    " ~/.keras/keras.json."
  ) from error
