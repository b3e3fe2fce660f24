"""Tests of files: a round trip, and every way to be damaged."""

import hashlib
import inspect
import json
import os

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

import l2l_tf
from l2l_tf import optimizers
from l2l_tf.optimizers import preprocessing
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.storage.files import CheckpointError


def make(**options):
  """An optimizer whose phi is random everywhere, the biases too."""
  optimizer = optimizers.CoordinatewiseLSTM(**{"layer_sizes": (5, 4), "seed": 3, **options})
  rng = np.random.default_rng(0)
  for variable in optimizer.trainable_variables:
    variable.assign(rng.normal(size=variable.shape, scale=0.5))
  return optimizer


def gradient_sequence():
  rng = np.random.default_rng(1)
  sequence = rng.normal(size=(20, 6)) * 10.0 ** rng.uniform(-7, 2, (20, 6))
  sequence[3] = 0.0
  return sequence.astype(np.float32)


def tensorflow_updates(optimizer):
  state = optimizer.initial_state({"x": tf.zeros([1, 6])})
  results = []
  for g in gradient_sequence():
    updates, state = optimizer({"x": tf.constant(g[np.newaxis])}, state)
    results.append(updates["x"][0].numpy())
  return np.stack(results)


@pytest.fixture
def saved(tmp_path):
  """A directory with an optimizer."""
  directory = str(tmp_path / "best")
  optimizer_files.save_optimizer(directory, make(), {"data": "none", "epoch": 7})
  return directory


@pytest.mark.parametrize("kind", [preprocessing.LogAndSign(8.0), preprocessing.Rescale(3.0)])
def test_round_trip_gives_the_same_updates(tmp_path, kind):
  original = make(preprocessing=kind, output_scale=0.3)
  directory = str(tmp_path / "a" / "best")
  optimizer_files.save_optimizer(directory, original, {"epoch": 7, "list": [1, None]})
  assert sorted(os.listdir(directory)) == ["config.json", "optimizer.safetensors"]
  loaded, about = optimizer_files.load_optimizer(directory)
  assert about == {"epoch": 7, "list": [1, None]}
  assert loaded.config() == original.config()
  np.testing.assert_array_equal(tensorflow_updates(loaded), tensorflow_updates(original))


def test_saving_replaces_what_was_there(saved):
  other = make(layer_sizes=(3,), output_scale=0.5)
  optimizer_files.save_optimizer(saved, other, {})
  loaded, about = optimizer_files.load_optimizer(saved)
  assert loaded.config() == other.config() and about == {}


def assert_error(directory, *words):
  """Loading must fail with one line that holds the words."""
  with pytest.raises(CheckpointError) as info:
    optimizer_files.load_optimizer(directory)
  message = str(info.value)
  assert "\n" not in message and len(message) < 2000
  for word in words:
    assert word in message, message


def change_config(directory, **changes):
  path = os.path.join(directory, "config.json")
  with open(path, encoding="utf-8") as file:
    config = json.load(file)
  for key, value in changes.items():
    (config if key in config else config["optimizer"])[key] = value
  with open(path, "w", encoding="utf-8") as file:
    json.dump(config, file)


def change_weights(directory, change):
  """Replaces the weights by `change(bytes)` and puts their right hash into the config."""
  path = os.path.join(directory, "optimizer.safetensors")
  with open(path, "rb") as file:
    content = change(file.read())
  with open(path, "wb") as file:
    file.write(content)
  change_config(directory, sha256=hashlib.sha256(content).hexdigest())


def test_missing_files(saved, tmp_path):
  assert_error(str(tmp_path / "nowhere"), "no directory", "nowhere")
  assert_error(str(tmp_path), "Cannot read", "config.json", "No such file")
  os.remove(os.path.join(saved, "optimizer.safetensors"))
  assert_error(saved, "Cannot read", "optimizer.safetensors", "No such file")


