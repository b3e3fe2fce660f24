"""Functions to optimize: closures that return loss graphs."""

from problems.adapters import from_function
from problems.adapters import from_sonnet
from problems.base import Problem
from problems.classification import mlp
from problems.convolutional import convnet
from problems.datasets import DataError
from problems.datasets import Dataset
from problems.datasets import load
from problems.keras_adapter import from_keras
from problems.neural_art import style_transfer
from problems.quadratics import bowl
from problems.quadratics import quadratic

__all__ = [
  "DataError",
  "Dataset",
  "Problem",
  "bowl",
  "convnet",
  "from_function",
  "from_keras",
  "from_sonnet",
  "load",
  "mlp",
  "quadratic",
  "style_transfer",
]
