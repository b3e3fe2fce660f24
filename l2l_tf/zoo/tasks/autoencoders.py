"""Auto-encoders of images: dense, denoising and variational."""

import keras
from keras import layers
from keras import ops
import tensorflow as tf

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "autoencoders"


@data.cached
def digits() -> Data:
  """8 x 8 digits, flat, 0 to 1."""
  table = data.sklearn_table("digits")
  pixels = table.inputs / 16
  return data.split(pixels, pixels, "scikit-learn's digits")


@data.cached
def mnist_14() -> Data:
  """14 x 14, flat, 0 to 1."""
  return data.reconstructed(data.scaled(data.images("mnist", pooling=2)))


@data.cached
def mnist_14_alone() -> Data:
  """The same without targets."""
  pairs = mnist_14()
  return pairs._replace(train=pairs.train[0], test=pairs.test[0])


@define(FAMILY, "Digits 8×8, 64-32-8-32-64 tanh, squared error", digits, 32, metric="mae")
def digits_autoencoder(optimizer):
  inputs = keras.Input([64])
  x = layers.Dense(32, activation="tanh")(inputs)
  x = layers.Dense(8, activation="tanh")(x)
  x = layers.Dense(32, activation="tanh")(x)
  model = keras.Model(inputs, layers.Dense(64)(x))
  model.compile(optimizer, "mse", metrics=["mae"])
  return model


@define(
  FAMILY,
  "MNIST 14×14, 196-64-16-64-196 ReLU, cross entropy of pixels, times 1,000",
  mnist_14,
  64,
  metric="mae",
)
def mnist_autoencoder(optimizer):
  encoder = keras.Sequential(
    [
      keras.Input([196]),
      layers.Dense(64, activation="relu"),
      layers.Dense(16, activation="relu"),
    ]
  )
  decoder = keras.Sequential(
    [
      keras.Input([16]),
      layers.Dense(64, activation="relu"),
      layers.Dense(196, activation="sigmoid"),
    ]
  )
  model = keras.Sequential([encoder, decoder])
  model.compile(optimizer, "binary_crossentropy", loss_weights=1000.0, metrics=["mae"])
  return model


class VariationalAutoencoder(keras.Model):
  """Kingma and Welling 2013, written as in Keras's own example."""

  def __init__(self, pixels: int, units: int, latent: int, **kwargs):
    super().__init__(**kwargs)
    inputs = keras.Input([pixels])
    x = layers.Dense(units, activation="relu")(inputs)
    outputs = [layers.Dense(latent)(x), layers.Dense(latent)(x)]
    self.encoder = keras.Model(inputs, outputs)
    self.decoder = keras.Sequential(
      [keras.Input([latent]), layers.Dense(units, activation="relu"), layers.Dense(pixels)]
    )
    self.seed_generator = keras.random.SeedGenerator()
    self.loss_tracker = keras.metrics.Mean(name="loss")
    self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
    self.built = True

  @property
  def metrics(self):
    return [self.loss_tracker, self.reconstruction_tracker]

  def losses_of(self, x):
    """The loss and the part of it that is the reconstruction's, means over the minibatch."""
    mean, log_variance = self.encoder(x)
    noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
    logits = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
    pixels = keras.losses.binary_crossentropy(x, logits, from_logits=True)  # mean over pixels
    reconstruction = ops.mean(pixels) * x.shape[-1]
    divergence = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
    return reconstruction + ops.mean(ops.sum(divergence, -1)), reconstruction

  def train_step(self, x):
    with tf.GradientTape() as tape:
      loss, reconstruction = self.losses_of(x)
      scaled_loss = self.optimizer.scale_loss(loss)  # as Keras's own train_step does
    gradients = tape.gradient(scaled_loss, self.trainable_weights)
    self.optimizer.apply(gradients, self.trainable_weights)
    return self._track(loss, reconstruction)

  def test_step(self, x):
    return self._track(*self.losses_of(x))

  def _track(self, loss, reconstruction):
    self.loss_tracker.update_state(loss)
    self.reconstruction_tracker.update_state(reconstruction)
    return {m.name: m.result() for m in self.metrics}


@define(
  FAMILY,
  "MNIST 14×14, variational, 196-64-8-64-196 ReLU, custom train_step",
  mnist_14_alone,
  64,
  metric="reconstruction",
)
def mnist_vae(optimizer):
  model = VariationalAutoencoder(196, 64, 8)
  model.compile(optimizer)
  return model


TASKS = (digits_autoencoder, mnist_autoencoder, mnist_vae)
