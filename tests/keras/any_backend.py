"""What a Keras optimizer must do, on the backend that Keras runs on.

`python -m tests.keras.any_backend OUT.npz` runs each case of `CASES` on KERAS_BACKEND and keeps the
weights that it ends with; tests/keras/backends_test.py compares them over the backends. With
`--save=FOLDER` a training is saved in the middle, with `--continue=FILE` another one's goes on.
"""

import functools
import pathlib
import sys
import warnings

import keras
import numpy as np
import pytest

import l2l_tf

BACKEND = keras.config.backend()
_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(32, 3)).astype(np.float32)
Y = (X @ _RNG.normal(size=(3, 2))).astype(np.float32)
WORDS = _RNG.integers(0, 5, (32, 4))

CASES = {}


def case(function):
  """Marks a case: it returns weights, and asserts what holds on its own backend."""
  CASES[function.__name__] = function
  return function


def model(*first) -> keras.Model:
  """Two layers, the same numbers on every backend."""
  layers = [*first] or [keras.layers.Dense(4, "tanh", name="first")]
  made = keras.Sequential([*layers, keras.layers.Dense(2, name="second")])
  made.build((None, *(WORDS if first else X).shape[1:]))
  rng = np.random.default_rng(1)
  made.set_weights([rng.normal(size=v.shape, scale=0.5) for v in made.weights])
  return made


def fit(optimizer, trained=None, x=X, epochs=2, **options) -> list[np.ndarray]:
  """Four steps an epoch; returns the weights."""
  trained = trained or model()
  trained.compile(optimizer, "mse", **options)
  trained.fit(x, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
  return trained.get_weights()


def gradients(step: int, variables) -> list:
  """Gradients of so many variables, others at each step."""
  rng = np.random.default_rng([2, step])
  return [
    keras.ops.cast(keras.ops.convert_to_tensor(rng.normal(size=v.shape).astype("float32")), v.dtype)
    for v in variables
  ]


def variables(dtype: str = "float32") -> list[keras.Variable]:
  rng = np.random.default_rng(1)
  shapes = [(4, 2), (2,), (), (0, 3)]
  return [keras.Variable(rng.normal(size=shape), dtype=dtype) for shape in shapes]


def loop(optimizer, theta, steps=range(4), change=lambda gradients: gradients) -> list[np.ndarray]:
  for step in steps:
    optimizer.apply(change(gradients(step, theta)), theta)
  return values(theta)


def values(tensors) -> list[np.ndarray]:
  return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in tensors]


