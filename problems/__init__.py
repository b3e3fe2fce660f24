"""Functions to optimize: closures that return loss graphs."""

from problems.base import Problem
from problems.classification import mlp
from problems.datasets import DataError
from problems.datasets import Dataset
from problems.datasets import load
from problems.quadratics import bowl
from problems.quadratics import quadratic

__all__ = ["DataError", "Dataset", "Problem", "bowl", "load", "mlp", "quadratic"]
