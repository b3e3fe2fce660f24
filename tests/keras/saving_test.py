"""LearnedOptimizer in files: it goes on to the same numbers, and no file is trusted."""

import base64
import json
import zipfile

import keras
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

import l2l_tf
from l2l_tf.storage import files
from tests import keras_models as models

OPTIONS = {
  **{"update_scale": 0.5, "horizon": 100, "name": "mine", "weight_decay": 0.1, "clipnorm": 1.0},
  **{"use_ema": True, "ema_momentum": 0.9, "gradient_accumulation_steps": 2},
}


@pytest.mark.parametrize("kind", models.KINDS)
def test_a_config_holds_everything(kind):
  optimizer = models.learned(kind, **OPTIONS)
  config = json.loads(json.dumps(optimizer.get_config()))
  assert {key: config[key] for key in OPTIONS} == OPTIONS and "learning_rate" not in config
  again = l2l_tf.LearnedOptimizer.from_config(config)
  assert again.get_config() == optimizer.get_config()
  first, second = models.variables(), models.variables()
  models.assert_equal(models.run(optimizer, first), models.run(again, second))


def test_a_config_knows_what_adams_knows():
  """All that Keras's Adam keeps of the arguments that all optimizers have."""
  options = {k: v for k, v in OPTIONS.items() if k not in ("update_scale", "horizon")}
  ours, adam = models.learned(**options).get_config(), models.adam(**options).get_config()
  own = {"learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad"}
  assert {k: v for k, v in adam.items() if k not in own}.items() <= ours.items()


def test_schedules_and_kerass_own_serialization():
  schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)
  optimizer = models.learned(update_scale=schedule)
  again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
  assert isinstance(again, l2l_tf.LearnedOptimizer)
  np.testing.assert_allclose(again.update_scale, 0.5)
  models.assert_equal(
    models.run(optimizer, models.variables()), models.run(again, models.variables())
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  "make, wrap", [(models.learned, False), (models.learned, True), (models.adam, False)]
)
def test_a_saved_model_goes_on_to_the_same_numbers(make, wrap, tmp_path):
  def compiled():
    optimizer = make(use_ema=True, gradient_accumulation_steps=3)
    return models.compiled(keras.optimizers.LossScaleOptimizer(optimizer) if wrap else optimizer)

  straight, stopped = compiled(), compiled()
  models.fit(straight, 1)
  models.fit(stopped, 1)
  path = str(tmp_path / "m.keras")
  stopped.save(path)
  loaded = keras.models.load_model(path)
  loaded.run_eagerly = True
  models.assert_equal(models.states(stopped.optimizer), models.states(loaded.optimizer))
  assert models.fit(loaded, 2) == models.fit(straight, 2)
  models.assert_equal(loaded.get_weights(), straight.get_weights())


@pytest.mark.parametrize("make", [models.learned, models.adam], ids=["learned", "adam"])
def test_a_model_saved_before_its_first_step(make, tmp_path):
  new = models.compiled(make())
  new.save(str(tmp_path / "m.keras"))
  loaded = keras.models.load_model(str(tmp_path / "m.keras"))
  loaded.run_eagerly = True
  assert models.fit(loaded, 1) == models.fit(new, 1)


@pytest.mark.parametrize("make", [models.learned, models.adam], ids=["learned", "adam"])
def test_checkpoints_of_tensorflow(make, tmp_path):
  optimizer, theta = make(), models.variables()
  models.run(optimizer, theta)
  path = tf.train.Checkpoint(optimizer=optimizer).save(str(tmp_path / "c"))
  again, other = make(), models.variables()
  again.build(other)
  tf.train.Checkpoint(optimizer=again).restore(path)
  models.assert_equal(models.states(again), models.states(optimizer))


def tensors(**changes):
  """The phi of an "lstm", changed, in base64."""
  phi = base64.b64decode(models.learned("lstm").get_config()["phi"])
  return encode(safetensors.numpy.save({**safetensors.numpy.load(phi), **changes}))


