"""The hyperparameters of the problems, and what builds each."""

from typing import TYPE_CHECKING, Any, Literal

import pydantic

from l2l_tf.config.options import Options
from l2l_tf.config.options import Path
from l2l_tf.config.options import one_of
from l2l_tf.config.options import option
from l2l_tf.config.options import sizes
from l2l_tf.config.user_problem import UserProblem

if TYPE_CHECKING:
  from typing import Self

  from l2l_tf import problems

  _Hidden = tuple[int, ...]
  _Filters = tuple[int, ...]
else:
  _Hidden, _Filters = sizes(10**5), sizes(10**4)

DataSource = Literal["auto", "tfds", "download", "bundled"]  # problems.datasets.SOURCES
DATA_DIR = option(None, "folder of TFDS copies; else TFDS_DATA_DIR")


def _batch_size(least: int) -> Any:
  return option(128, "examples a minibatch (128)", least, 10**6)


def _init_scale(default: float, least: float = 0.0) -> Any:
  """Above 0 for networks: of weights that are all 0, no gradient reaches the layers below."""
  return option(default, "standard deviation of theta_0 (not given)", least, 1e30)


class Mnist(Options):
  """Training a small MLP on MNIST (section 3.2)."""

  name: Literal["mnist"] = "mnist"
  hidden: _Hidden = option((20,), "units of each hidden layer (section 3.2: 20)")
  activation: Literal["sigmoid", "relu", "tanh"] = option(
    "sigmoid", "of the hidden units (sigmoid)"
  )
  batch_size: int = _batch_size(1)
  init_scale: float = _init_scale(0.01, 1e-30)
  margin: int = option(0, "pixels cut from every edge (0); 4 loses little ink: cheaper", 0, 13)
  pooling: int = option(1, "average blocks of so many pixels a side (1): cheaper", 1, 28)
  split: Literal["train", "test"] = option(
    "train", "digits that instances draw from; test: the held-out ones"
  )
  data: DataSource = option("auto", "where MNIST comes from")
  data_dir: Path = DATA_DIR

  @pydantic.model_validator(mode="after")
  def _blocks_fit(self) -> "Self":
    size = 28 - 2 * self.margin
    if size % self.pooling:
      raise ValueError(f"pooling must divide 28 - 2 margin = {size}, got {self.pooling}.")
    return self

  def build(self) -> "tuple[problems.Problem, str]":
    """Returns the problem and which data it uses."""
    from l2l_tf import problems

    data = problems.load("mnist", self.split, self.data, self.data_dir)
    data = problems.datasets.pool(problems.datasets.crop(data, self.margin), self.pooling)
    problem = problems.mlp(data, self.hidden, self.activation, self.batch_size, self.init_scale)
    return problem, data.source


class Cifar10(Options):
  """Training a small convolutional network on CIFAR-10 (section 3.3)."""

  name: Literal["cifar10"] = "cifar10"
  filters: _Filters = option(
    (16, 16, 16), "of each convolutional layer (section 3.3: three layers)"
  )
  kernel_size: int = option(5, "side of the filters in pixels (not given)", 1, 32)
  units: int = option(32, "of the fully connected layer (section 3.3: 32)", 1, 10**5)
  batch_size: int = _batch_size(2)  # of one example a batch normalization leaves nothing
  init_scale: float = _init_scale(0.01, 1e-30)
  pooling: int = option(1, "average blocks of so many pixels a side (1): cheaper", 1, 32)
  split: Literal["train", "test"] = option(
    "train", "images that instances draw from; test: the held-out ones"
  )
  data: DataSource = option("auto", "where CIFAR-10 comes from")
  data_dir: Path = DATA_DIR

  @pydantic.model_validator(mode="after")
  def _blocks_fit(self) -> "Self":
    if 32 % self.pooling:
      raise ValueError(f"pooling must divide 32, got {self.pooling}.")
    return self

  def build(self) -> "tuple[problems.Problem, str]":
    """Returns the problem and which data it uses."""
    from l2l_tf import problems

    data = problems.load("cifar10", self.split, self.data, self.data_dir)
    data = problems.datasets.pool(data, self.pooling)
    layers = (self.filters, self.kernel_size, self.units, self.batch_size)
    return problems.convnet(data, *layers, self.init_scale), data.source