@pytest.mark.parametrize("name", ["config.json", "optimizer.safetensors"])
@pytest.mark.parametrize("length", [0, 5, 200])
def test_truncated_files(saved, name, length):
  with open(os.path.join(saved, name), "r+b") as file:
    file.truncate(length)
  assert_error(saved, name, "damaged" if "safetensors" in name else "not valid JSON")


@pytest.mark.parametrize("position", [0, 20, 600, -1])
def test_a_flipped_bit_in_the_weights(saved, position):
  path = os.path.join(saved, "optimizer.safetensors")
  with open(path, "rb") as file:
    content = bytearray(file.read())
  content[position] ^= 1
  with open(path, "wb") as file:
    file.write(content)
  assert_error(saved, "optimizer.safetensors", "damaged", "SHA-256")


@pytest.mark.parametrize(
  "content, words",
  [
    (b"\x80\x04\x95 a pickle", ["not valid JSON"]),
    (b"[" * 100_000, ["not valid JSON"]),
    (b"[1, 2]", ["does not describe an optimizer of format 1", "runs/NAME/best"]),
    (b'{"experiment": {}}', ["does not describe an optimizer of format 1"]),
    (b'{"format": 2}', ["does not describe an optimizer of format 1"]),
  ],
)
def test_a_foreign_config(saved, content, words):
  with open(os.path.join(saved, "config.json"), "wb") as file:
    file.write(content)
  assert_error(saved, "config.json", *words)


@pytest.mark.parametrize(
  "change", [lambda b: b[:-4], lambda b: b"", lambda b: b"\xff" * 8 + b[8:], lambda b: b"PK" + b]
)
def test_weights_that_are_no_safetensors(saved, change):
  change_weights(saved, change)
  assert_error(saved, saved, "holds no optimizer of ours")


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"kind": "gru"}, ["'gru'", "known: lstm"]),
    ({"kind": ["lstm"]}, ["['lstm']", "known: lstm"]),
    ({"kind": None}, ["None", "known: lstm"]),
    ({"optimizer": None}, ["must be an object", "NoneType"]),
    ({"units": 20}, ["Unknown option 'units' for LSTM"]),
    ({"layer_sizes": []}, ["layer_sizes must not be empty"]),
    ({"layer_sizes": [10**9]}, ["layer_sizes", "1000000000"]),
    ({"layer_sizes": 20}, ["layer_sizes must be of type tuple, got 20"]),
    ({"output_scale": "0.1"}, ["output_scale", "'0.1'"]),
    ({"output_scale": float("nan")}, ["output_scale", "nan"]),
    ({"output_scale": 0}, ["output_scale", "must not be 0"]),
    ({"preprocessing": {"name": "log"}}, ["log_and_sign, rescale", "'log'"]),
    ({"preprocessing": {"name": "rescale", "p": 1.0}}, ["preprocessing", "'p'"]),
    ({"layer_sizes": [5, 5]}, ["optimizer.safetensors holds", "(9, 16)", "calls for", "(10, 20)"]),
    ({"layer_sizes": [5]}, ["optimizer.safetensors holds", "lstm_2/w_gates", "calls for"]),
  ],
)
def test_a_config_of_something_else(saved, changes, words):
  change_config(saved, **changes)
  assert_error(saved, *words)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(saved, value):
  def poison(content):
    tensors = {name: t.copy() for name, t in safetensors.numpy.load(content).items()}
    tensors["lstm_2/w_gates"][3, 2] = value
    return safetensors.numpy.save(tensors)

  change_weights(saved, poison)
  assert_error(saved, "optimizer.safetensors", "not finite")


KINDS = {
  "lstm": lambda dtype: make(dtype=dtype),
  "lstm_gac": lambda dtype: optimizers.GlobalAveragingLSTM((5,), num_gacs=2, dtype=dtype),
  "ntm_bfgs": lambda dtype: optimizers.NTMBFGS((6,), num_gacs=2, dtype=dtype),
  "ntm_lbfgs": lambda dtype: optimizers.NTMLBFGS((6,), num_gacs=2, history=3, dtype=dtype),
  "partition": lambda dtype: optimizers.Partition(
    {"conv": make(dtype=dtype), "fc": make(dtype=dtype)}, "conv_or_fc"
  ),
}
FLOATS = [tf.float16, tf.bfloat16, tf.float32, tf.float64]


