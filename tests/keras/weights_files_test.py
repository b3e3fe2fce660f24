"""Files of weights: the model's load as with Adam, a state that does not fit is named once."""

import copy
import pickle
import warnings
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from tests import keras_models as models


def shipped(name, **options):
  return lambda: l2l_tf.LearnedOptimizer(name, **options)


def compiled(make, fit=True, frozen=False, layers=("first", "second")):
  """A model of two layers, or of one, after four steps or before its first."""
  keras.utils.set_random_seed(1 if fit else 2)
  sizes = {"first": 4, "second": 2}
  dense = [keras.layers.Dense(sizes[name], "tanh", name=name) for name in layers]
  model = keras.Sequential([keras.Input((3,)), *dense])
  model.layers[0].trainable = not frozen
  model.compile(make(), "mse", run_eagerly=True)
  if fit:
    models.fit(model, 1)
  return model


def load(model, path, **options):
  """Loads; returns what was said of the optimizer."""
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.load_weights(path, **options)
  texts = [str(w.message) for w in caught]
  return [text for text in texts if "starts anew" in text or "Skipping variable loading" in text]


LSTM, GAC = shipped("mnist_lstm"), shipped("quadratic_lstm_gac")
NEW, FROZEN, ONE = {"fit": False}, {"frozen": True}, {"layers": ("second",)}
MISFITS = {  # saved by, how; loaded with, how; said
  "not built": (LSTM, {}, LSTM, NEW, "before loading makes them"),
  "fewer variables": (LSTM, {}, LSTM, FROZEN, "for variables of other shapes"),
  "more variables": (LSTM, FROZEN, LSTM, {}, "for variables of other shapes"),
  "another with equal states": (GAC, {}, LSTM, {}, "another trained optimizer"),
  "another with other states": (shipped("quadratic_ntm_bfgs"), {}, GAC, {}, "another trained"),
  "its odd part": (LSTM, {}, shipped("mnist_lstm", odd=True), {}, "another trained optimizer"),
  "averages": (LSTM, {}, shipped("mnist_lstm", use_ema=True), {}, "other arguments"),
  "Adam's": (models.adam, {}, LSTM, {}, "of 10 variables of another kind"),
  "Adam's, as many": (models.adam, ONE, LSTM, ONE, "of 6 variables of another kind"),
  "Adam's, not built": (models.adam, NEW, LSTM, NEW, "of 2 variables of another kind"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
  "saved_by, how_saved, loaded_with, how_loaded, said", MISFITS.values(), ids=MISFITS
)
def test_a_state_that_does_not_fit_is_named_once_and_starts_anew(
  saved_by, how_saved, loaded_with, how_loaded, said, tmp_path
):
  path = str(tmp_path / "m.weights.h5")
  saved = compiled(saved_by, **how_saved)
  saved.save_weights(path)
  loaded = compiled(loaded_with, **how_loaded)
  scale = float(loaded.optimizer.update_scale)
  (text,) = load(loaded, path)
  assert said in text and "\n" not in text and loaded.optimizer.name in text
  models.assert_equal(loaded.get_weights(), saved.get_weights())
  new = compiled(loaded_with, **how_loaded | NEW)
  new.set_weights(saved.get_weights())
  assert float(loaded.optimizer.update_scale) == scale
  assert int(loaded.optimizer.iterations) == 0
  assert models.fit(loaded, 1) == models.fit(new, 1)
  models.assert_equal(loaded.get_weights(), new.get_weights())


FITS = {
  "trained": (LSTM, {}, {}),
  "frozen": (LSTM, FROZEN, FROZEN),
  "not built": (LSTM, NEW, NEW),
  "not built, into a trained one": (LSTM, NEW, {}),
  "odd": (shipped("quadratic_lstm_gac", odd=True), {}, {}),
  "averages": (shipped("quadratic_ntm_lbfgs", use_ema=True), {}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("make, how_saved, how_loaded", FITS.values(), ids=FITS)
def test_a_state_that_fits_goes_on(make, how_saved, how_loaded, tmp_path):
  path = str(tmp_path / "m.weights.h5")
  saved, loaded = compiled(make, **how_saved), compiled(make, **how_loaded)
  saved.save_weights(path)
  assert load(loaded, path, skip_mismatch=how_saved == FROZEN) == []
  assert int(loaded.optimizer.iterations) == int(saved.optimizer.iterations)
  assert models.fit(loaded, 1) == models.fit(saved, 1)
  models.assert_equal(loaded.get_weights(), saved.get_weights())


KERAS = {
  "adam": models.adam,
  "sgd": lambda: keras.optimizers.SGD(0.01),
  "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
}


@pytest.mark.parametrize("how", [{}, NEW, ONE, ONE | NEW], ids=str)
@pytest.mark.parametrize("name", KERAS)
def test_keras_does_not_take_a_learned_state_for_its_own(name, how, tmp_path):
  """With 6 variables each an Adam of one layer and an LSTM look the same to Keras."""
  path = str(tmp_path / "m.weights.h5")
  saved, loaded = compiled(LSTM, **how), compiled(KERAS[name], **how)
  before = models.states(loaded.optimizer)
  saved.save_weights(path)
  (text,) = load(loaded, path)
  assert "Skipping variable loading" in text
  models.assert_equal(loaded.get_weights(), saved.get_weights())
  models.assert_equal(models.states(loaded.optimizer), before)


def test_a_model_that_was_never_compiled(tmp_path):
  path = str(tmp_path / "m.weights.h5")
  models.model().save_weights(path)
  (text,) = load(loaded := compiled(LSTM), path)
  assert "there are none" in text
  models.assert_equal(loaded.get_weights(), models.model().get_weights())


def test_skip_mismatch_with_another_head(tmp_path):
  """Transfer learning: what has another shape is left out, and the optimizer starts anew."""
  path = str(tmp_path / "m.weights.h5")
  saved = compiled(LSTM)
  saved.save_weights(path)
  model = keras.Sequential(
    [keras.Input((3,)), keras.layers.Dense(4, name="first"), keras.layers.Dense(5, name="second")]
  )
  model.compile(LSTM(), "mse")
  model.optimizer.build(model.trainable_variables)
  (text,) = load(model, path, skip_mismatch=True)
  assert "for variables of other shapes" in text
  models.assert_equal(model.get_weights()[:2], saved.get_weights()[:2])


@pytest.mark.parametrize("make", [LSTM, models.adam], ids=["learned", "adam"])
def test_the_checkpoint_of_the_best_epoch(make, tmp_path):
  """And a whole model's file given to `load_weights`, and two loads in a row."""
  path, whole = str(tmp_path / "best.weights.h5"), str(tmp_path / "m.keras")
  model = compiled(make, fit=False)
  save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
  models.fit(model, 1, callbacks=[save])
  model.save(whole)
  for file in (path, whole, path):
    fresh = compiled(make, fit=False)
    assert len(load(fresh, file)) == 1
    models.assert_equal(fresh.get_weights(), model.get_weights())
    fresh.optimizer.build(fresh.trainable_variables)
    assert load(fresh, file) == []
    models.assert_equal(models.states(fresh.optimizer), models.states(model.optimizer))


@pytest.mark.slow
@pytest.mark.parametrize("make", [LSTM, models.adam], ids=["learned", "adam"])
def test_a_restart_from_a_backup_goes_on_to_the_same_numbers(make, tmp_path):
  class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
      if epoch == 1:
        raise KeyboardInterrupt

  straight = compiled(make, fit=False)
  models.fit(straight, 3)
  backup = lambda: keras.callbacks.BackupAndRestore(str(tmp_path / "b"))  # noqa: E731
  with pytest.raises(KeyboardInterrupt):
    models.fit(compiled(make, fit=False), 3, callbacks=[backup(), Stop()])
  again = compiled(make, fit=False)
  models.fit(again, 3, callbacks=[backup()])
  models.assert_equal(again.get_weights(), straight.get_weights())
  models.assert_equal(models.states(again.optimizer), models.states(straight.optimizer))


@pytest.mark.parametrize("make", [LSTM, models.adam], ids=["learned", "adam"])
@pytest.mark.parametrize("by_name", [False, True])
def test_legacy_files(make, by_name, tmp_path):
  """HDF5 of Keras 2: Keras 3 takes the weights from it and no optimizer's state, Adam's neither."""
  path = str(tmp_path / "m.h5")
  saved = compiled(make)
  saved.save(path)
  whole = keras.models.load_model(path, custom_objects={"mse": keras.losses.MeanSquaredError()})
  models.assert_equal(whole.get_weights(), saved.get_weights())
  other = compiled(GAC, fit=False)
  assert load(other, path, by_name=by_name) == []
  models.assert_equal(other.get_weights(), saved.get_weights())


@pytest.mark.parametrize("make", [LSTM, models.adam], ids=["learned", "adam"])
def test_tensorflows_checkpoints(make, tmp_path):
  """Restored before the optimizer is built they are taken when it is; else at once."""
  saved = compiled(make)
  path = tf.train.Checkpoint(model=saved, optimizer=saved.optimizer).save(str(tmp_path / "c"))
  for built in (False, True):
    other = compiled(make, fit=False)
    if built:
      other.optimizer.build(other.trainable_variables)
    tf.train.Checkpoint(model=other, optimizer=other.optimizer).restore(path)
    other.optimizer.build(other.trainable_variables)
    models.assert_equal(models.states(other.optimizer), models.states(saved.optimizer))


def with_weights_of(whole, other, path):
  """The file of a whole model with the numbers of another one's."""
  with zipfile.ZipFile(whole) as a, zipfile.ZipFile(other) as b, zipfile.ZipFile(path, "w") as out:
    for name in a.namelist():
      out.writestr(name, (b if name.endswith(".h5") else a).read(name))
  return path


@pytest.mark.parametrize("make, how", [(LSTM, FROZEN), (GAC, {}), (models.adam, {})])
def test_a_whole_model_is_strict(make, how, tmp_path):
  """Its optimizer comes from the same file; afterwards weights load as everywhere."""
  own, other = compiled(LSTM), compiled(make, **how)
  own.save(tmp_path / "own.keras")
  other.save(tmp_path / "other.keras")
  damaged = with_weights_of(*(tmp_path / f"{n}.keras" for n in ("own", "other", "damaged")))
  with pytest.raises(ValueError, match="The state of the optimizer 'learned_.*' does not fit"):
    keras.models.load_model(damaged)
  loaded = keras.models.load_model(tmp_path / "own.keras")
  other.save_weights(tmp_path / "o.weights.h5")
  assert len(load(loaded, str(tmp_path / "o.weights.h5"))) == 1
  models.assert_equal(loaded.get_weights(), other.get_weights())


def _freeze_first(model):
  model.layers[0].trainable = False
  model.compile(model.optimizer, "mse", run_eagerly=True)


def _freeze_all(model):
  model.trainable = False


GENERAL = {
  "plain": l2l_tf.LearnedOptimizer,
  "accumulated": lambda: l2l_tf.LearnedOptimizer(gradient_accumulation_steps=3),
}


@pytest.mark.slow
@pytest.mark.parametrize("freeze", [_freeze_first, _freeze_all])
@pytest.mark.parametrize("make", GENERAL.values(), ids=GENERAL)
def test_a_model_with_layers_frozen_since_goes_on(make, freeze, tmp_path):
  """Keras makes its optimizer for the variables that are trainable then."""
  saved = compiled(make)
  freeze(saved)
  saved.save(tmp_path / "m.keras")
  several = keras.models.load_model(tmp_path / "m.keras"), copy.deepcopy(saved)
  for loaded in several:
    models.assert_equal(loaded.get_weights(), saved.get_weights())
    assert int(loaded.optimizer.iterations) == int(saved.optimizer.iterations) > 0
  if freeze is _freeze_first:
    expected = models.fit(saved, 1)
    for loaded in several:
      loaded.compile(loaded.optimizer, "mse", run_eagerly=True)
      assert models.fit(loaded, 1) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
  "said", [[["second/kernel", [4, 2]]] * 2, [["second/kernel", ["x"]]], {"a": 1}, 3]
)
def test_a_file_whose_list_of_variables_is_damaged(said, tmp_path, monkeypatch):
  saved = compiled(l2l_tf.LearnedOptimizer)
  _freeze_first(saved)
  monkeypatch.setattr(type(saved.optimizer._saved), "_variables", lambda _: said)
  saved.save(tmp_path / "m.keras")
  monkeypatch.undo()
  with pytest.raises(ValueError, match=r"does not fit: .* `keras.models.load_model\(path, compile"):
    keras.models.load_model(tmp_path / "m.keras")
  keras.models.load_model(tmp_path / "m.keras", compile=False)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_an_optimizer_copied_alone_starts_anew(how):
  """As Keras's do: it does not know the variables."""
  optimizer = compiled(LSTM).optimizer
  with pytest.warns(UserWarning, match="starts anew: a state is for the variables of a model"):
    copied = how(optimizer)
  assert not copied.built and int(copied.iterations) == 0
  assert copied.get_config() == optimizer.get_config()


def test_a_schedule_set_later(tmp_path):
  """Keras drops the variable of the rate then."""
  path = str(tmp_path / "m.weights.h5")

  def scheduled():
    optimizer = LSTM()
    optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(1.0, 100)
    return optimizer

  for how in (NEW, {}):
    saved, loaded = compiled(scheduled, **how), compiled(scheduled, **how)
    saved.save_weights(path)
    assert load(loaded, path) == []
    models.assert_equal(loaded.get_weights(), saved.get_weights())
    assert int(loaded.optimizer.iterations) == int(saved.optimizer.iterations)


def test_an_optimizer_from_a_config_is_not_strict(tmp_path):
  path = str(tmp_path / "m.weights.h5")
  compiled(GAC).save_weights(path)
  again = lambda: l2l_tf.LearnedOptimizer.from_config(LSTM().get_config())  # noqa: E731
  assert len(load(compiled(again), path)) == 1


def test_a_whole_model_of_an_earlier_version(tmp_path, monkeypatch):
  """Which kept its variables where Keras's optimizers do."""
  saved = compiled(LSTM)
  with monkeypatch.context() as patch:
    base = keras.optimizers.Optimizer
    patch.setattr(l2l_tf.LearnedOptimizer, "save_own_variables", base.save_own_variables)
    patch.setattr(type(saved.optimizer._saved), "save_own_variables", lambda *_: None)
    saved.save(tmp_path / "m.keras")
  loaded = keras.models.load_model(tmp_path / "m.keras")
  models.assert_equal(models.states(loaded.optimizer), models.states(saved.optimizer))


@pytest.mark.parametrize("how", [{}, NEW], ids=str)
def test_within_a_loss_scale_optimizer(how, tmp_path):
  """As in mixed precision; Keras says its part of it."""
  scaled = lambda make: lambda: keras.optimizers.LossScaleOptimizer(make())  # noqa: E731
  path = str(tmp_path / "m.weights.h5")
  saved = compiled(scaled(LSTM))
  saved.save_weights(path)
  loaded, other = compiled(scaled(LSTM), **how), compiled(scaled(GAC), **how)
  texts = load(loaded, path)
  models.assert_equal(loaded.get_weights(), saved.get_weights())
  assert len(texts) == (2 if how else 0)
  if not how:
    models.assert_equal(models.states(loaded.optimizer), models.states(saved.optimizer))
  assert any("starts anew" in text for text in load(other, path))
  models.assert_equal(other.get_weights(), saved.get_weights())
  states = other.optimizer.inner_optimizer.variables[2:]
  assert not any(np.any(v.numpy()) for v in states)