class NeuralArt(Options):
  """Painting photographs in the style of another picture (section 3.4)."""

  name: Literal["neural_art"] = "neural_art"
  size: int = option(64, "pixels a side of the pictures (section 3.4: 64, 128)", 32, 4096)
  content_weight: float = option(1.0, "of the content loss (not given)", 0.0, 1e9)
  style_weight: float = option(1.0, "of the style loss (not given)", 0.0, 1e9)
  smoothness_weight: float = option(2.0, "of the regularizer (not given)", 0.0, 1e9)
  init_scale: float = _init_scale(3.0)
  content_dir: Path = option(
    None, "folder of photographs, or tfds:NAME of a prepared TFDS copy; else crops of bundled ones"
  )
  style: Path = option(None, "style image or folder of some; else a bundled one")
  vgg: Literal["auto", "keras", "hed"] = option("auto", "where VGG-16's weights come from")

  @pydantic.model_validator(mode="after")
  def _something_counts(self) -> "Self":
    if not self.content_weight + self.style_weight + self.smoothness_weight:
      raise ValueError("content_weight, style_weight and smoothness_weight must not all be 0.")
    return self

  def build(self) -> "tuple[problems.Problem, str]":
    """Returns the problem and which images and weights it uses."""
    from l2l_tf import problems
    from l2l_tf.problems import photographs
    from l2l_tf.problems import vgg

    images = photographs.load(self.content_dir, self.size)
    styles, style_source = photographs.load_styles(self.style, self.size)
    network = vgg.load(self.vgg)
    weights = (self.content_weight, self.style_weight, self.smoothness_weight)
    problem = problems.style_transfer(images, styles, network, *weights, self.init_scale)
    return problem, f"{images.source}; {style_source}; {network.source}"


class Quadratic(Options):
  """Random quadratic functions (section 3.1)."""

  name: Literal["quadratic"] = "quadratic"
  dimensions: int = option(10, "of theta (section 3.1: 10)", 1, 10**4)
  init_scale: float = _init_scale(1.0)

  def build(self) -> "tuple[problems.Problem, str]":
    """Returns the problem and that it is generated."""
    from l2l_tf import problems

    return problems.quadratic(self.dimensions, self.init_scale), "generated"


class Bowl(Options):
  """A convex toy that every working optimizer learns in seconds (not in the paper)."""

  name: Literal["bowl"] = "bowl"
  dimensions: int = option(10, "of theta", 1, 10**7)

  def build(self) -> "tuple[problems.Problem, str]":
    """Returns the problem and that it is generated."""
    from l2l_tf import problems

    return problems.bowl(self.dimensions), "generated"


class General(Options):
  """Small networks of many kinds, for an optimizer that serves all (not in the paper)."""

  name: Literal["general"] = "general"
  data: DataSource = option("auto", "where MNIST comes from")
  data_dir: Path = DATA_DIR
  pictures: bool = option(True, "CIFAR-10's, too; without them it is another training")

  def build(self) -> "tuple[problems.base.Mixture, str]":
    """Returns the problems and which data they use."""
    from l2l_tf import problems
    from l2l_tf.problems import general

    digits, pictures = problems.load("mnist", "train", self.data, self.data_dir), None
    source = digits.source
    if self.pictures:
      pictures = problems.load("cifar10", "train", self.data, self.data_dir)
      source = f"{source}; {pictures.source}"
    return general.mixture(digits, pictures), source


_KINDS = (Mnist, Cifar10, NeuralArt, Quadratic, Bowl, General)
PROBLEMS = {kind.model_fields["name"].default: kind for kind in _KINDS}
if TYPE_CHECKING:
  AnyProblem = Mnist | Cifar10 | NeuralArt | Quadratic | Bowl | General | UserProblem
else:
  AnyProblem = one_of(*_KINDS, UserProblem)
MIXTURES = ("general",)
SINGLE = {name: kind for name, kind in PROBLEMS.items() if name not in MIXTURES}
"""Those that are one problem, and not many to train on."""