def _phi(optimizer):
  return {n: v.numpy() for n, v in optimizer.named_phi().items()}


def _assert_same_phi(received, expected):
  received, expected = _phi(received), _phi(expected)
  assert received.keys() == expected.keys()
  for name, value in expected.items():
    assert received[name].dtype == value.dtype
    np.testing.assert_array_equal(received[name], value)


def test_every_kind_whose_phi_has_a_type_is_in_the_table():
  takes = {
    kind
    for kind, build in optimizers.LEARNED.items()
    if "dtype" in inspect.signature(build.__init__).parameters
  }
  assert takes | {"partition"} == KINDS.keys()


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_in_any_float_type_is_read_again(tmp_path, kind, dtype):
  """By files and in the config of a Keras optimizer; the first step is the same one."""
  original = KINDS[kind](dtype)
  optimizer_files.save_optimizer(str(tmp_path), original, {})
  loaded, _ = optimizer_files.load_optimizer(str(tmp_path))
  config = json.loads(json.dumps(l2l_tf.LearnedOptimizer(original).get_config()))
  for again in (loaded, l2l_tf.LearnedOptimizer.from_config(config).learned):
    _assert_same_phi(again, original)
    assert again.config() == original.config()
    g = {"x/w": tf.cast(gradient_sequence()[:1].reshape(1, 3, 2), dtype)}
    steps = [o(g, o.initial_state(g))[0]["x/w"].numpy() for o in (original, again)]
    np.testing.assert_array_equal(*steps)
    assert np.isfinite(steps[0]).all() and np.any(steps[0] != 0)


@pytest.mark.parametrize("dtype", FLOATS[:2], ids=lambda dtype: dtype.name)
def test_a_file_of_half_the_size_is_read_as_float32(saved, dtype):
  """Where the config says nothing of another type, the arithmetic is that of float32."""

  def narrow(content):
    tensors = safetensors.numpy.load(content)
    return safetensors.numpy.save({n: t.astype(dtype.as_numpy_dtype) for n, t in tensors.items()})

  before = _phi(optimizer_files.load_optimizer(saved)[0])
  change_weights(saved, narrow)
  for name, value in _phi(optimizer_files.load_optimizer(saved)[0]).items():
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, before[name].astype(dtype.as_numpy_dtype))


@pytest.mark.parametrize("dtype", ["int32", "string", "float8_e5m2", 64, None, ["float64"]])
def test_a_config_of_another_type_of_numbers(saved, dtype):
  path = os.path.join(saved, "config.json")
  config = files.read_json(path)
  config["optimizer"]["dtype"] = dtype
  files.write_json(path, config)
  assert_error(saved, "dtype must be one of float16, bfloat16, float32, float64; got", repr(dtype))


@pytest.mark.parametrize("kind", [np.int32, np.uint16, np.complex64, bool])
def test_weights_of_no_float_type(saved, kind):
  def change(content):
    tensors = safetensors.numpy.load(content)
    return safetensors.numpy.save({n: np.zeros(t.shape, kind) for n, t in tensors.items()})

  change_weights(saved, change)
  assert_error(saved, "optimizer.safetensors holds no optimizer of ours", "F16, BF16, F32, F64")


def test_weights_of_another_type(saved):
  def widen(content):
    tensors = safetensors.numpy.load(content)
    return safetensors.numpy.save({name: t.astype(np.float64) for name, t in tensors.items()})

  change_weights(saved, widen)
  assert_error(saved, "optimizer.safetensors holds", "float64", "calls for")


def test_an_enormous_file_is_not_read(saved, monkeypatch):
  monkeypatch.setattr(files, "MAX_FILE_BYTES", 100)
  assert_error(saved, "config.json", "larger than 100 bytes")
