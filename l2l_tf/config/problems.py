"""The hyperparameters of the problems, and what builds each."""

import dataclasses
from typing import Optional

from l2l_tf import problems
from l2l_tf.config.options import option
from l2l_tf.config.options import Options
from l2l_tf.problems import general
from l2l_tf.problems import vgg


@dataclasses.dataclass(frozen=True)
class Mnist(Options):
  """Training a small MLP on MNIST (section 3.2)."""

  hidden: tuple[int, ...] = option((20,), "units of each hidden layer (section 3.2: 20)", 1, 10**5)
  activation: str = option(
    "sigmoid", "of the hidden units (sigmoid)", choices=("sigmoid", "relu", "tanh")
  )
  batch_size: int = option(128, "examples a minibatch (128)", 1, 10**6)
  init_scale: float = option(0.01, "standard deviation of theta_0 (not given)", 0.0, 1e30)
  margin: int = option(0, "pixels cut from every edge (0); 4 loses little ink: cheaper", 0, 13)
  pooling: int = option(1, "average blocks of so many pixels a side (1): cheaper", 1, 28)
  split: str = option(
    "train", "digits that instances draw from; test: the held-out ones", choices=("train", "test")
  )
  data: str = option("auto", "where MNIST comes from", choices=problems.datasets.SOURCES)
  data_dir: Optional[str] = option(None, "folder of TFDS copies; else TFDS_DATA_DIR", path=True)

  def __post_init__(self):
    super().__post_init__()
    size = 28 - 2 * self.margin
    if size % self.pooling:
      raise ValueError(f"pooling must divide 28 - 2 margin = {size}, got {self.pooling}.")

  def build(self) -> tuple[problems.Problem, str]:
    """Returns the problem and which data it uses."""
    data = problems.load("mnist", self.split, self.data, self.data_dir)
    data = problems.datasets.pool(problems.datasets.crop(data, self.margin), self.pooling)
    problem = problems.mlp(data, self.hidden, self.activation, self.batch_size, self.init_scale)
    return problem, data.source


@dataclasses.dataclass(frozen=True)
class Cifar10(Options):
  """Training a small convolutional network on CIFAR-10 (section 3.3)."""

  filters: tuple[int, ...] = option(
    (16, 16, 16), "of each convolutional layer (section 3.3: three layers)", 1, 10**4
  )
  kernel_size: int = option(5, "side of the filters in pixels (not given)", 1, 32)
  units: int = option(32, "of the fully connected layer (section 3.3: 32)", 1, 10**5)
  batch_size: int = option(128, "examples a minibatch (128)", 1, 10**6)
  init_scale: float = option(0.01, "standard deviation of theta_0 (not given)", 0.0, 1e30)
  pooling: int = option(1, "average blocks of so many pixels a side (1): cheaper", 1, 32)
  split: str = option(
    "train", "images that instances draw from; test: the held-out ones", choices=("train", "test")
  )
  data: str = option("auto", "where CIFAR-10 comes from", choices=problems.datasets.SOURCES)
  data_dir: Optional[str] = option(None, "folder of TFDS copies; else TFDS_DATA_DIR", path=True)

  def __post_init__(self):
    super().__post_init__()
    if 32 % self.pooling:
      raise ValueError(f"pooling must divide 32, got {self.pooling}.")

  def build(self) -> tuple[problems.Problem, str]:
    """Returns the problem and which data it uses."""
    data = problems.load("cifar10", self.split, self.data, self.data_dir)
    data = problems.datasets.pool(data, self.pooling)
    sizes = (self.filters, self.kernel_size, self.units, self.batch_size)
    return problems.convnet(data, *sizes, self.init_scale), data.source


@dataclasses.dataclass(frozen=True)
class NeuralArt(Options):
  """Painting photographs in the style of another picture (section 3.4)."""

  size: int = option(64, "pixels a side of the pictures (section 3.4: 64, 128)", 32, 4096)
  content_weight: float = option(1.0, "of the content loss (not given)", 0.0, 1e9)
  style_weight: float = option(1.0, "of the style loss (not given)", 0.0, 1e9)
  smoothness_weight: float = option(2.0, "of the regularizer (not given)", 0.0, 1e9)
  init_scale: float = option(3.0, "standard deviation of theta_0 (not given)", 0.0, 1e30)
  content_dir: Optional[str] = option(
    None,
    "folder of photographs, or tfds:NAME of a prepared TFDS copy; else crops of bundled ones",
    path=True,
  )
  style: Optional[str] = option(
    None, "style image or folder of some; else a bundled one", path=True
  )
  vgg: str = option("auto", "where VGG-16's weights come from", choices=vgg.SOURCES)

  def __post_init__(self):
    super().__post_init__()
    if not self.content_weight + self.style_weight + self.smoothness_weight:
      raise ValueError("content_weight, style_weight and smoothness_weight must not all be 0.")

  def build(self) -> tuple[problems.Problem, str]:
    """Returns the problem and which images and weights it uses."""
    from l2l_tf.problems import photographs  # needs Pillow, of the extra "art"

    images = photographs.load(self.content_dir, self.size)
    styles, style_source = photographs.load_styles(self.style, self.size)
    network = vgg.load(self.vgg)
    weights = (self.content_weight, self.style_weight, self.smoothness_weight)
    problem = problems.style_transfer(images, styles, network, *weights, self.init_scale)
    return problem, f"{images.source}; {style_source}; {network.source}"


@dataclasses.dataclass(frozen=True)
class Quadratic(Options):
  """Random quadratic functions (section 3.1)."""

  dimensions: int = option(10, "of theta (section 3.1: 10)", 1, 10**4)
  init_scale: float = option(1.0, "standard deviation of theta_0 (not given)", 0.0, 1e30)

  def build(self) -> tuple[problems.Problem, str]:
    return problems.quadratic(self.dimensions, self.init_scale), "generated"


@dataclasses.dataclass(frozen=True)
class Bowl(Options):
  """A convex toy that every working optimizer learns in seconds (not in the paper)."""

  dimensions: int = option(10, "of theta", 1, 10**7)

  def build(self) -> tuple[problems.Problem, str]:
    return problems.bowl(self.dimensions), "generated"


@dataclasses.dataclass(frozen=True)
class General(Options):
  """Small networks of many kinds, for an optimizer that serves all (not in the paper)."""

  data: str = option("auto", "where MNIST comes from", choices=problems.datasets.SOURCES)
  data_dir: Optional[str] = option(None, "folder of TFDS copies; else TFDS_DATA_DIR", path=True)
  pictures: bool = option(True, "CIFAR-10's, too; without them it is another training")

  def build(self) -> tuple[problems.base.Mixture, str]:
    """Returns the problems and which data they use."""
    digits, pictures = problems.load("mnist", "train", self.data, self.data_dir), None
    source = digits.source
    if self.pictures:
      pictures = problems.load("cifar10", "train", self.data, self.data_dir)
      source = f"{source}; {pictures.source}"
    return general.mixture(digits, pictures), source


PROBLEMS = {
  "mnist": Mnist,
  "cifar10": Cifar10,
  "neural_art": NeuralArt,
  "quadratic": Quadratic,
  "bowl": Bowl,
  "general": General,
}
MIXTURES = ("general",)
SINGLE = {name: kind for name, kind in PROBLEMS.items() if name not in MIXTURES}
"""Those that are one problem, and not many to train on."""
