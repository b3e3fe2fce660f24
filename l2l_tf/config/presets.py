"""Complete experiments: quick ones of minutes, the paper's of hours; and changes of one part."""

from typing import Any

from l2l_tf.config.experiment import Experiment
from l2l_tf.config.optimizers import INDEPENDENT
from l2l_tf.config.optimizers import LSTM
from l2l_tf.config.optimizers import OPTIMIZERS
from l2l_tf.config.optimizers import General
from l2l_tf.config.optimizers import Partition
from l2l_tf.config.problems import Bowl
from l2l_tf.config.problems import Cifar10
from l2l_tf.config.problems import General as GeneralProblem
from l2l_tf.config.problems import Mnist
from l2l_tf.config.problems import NeuralArt
from l2l_tf.config.problems import Quadratic
from l2l_tf.config.training import Training
from l2l_tf.config.user_code import is_name
from l2l_tf.config.user_optimizer import UserOptimizer
from l2l_tf.config.user_problem import UserProblem

_PLAIN = LSTM(preprocessing="rescale", preprocessing_constant=1.0, output_scale=1.0)  # section 3.1
# Clipped, these rates collapsed after a few hundred episodes or learned slowly (docs/training.md).
_MNIST = Training(learning_rate=3e-3, learning_rate_decay=1 / 30)
_MANY = Training(
  num_tasks=64,
  episodes_per_epoch=20,
  validation_runs=500,
  learning_rate=3e-3,
  learning_rate_decay=1 / 30,
  max_gradient_norm=1.0,
  jit_compile=True,
)
# Windows late in an episode have gradients a thousand times smaller than the first: clipped to one
# norm, all of them count: in three of four pairs of short trials that ended better.
_QUADRATIC = _MANY.replace(learning_rate=1e-2, learning_rate_decay=6e-3)

# The paper gives neither the horizon that it trained for nor any other number.
_CIFAR10 = Training(
  num_steps=100, episodes_per_epoch=10, learning_rate=3e-3, learning_rate_decay=1 / 30
)

# No postprocessing: the network's output is the update (section 3.4).
_NEURAL_ART = Training(
  num_steps=128,
  unroll_length=32,
  episodes_per_epoch=10,
  validation_runs=20,
  learning_rate=3e-3,
  learning_rate_decay=1 / 30,
)

# docs/general.md tells what each of these numbers is worth.
_GENERAL = Training(
  estimator="es",
  num_steps=1000,
  shortest=50,
  num_tasks=16,
  episodes_per_epoch=100,
  validation_runs=4,
  learning_rate=3e-3,
  learning_rate_decay=0.1,
  jit_compile=True,
)

PRESETS = {
  "quick": {
    # Each of these numbers has its reason in docs/training.md, "The quick preset".
    "mnist": Experiment(
      Mnist(margin=4),
      LSTM(),
      Training(
        unroll_length=100,
        num_epochs=15,
        learning_rate=1e-3,
        meta_gradient="sampled:300",
        loss_weight_power=1.0,
        imitation_rounds=10,
      ),
    ),
    "cifar10": Experiment(
      Cifar10(),
      Partition(),
      _CIFAR10.replace(
        unroll_length=100,
        num_epochs=5,
        learning_rate=1e-3,
        meta_gradient="sampled:300",
        loss_weight_power=1.0,
        imitation_rounds=10,
        validation_runs=5,
      ),
    ),
    "neural_art": Experiment(
      NeuralArt(size=32),
      LSTM(output_scale=1.0),
      _NEURAL_ART.replace(
        unroll_length=128,
        num_epochs=10,
        learning_rate=1e-3,
        meta_gradient="sampled:1000",
        imitation_rounds=10,
        validation_runs=4,
      ),
    ),
    "quadratic": Experiment(Quadratic(), _PLAIN, _QUADRATIC.replace(num_epochs=25)),
    "bowl": Experiment(Bowl(), _PLAIN, _MANY.replace(num_epochs=5)),
    "general": Experiment(GeneralProblem(), General(), _GENERAL.replace(num_epochs=8)),
  },
  "paper": {
    "mnist": Experiment(Mnist(), LSTM(), _MNIST.replace(num_epochs=500)),
    "cifar10": Experiment(Cifar10(), Partition(), _CIFAR10.replace(num_steps=1000, num_epochs=200)),
    "neural_art": Experiment(
      NeuralArt(), LSTM(output_scale=1.0), _NEURAL_ART.replace(num_epochs=200)
    ),
    "quadratic": Experiment(
      Quadratic(),
      _PLAIN,
      _QUADRATIC.replace(num_epochs=200, learning_rate=3e-3, learning_rate_decay=0.02),
    ),
    "bowl": Experiment(Bowl(), _PLAIN, _MANY.replace(num_epochs=20)),
    "general": Experiment(GeneralProblem(), General(), _GENERAL.replace(num_epochs=30)),
  },
}
"""Complete experiments by preset and problem: quick takes minutes on two cores, paper hours."""


def preset(kind: str, name: str) -> Experiment:
  """The experiment of `PRESETS[kind]` for a problem; a user's is trained as MNIST is."""
  if is_name(name):
    return PRESETS[kind]["mnist"].replace(problem=UserProblem(name=name))
  return PRESETS[kind][name]


def with_optimizer(experiment: Experiment, name: str) -> Experiment:
  """Puts another optimizer into an experiment.

  Options that both optimizers have keep their values, preprocessing and output scale among them;
  options that only the new one has get its defaults. Backpropagation through sampled coordinates
  and imitation are given up for optimizers whose coordinates depend on each other.

  Args:
    experiment: to take the rest from.
    name: one of `OPTIMIZERS`, or a user's `module:factory`, which has no options.
  """
  kind: Any = UserOptimizer if is_name(name) else OPTIMIZERS[name]
  old = dict(experiment.optimizer)
  shared = {option: old[option] for option in kind.flags() if option in old}
  training = experiment.training
  if kind not in INDEPENDENT:
    gradient = "full" if training.backprop_coordinates else training.meta_gradient
    training = training.replace(meta_gradient=gradient, imitation_rounds=0)
  return experiment.replace(optimizer=kind(**shared, name=name), training=training)