def same(first, second, atol=2e-6):
  for a, b in zip(first, second, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@functools.cache
def plain() -> list[np.ndarray]:
  """The weights after `fit` without an argument."""
  return fit(l2l_tf.LearnedOptimizer())


@case
def fit_learns():
  trained = model()
  trained.compile(l2l_tf.LearnedOptimizer(), "mse")
  losses = trained.fit(X, Y, epochs=30, batch_size=8, shuffle=False, verbose=0).history["loss"]
  assert losses[-1] < 0.2 * losses[0]
  return trained.get_weights()


@case
def fit_is_the_same_however_it_is_compiled():
  eagerly = fit(l2l_tf.LearnedOptimizer(), epochs=1, run_eagerly=True)
  same(fit(l2l_tf.LearnedOptimizer(), epochs=1, jit_compile=False), eagerly)
  if BACKEND != "torch":  # whose jit needs a C++ compiler
    same(fit(l2l_tf.LearnedOptimizer(), epochs=1, jit_compile=True), eagerly)
  return eagerly


@case
def train_on_batch_is_fit():
  trained = model()
  trained.compile(l2l_tf.LearnedOptimizer(), "mse")
  for _ in range(2):
    for k in range(0, 32, 8):
      trained.train_on_batch(X[k : k + 8], Y[k : k + 8])
  same(trained.get_weights(), plain())
  return trained.get_weights()


@case
def loops_of_ones_own():
  theta, other = variables(), variables()
  moved = loop(l2l_tf.LearnedOptimizer(), theta)
  optimizer = l2l_tf.LearnedOptimizer()
  optimizer.build(other)
  for step in range(4):
    optimizer.apply_gradients(list(zip(gradients(step, other), other))[::-1])
  same(values(other), moved)
  assert int(optimizer.iterations) == 4
  return moved


@case
def stateless_apply_is_apply():
  theta = variables()
  if BACKEND == "jax":
    import jax

    optimizer = l2l_tf.LearnedOptimizer()
    optimizer.build(theta)
    apply = jax.jit(optimizer.stateless_apply)
    state, moved = [v.value for v in optimizer.variables], [v.value for v in theta]
    for step in range(4):
      moved, state = apply(state, gradients(step, theta), moved)
    return values(moved)
  return loop(l2l_tf.LearnedOptimizer(), theta)


OPTIONS = {
  "clipnorm": {"clipnorm": 0.1},
  "clipvalue": {"clipvalue": 0.05},
  "global_clipnorm": {"global_clipnorm": 0.1},
  "weight_decay": {"weight_decay": 0.01},
  "accumulation": {"gradient_accumulation_steps": 2},
  "ema": {"use_ema": True, "ema_momentum": 0.9},
  "ema_overwriting": {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3},
  "loss_scale": {"loss_scale_factor": 8.0},
  "update_scale": {"update_scale": 0.5},
  "bfloat16_states": {"state_dtype": "bfloat16"},
  "everything": {
    **{"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 3},
    **{"weight_decay": 0.01, "global_clipnorm": 0.1, "update_scale": 0.5},
  },
}


def _with(options):
  def run():
    weights = fit(l2l_tf.LearnedOptimizer(**options))
    if "loss_scale_factor" not in options:
      assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(weights, plain()))
    return weights

  return run


CASES |= {name: _with(options) for name, options in OPTIONS.items()}


@case
def schedules():
  schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 4, 0.5)
  trained = model()
  plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=0, min_delta=9)
  trained.compile(l2l_tf.LearnedOptimizer(), "mse")
  trained.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=[plateau])
  assert float(trained.optimizer.update_scale) == 0.25 == float(trained.optimizer.learning_rate)
  return [*fit(l2l_tf.LearnedOptimizer(update_scale=schedule)), *trained.get_weights()]


def frozen_layers_rest_and_may_be_unfrozen():
  trained, optimizer = model(), l2l_tf.LearnedOptimizer()
  fit(optimizer, trained, epochs=1)
  before = trained.get_weights()
  trained.layers[0].trainable = False
  after = fit(optimizer, trained, epochs=1)
  same(after[:2], before[:2], atol=0)
  assert np.abs(after[2] - before[2]).max() > 1e-4
  trained.layers[0].trainable = True
  return fit(optimizer, trained, epochs=1)


if BACKEND != "jax":  # where `fit` can do that with no optimizer
  case(frozen_layers_rest_and_may_be_unfrozen)


@case
def variables_without_a_gradient_rest():
  theta, others = variables(), variables()
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    moved = loop(l2l_tf.LearnedOptimizer(), theta, change=lambda g: [g[0], None, g[2], None])
  same([values(theta)[1]], [values(others)[1]], atol=0)
  reference = l2l_tf.LearnedOptimizer()
  for step in range(4):
    reference.apply(gradients(step, others)[::2], others[::2])
  same(moved, values(others))
  return moved


@case
def gradients_that_are_no_numbers_move_nothing():
  theta = variables()
  moved = loop(l2l_tf.LearnedOptimizer(), theta, change=lambda g: [g[0], g[1] * np.nan, *g[2:]])
  assert all(np.isfinite(x).all() for x in moved)
  same([moved[1]], [values(variables())[1]], atol=0)
  return moved


@case
def embeddings():
  first = [keras.layers.Embedding(7, 3), keras.layers.Flatten()]
  trained = model(*first)
  before = trained.get_weights()[0]
  weights = fit(l2l_tf.LearnedOptimizer(), trained, WORDS)
  same([weights[0][5:]], [before[5:]], atol=0)  # words that no example has
  return weights


@case
def variables_of_other_float_types():
  return [x for t in ("bfloat16", "float16") for x in loop(l2l_tf.LearnedOptimizer(), variables(t))]


