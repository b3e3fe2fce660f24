"""What the general optimizer is trained on: small networks of many kinds, and made-up sequences.

Real images are MNIST's and, where they can be had, CIFAR-10's, most of them pooled to 7 or 8 and 14
pixels a side. No network here convolves; nothing here is real text.
"""

import hashlib

import numpy as np

from l2l_tf.problems import base
from l2l_tf.problems import datasets
from l2l_tf.problems import sequences
from l2l_tf.problems import tiny
from l2l_tf.problems.tiny import Examples
from l2l_tf.problems.tiny import dense_network
from l2l_tf.problems.transformations import rescaled
from l2l_tf.problems.transformations import starting_badly

Problems = dict[str, base.Problem]


def mixture(digits: datasets.Dataset, pictures: datasets.Dataset | None = None) -> base.Mixture:
  """The problems, each as often as the others, and those that validate.

  Args:
    digits: 28 x 28, MNIST.
    pictures: 32 x 32 in colour, CIFAR-10; None does without.
  """
  small, middle, large = (_classes(datasets.pool(digits, block)) for block in (4, 2, 1))
  problems = _of_digits(small, middle) | _of_large_digits(large) | _of_teachers() | _of_sequences()
  held_out = _held_out(middle)
  digest = hashlib.sha256(digits.digest.encode())
  if pictures is not None:
    colours = _classes(datasets.pool(pictures, 4))
    problems |= _of_pictures(colours, _classes(datasets.pool(pictures, 2)))
    held_out |= _held_out_pictures(colours)
    digest.update(pictures.digest.encode())
  return base.Mixture(problems, dict.fromkeys(problems, 1.0), held_out, digest.hexdigest())


def _of_digits(small: Examples, middle: Examples) -> Problems:
  raw = small._replace(inputs=255 * small.inputs)
  return {
    "digits_relu": dense_network(small, [24], num_examples=1000),
    "digits_sigmoid": starting_badly(
      dense_network(small, [20], "sigmoid", batch_size=64), spread=0.7
    ),
    "digits_three_layers": dense_network(middle, [24, 24, 24], batch_size=64, num_examples=2000),
    "digits_batch_norm": dense_network(_standardized(middle), [32, 24], "gelu", "batch"),
    "digits_squared_error": dense_network(
      small, [24], "tanh", loss="squared_error", num_examples=400
    ),
    "digits_raw": dense_network(raw, [24]),
    "digits_noisy_labels": dense_network(small, [32], batch_size=16, label_noise=0.25),
    "digits_linear": dense_network(middle, [], num_examples=200),
    "digits_deep": dense_network(
      _standardized(small), [16] * 5, "gelu", "layer", num_examples=1500
    ),
    "digits_autoencoder": dense_network(
      Examples(small.inputs, small.inputs), [24, 8, 24], loss="sigmoid_cross_entropy", batch_size=64
    ),
    "digits_deep_autoencoder": dense_network(
      Examples(middle.inputs, middle.inputs), [24, 12, 4, 12, 24], "tanh", loss="squared_error"
    ),
    "digits_sigmoid_autoencoder": dense_network(
      Examples(small.inputs, small.inputs), [20, 6, 20], "sigmoid", loss="sigmoid_cross_entropy"
    ),
  }


def _of_large_digits(large: Examples) -> Problems:
  own = Examples(large.inputs, large.inputs)
  return {
    "digits_all_pixels": dense_network(large, [24], batch_size=64),
    "digits_all_pixels_autoencoder": dense_network(own, [16], loss="sigmoid_cross_entropy"),
  }


def _of_pictures(colours: Examples, large: Examples) -> Problems:
  own = Examples(colours.inputs, colours.inputs)
  return {
    "pictures_relu": dense_network(colours, [32, 32], batch_size=64),
    "pictures_layer_norm": dense_network(
      _standardized(colours), [32], "tanh", "layer", batch_size=64
    ),
    "pictures_large": dense_network(_standardized(large), [24], "gelu", "batch", batch_size=64),
    "pictures_bad_start": starting_badly(dense_network(_standardized(colours), [24, 24], "elu")),
    "pictures_autoencoder": rescaled(
      dense_network(own, [32, 16, 32], "gelu", loss="squared_error"), each="coordinate"
    ),
  }


def _of_teachers() -> Problems:
  large = tiny.teacher(8, [16, 16], "tanh", scale=100.0, noise=0.3, seed=2)
  little = tiny.teacher(20, [16], "tanh", scale=0.1, seed=3)
  raw = tiny.teacher(10, [16], "tanh", scale=50.0, noise=0.3, seed=4, spread=1.5, offset=2.0)
  kinds = tiny.as_classes(tiny.teacher(13, [16], seed=5, spread=1.5, offset=2.0, num_outputs=3))
  return {
    "teacher_relu": dense_network(
      tiny.teacher(12, [32], seed=1), [32], loss="squared_error", num_examples=256
    ),
    "teacher_large": dense_network(
      large, [24, 24], loss="squared_error", batch_size=64, num_examples=500
    ),
    "teacher_raw": dense_network(raw, [32], loss="squared_error", num_examples=400),
    "teacher_raw_classes": dense_network(kinds, [16], num_examples=180),
    "teacher_small": starting_badly(
      dense_network(little, [24], "tanh", loss="squared_error"), spread=0.7
    ),
  }


def _of_sequences() -> Problems:
  return {
    "window": sequences.window_model(),
    "recurrent": sequences.recurrent_model(),
    "attention": sequences.attention_model(),
    "attention_narrow": sequences.attention_model(8, 24, 3, 6, 8),
    "factorization": sequences.factorization(),
    "factorization_large": sequences.factorization(200, 100, 8, 128),
    "window_wide": sequences.window_model(40, 3, 16, 20, 32),
  }


def _held_out(middle: Examples) -> Problems:
  own = Examples(middle.inputs, middle.inputs)
  regression = tiny.teacher(16, [24, 24], "gelu", scale=5.0, seed=9)
  return {
    "digits": dense_network(middle, [40, 20], batch_size=100),
    "autoencoder": dense_network(
      own, [32, 8, 32], "tanh", loss="sigmoid_cross_entropy", batch_size=50
    ),
    "teacher": dense_network(regression, [40], "elu", loss="squared_error", batch_size=50),
    "attention": sequences.attention_model(10, 20, 2, 10, 12),
    "recurrent": sequences.recurrent_model(10, 12, 20, 6, 24),
    "factorization": sequences.factorization(100, 50, 4, 32),
  }


def _held_out_pictures(colours: Examples) -> Problems:
  network = dense_network(_standardized(colours), [48], "gelu", "batch", batch_size=50)
  return {"pictures": network}


def _classes(data: datasets.Dataset) -> Examples:
  """Pixels in 0..1 and one-hot classes."""
  inputs = data.images.reshape(len(data.images), -1).astype(np.float32) / 255
  return Examples(inputs, np.eye(data.num_classes, dtype=np.float32)[data.labels])


def _standardized(examples: Examples) -> Examples:
  x = examples.inputs
  return examples._replace(inputs=(x - x.mean(0)) / (x.std(0) + 1e-3))
