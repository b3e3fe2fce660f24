"""A pretrained optimizer in `fit`: python examples/pretrained_in_fit.py

Two epochs of a small sigmoid MLP on 5,000 real digits, by `mnist_lstm` and by Adam at Keras's
default rate, from the same theta_0.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

import l2l_tf
from l2l_tf import problems


def make_model() -> keras.Model:
  """The network that `mnist_lstm` was trained on; the same theta_0 each time."""
  keras.utils.set_random_seed(0)
  start = keras.initializers.RandomNormal(stddev=0.01)
  options = {"kernel_initializer": start, "bias_initializer": start}
  hidden = keras.layers.Dense(20, "sigmoid", **options)
  return keras.Sequential([keras.Input((784,)), hidden, keras.layers.Dense(10, **options)])


def main() -> dict[str, float]:
  """Returns the training loss of the second epoch by optimizer."""
  data = problems.load("mnist", source="bundled")
  images, labels = data.images.reshape(-1, 784) / 255, data.labels
  losses = {}
  for name, optimizer in {"learned": l2l_tf.LearnedOptimizer("mnist_lstm"), "Adam": "adam"}.items():
    model = make_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    history = model.fit(images, labels, batch_size=128, epochs=2, verbose=0).history
    loss, accuracy = history["loss"][-1], history["accuracy"][-1]
    print(f"{name:8} second epoch: loss {loss:.3f}, accuracy {accuracy:.3f}")
    losses[name] = loss
  return losses


if __name__ == "__main__":
  main()