def mixed_precision():
  keras.config.set_dtype_policy("mixed_bfloat16")
  try:
    trained = model()
    trained.compile(keras.optimizers.LossScaleOptimizer(l2l_tf.LearnedOptimizer()), "mse")
    losses = trained.fit(X, Y, epochs=20, batch_size=8, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
  finally:
    keras.config.set_dtype_policy("float32")
  return []


case(mixed_precision)


@case
def a_config_makes_it_again():
  optimizer = l2l_tf.LearnedOptimizer(update_scale=0.5, weight_decay=0.01, name="mine")
  again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
  assert again.name == "mine" and again.get_config() == optimizer.get_config()
  weights = fit(again)
  same(weights, fit(optimizer))
  return weights


@case
def reset_starts_anew():
  optimizer, theta = l2l_tf.LearnedOptimizer(use_ema=True), variables()[:3]
  start, first = values(theta), loop(optimizer, theta)
  for variable, value in zip(theta, start):
    variable.assign(value)
  optimizer.reset()
  same(loop(optimizer, theta), first, atol=0)
  return first


@case
def weights_files():
  path = sys.argv[1] + ".weights.h5"
  trained = model()
  fit(l2l_tf.LearnedOptimizer(), trained)
  trained.save_weights(path)
  fresh = model()
  fresh.compile(l2l_tf.LearnedOptimizer(), "mse")
  fresh.optimizer.build(fresh.trainable_variables)
  fresh.load_weights(path)
  again = fit(fresh.optimizer, fresh)
  same(again, fit(trained.optimizer, trained))
  other = model()
  other.compile("adam", "mse")
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Keras's: the state is another optimizer's
    other.load_weights(path)
  return again


BAD = [
  (ValueError, "no learning rate", {"learning_rate": 0.1}),
  (ValueError, "state_dtype must be", {"state_dtype": "int8"}),
  (ValueError, "no pretrained optimizer", {"optimizer": "nobody"}),
  (TypeError, "takes a directory", {"optimizer": 3}),
]
if BACKEND != "tensorflow":
  BAD.append((RuntimeError, "lstm need Keras on TensorFlow", {"optimizer": "mnist_lstm"}))
  BAD.append((RuntimeError, "odd parts need Keras on TensorFlow", {"odd": True}))


@case
def bad_arguments():
  for kind, text, arguments in BAD:
    with pytest.raises(kind, match=text):
      l2l_tf.LearnedOptimizer(**arguments)
  optimizer = l2l_tf.LearnedOptimizer()
  with pytest.raises(ValueError, match="float types only"):
    optimizer.build([keras.Variable([1], dtype="int32", trainable=False)])
  with pytest.raises(ValueError, match=r"of its shape \[2\]"):
    loop(optimizer, variables(), [0], lambda g: [g[0], g[0], *g[2:]])
  return []


def save(folder: str):
  """Saves a training after 8 steps, and the weights after 48 more."""
  trained = model()
  fit(l2l_tf.LearnedOptimizer(weight_decay=0.01), trained)
  trained.save(f"{folder}/{BACKEND}.keras")
  trained.fit(X, Y, batch_size=8, epochs=12, shuffle=False, verbose=0)
  np.savez(f"{folder}/{BACKEND}.npz", *trained.get_weights())


def go_on(path: str) -> list[np.ndarray]:
  """The weights of a saved training after 48 more steps."""
  trained = keras.models.load_model(path)
  trained.fit(X, Y, batch_size=8, epochs=12, shuffle=False, verbose=0)
  return trained.get_weights()


def main(out: str, *arguments: str):
  """Runs the cases, or what the arguments say, and writes the weights they end with."""
  found = {}
  for argument in arguments:
    name, _, value = argument.partition("=")
    if name == "--save":
      save(value)
    else:
      found[pathlib.Path(value).stem] = go_on(value)
  if not any(argument.startswith("--continue") for argument in arguments):
    found = {name: run() for name, run in CASES.items()}
  np.savez(out, **{f"{name}:{k}": w for name, ws in found.items() for k, w in enumerate(ws)})


if __name__ == "__main__":
  main(*sys.argv[1:])