def encode(content):
  return base64.b64encode(content).decode()


HOSTILE = [
  ({"optimizer": None}, "must be an object"),
  ({"optimizer": {"kind": "os.system"}}, "Unknown kind of optimizer 'os.system'; known: lstm"),
  ({"optimizer": {"kind": "lstm", "layer_sizes": [10**9]}}, "at most 1024, got 1000000000"),
  (
    {"optimizer": {"kind": "lstm", "layer_sizes": [1024] * 10**4}},
    "at most 64 elements, got 10000",
  ),
  ({"optimizer": {"kind": "lstm", "layer_sizes": [1024] * 64}}, "more than 16777216"),
  ({"optimizer": {"kind": "ntm_lbfgs", "history": 10**9}}, "history must be at most 65536, got"),
  ({"optimizer": {"kind": "ntm_lbfgs", "history": 2**16}}, "196608 pairs of vectors"),
  ({"optimizer": {"kind": "lstm", "layer_sizes": [4, 4]}}, "but its config calls for"),
  ({"optimizer": {"kind": "lstm", "seed": 3, "name": "x", "call": "y"}}, "Unknown option 'seed'"),
  ({"phi": None}, "holds no phi"),
  ({"phi": 3}, "holds no phi"),
  ({"phi": "not base64!"}, "is no base64"),
  ({"phi": "n\u00f6"}, "is no base64"),
  ({"phi": encode(b"\x80\x04\x95 a pickle")}, "holds no optimizer of ours"),
  ({"phi": encode(b"\xff" * 16)}, "holds no optimizer of ours"),
  ({"phi": tensors(extra=np.zeros(3, np.float32))}, "but its config calls for"),
  ({"phi": tensors(**{"linear/b": np.full(1, np.nan, np.float32)})}, "not finite"),
  ({"phi": tensors(**{"linear/b": np.zeros(1, np.float64)})}, "but its config calls for"),
]


@pytest.mark.parametrize("changes, message", HOSTILE, ids=lambda value: str(value)[:50])
def test_hostile_configs(changes, message):
  config = {**models.learned("lstm").get_config(), **changes}
  with pytest.raises(l2l_tf.CheckpointError, match=message) as info:
    l2l_tf.LearnedOptimizer.from_config(config)
  assert len(str(info.value)) < 2000


def test_phi_that_is_too_large_is_not_decoded(monkeypatch):
  monkeypatch.setattr(files, "MAX_FILE_BYTES", 100)
  with pytest.raises(l2l_tf.CheckpointError, match="far too large"):
    l2l_tf.LearnedOptimizer.from_config(models.learned().get_config())


def test_a_type_of_numbers_that_numpy_lacks():
  """safetensors raises something else for these than for other damage."""
  header = b'{"linear/b":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
  content = len(header).to_bytes(8, "little") + header + b"\0"
  config = {**models.learned("lstm").get_config(), "phi": encode(content)}
  with pytest.raises(l2l_tf.CheckpointError):
    l2l_tf.LearnedOptimizer.from_config(config)


@pytest.mark.parametrize(
  "layers, message", [(1000, "at most 64 elements, got 1000"), (64, "more than 16777216")]
)
def test_a_hostile_model_file(tmp_path, layers, message):
  path, hostile = str(tmp_path / "m.keras"), str(tmp_path / "hostile.keras")
  models.compiled(models.learned("lstm")).save(path)
  with zipfile.ZipFile(path) as source, zipfile.ZipFile(hostile, "w") as target:
    for name in source.namelist():
      content = source.read(name)
      if name == "config.json":
        config = json.loads(content)
        options = config["compile_config"]["optimizer"]["config"]
        options["optimizer"]["layer_sizes"] = [1024] * layers
        content = json.dumps(config)
      target.writestr(name, content)
  with pytest.raises(l2l_tf.CheckpointError, match=message):
    keras.models.load_model(hostile)
