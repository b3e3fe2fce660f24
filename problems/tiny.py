"""Many small problems for a general optimizer, written for B instances at once (lifted by hand).

Real images and random teachers for dense networks, made-up sequences for the others.
"""

import math
from typing import Callable, NamedTuple, Optional, Sequence

import numpy as np
import tensorflow as tf

from l2l_tf.problems import base

ACTIVATIONS = {
  "relu": tf.nn.relu,
  "gelu": tf.nn.gelu,
  "tanh": tf.tanh,
  "sigmoid": tf.sigmoid,
  "elu": tf.nn.elu,
}
NORMALIZATIONS = ("none", "batch", "layer")
LOSSES = ("cross_entropy", "squared_error", "sigmoid_cross_entropy")
_EPSILON = 1e-5


class Examples(NamedTuple):
  """Data in memory: `inputs` float `[N, d]`, `targets` float `[N, k]` (one-hot for classes)."""

  inputs: np.ndarray
  targets: np.ndarray


def draw(seeds: tf.Tensor, count: int, bound: int) -> tf.Tensor:
  """Integers below `bound`, int32 `[B, count]`: row b is a function of seed b, int32 `[2]`, alone.

  A hash of the seed and the place (the finalizer of MurmurHash3), as `tf.random.stateless_uniform`
  takes one seed a call, and a loop over B costs more than a step of a tiny network.
  """
  words = tf.bitcast(seeds, tf.uint32)
  place = tf.cast(tf.range(count), tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
  x = _mixed(words[:, :1] * tf.constant(0x85EBCA6B, tf.uint32) + place)
  x = _mixed(x + words[:, 1:] * tf.constant(0xC2B2AE35, tf.uint32))
  return tf.cast(x % tf.constant(bound, tf.uint32), tf.int32)


def _mixed(x: tf.Tensor) -> tf.Tensor:
  for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32)))
    x = x * tf.constant(factor, tf.uint32)
  return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(16, tf.uint32)))


def dense_network(
  examples: Examples,
  hidden: Sequence[int],
  activation: str = "relu",
  normalization: str = "none",
  loss: str = "cross_entropy",
  batch_size: int = 32,
  label_noise: float = 0.0,
) -> base.Problem:
  """A multilayer perceptron on random minibatches.

  Args:
    examples: inputs and targets.
    hidden: units of the hidden layers.
    activation: one of `ACTIVATIONS`.
    normalization: before the activation: by the minibatch, by the example, or none.
    loss: one of `LOSSES`; the squared error is half of the sum over the k outputs' mean.
    batch_size: examples a minibatch, drawn with replacement.
    label_noise: share of the examples, in each minibatch, that get the target of another.

  Raises:
    ValueError: for an unknown name or a number out of bounds.
  """
  _check(activation, ACTIVATIONS, "activation")
  _check(normalization, NORMALIZATIONS, "normalization")
  _check(loss, LOSSES, "loss")
  if batch_size < 1 or not 0 <= label_noise <= 1:
    raise ValueError(
      f"batch_size must be positive and label_noise in 0..1, got {batch_size}, {label_noise}."
    )
  inputs, targets = (tf.constant(x, tf.float32) for x in examples)
  sizes = [inputs.shape[1], *hidden, targets.shape[1]]
  names = [f"hidden_{k + 1}" for k in range(len(hidden))] + ["output"]
  shapes = {}
  for k, name in enumerate(names):
    shapes[f"{name}/w"] = (sizes[k], sizes[k + 1])
    shapes[f"{name}/b"] = (sizes[k + 1],)
    if normalization != "none" and name != "output":
      shapes[f"{name}/scale"] = (sizes[k + 1],)
  num_noisy = round(label_noise * batch_size)

  def lifted(params, tasks, seeds):
    del tasks
    indices = draw(seeds, batch_size, inputs.shape[0])
    wrong = tf.concat([indices[:, num_noisy:], indices[:, :num_noisy]], 1)
    chosen = tf.concat([wrong[:, :num_noisy], indices[:, num_noisy:]], 1) if num_noisy else indices
    x, y = tf.gather(inputs, indices), tf.gather(targets, chosen)
    for name in names:
      x = x @ params[f"{name}/w"]
      if f"{name}/scale" in params:
        x = normalized(x, normalization) * params[f"{name}/scale"][:, tf.newaxis]
      x += params[f"{name}/b"][:, tf.newaxis]
      x = ACTIVATIONS[activation](x) if name != "output" else x
    return mean_loss(loss, x, y)

  return _problem(shapes, lifted)


def teacher(
  num_inputs: int,
  hidden: Sequence[int],
  activation: str = "relu",
  scale: float = 1.0,
  noise: float = 0.1,
  seed: int = 0,
) -> Examples:
  """A regression: Gaussian inputs of unequal scales, outputs of a random network and noise.

  Args:
    num_inputs: d.
    hidden: units of the teacher's layers.
    activation: of the teacher.
    scale: of the outputs.
    noise: deviation of what is added, in units of the outputs' own.
    seed: of everything.
  """
  rng = np.random.default_rng([seed, num_inputs, *hidden])
  x = rng.normal(size=[4096, num_inputs])
  y = x
  for units in hidden:
    y = y @ rng.normal(size=[y.shape[1], units]) * math.sqrt(2 / y.shape[1])
    y = ACTIVATIONS[activation](tf.constant(y)).numpy()
  y = y @ rng.normal(size=[y.shape[1], 2])
  y = (y - y.mean(0)) / y.std(0) + noise * rng.normal(size=y.shape)
  spread = 10 ** rng.uniform(-0.7, 0.7, num_inputs)
  return Examples((x * spread).astype(np.float32), (scale * y).astype(np.float32))


def markov_chains(num_tokens: int, length: int, num_chains: int = 16, seed: int = 0) -> np.ndarray:
  """Made-up texts, int32 `[num_chains, length]`: the next token depends on the last two."""
  rng = np.random.default_rng([seed, num_tokens])
  texts = np.zeros([num_chains, length], np.int32)
  for text in texts:
    table = rng.dirichlet(np.full(num_tokens, 0.15), [num_tokens, num_tokens]).cumsum(-1)
    draws = rng.uniform(size=length)
    for t in range(2, length):
      row = table[text[t - 2], text[t - 1]]
      text[t] = min(int(np.searchsorted(row, draws[t])), num_tokens - 1)
  return texts


def _windows(texts: tf.Tensor, seeds: tf.Tensor, batch_size: int, width: int) -> tf.Tensor:
  """Random pieces of the text of each instance, `[B, batch, width]`."""
  num_chains, length = texts.shape
  chains = tf.cast(tf.bitcast(seeds[:, :1], tf.uint32) % num_chains, tf.int32)
  starts = draw(seeds, batch_size, length - width) + chains * length
  return tf.gather(tf.reshape(texts, [-1]), starts[..., tf.newaxis] + tf.range(width))


def window_model(
  num_tokens: int = 16, context: int = 4, width: int = 8, units: int = 24, batch_size: int = 64
) -> base.Problem:
  """The next token from the embeddings of those before it (Bengio et al. 2003)."""
  texts = tf.constant(markov_chains(num_tokens, 4000))
  shapes = {
    "embedding": (num_tokens, width),
    "hidden/w": (context * width, units),
    "hidden/b": (units,),
    "output/w": (units, num_tokens),
    "output/b": (num_tokens,),
  }

  def lifted(params, tasks, seeds):
    del tasks
    tokens = _windows(texts, seeds, batch_size, context + 1)
    x = _embedded(params["embedding"], tokens[..., :context])
    x = tf.reshape(x, [x.shape[0], batch_size, context * width])
    x = tf.tanh(x @ params["hidden/w"] + params["hidden/b"][:, tf.newaxis])
    x = x @ params["output/w"] + params["output/b"][:, tf.newaxis]
    return mean_loss("cross_entropy", x, tf.one_hot(tokens[..., -1], num_tokens))

  return _problem(shapes, lifted)


def recurrent_model(
  num_tokens: int = 12, width: int = 8, units: int = 16, steps: int = 8, batch_size: int = 16
) -> base.Problem:
  """The next token by a gated recurrent unit, at each place of a short piece of text."""
  texts = tf.constant(markov_chains(num_tokens, 4000, seed=1))
  shapes = {
    "embedding": (num_tokens, width),
    "gru/w": (width, 3 * units),
    "gru/u": (units, 3 * units),
    "gru/b": (3 * units,),
    "output/w": (units, num_tokens),
    "output/b": (num_tokens,),
  }

  def lifted(params, tasks, seeds):
    del tasks
    tokens = _windows(texts, seeds, batch_size, steps + 1)
    x = _embedded(params["embedding"], tokens[..., :-1])
    x = tf.reshape(x, [x.shape[0], batch_size * steps, width]) @ params["gru/w"]
    x = x + params["gru/b"][:, tf.newaxis]
    x = tf.reshape(x, [x.shape[0], batch_size, steps, 3 * units])
    h, outputs = tf.zeros([x.shape[0], batch_size, units]), []
    for t in range(steps):
      own = h @ params["gru/u"]
      z, r, c = tf.split(x[:, :, t], 3, -1)
      own_z, own_r, own_c = tf.split(own, 3, -1)
      z, r = tf.sigmoid(z + own_z), tf.sigmoid(r + own_r)
      h = z * h + (1 - z) * tf.tanh(c + r * own_c)
      outputs.append(h)
    x = tf.stack(outputs, 2)
    x = tf.reshape(x, [x.shape[0], batch_size * steps, units])
    x = x @ params["output/w"] + params["output/b"][:, tf.newaxis]
    y = tf.reshape(tokens[..., 1:], [x.shape[0], batch_size * steps])
    return mean_loss("cross_entropy", x, tf.one_hot(y, num_tokens))

  return _problem(shapes, lifted)


def attention_model(
  num_tokens: int = 12, width: int = 16, heads: int = 2, steps: int = 8, batch_size: int = 16
) -> base.Problem:
  """The next token by one block of causal attention with layer normalization."""
  texts = tf.constant(markov_chains(num_tokens, 4000, seed=2))
  shapes = {
    "embedding": (num_tokens, width),
    "position": (steps, width),
    "norm_1/scale": (width,),
    "norm_1/offset": (width,),
    "query/w": (width, width),
    "key/w": (width, width),
    "value/w": (width, width),
    "mix/w": (width, width),
    "norm_2/scale": (width,),
    "norm_2/offset": (width,),
    "hidden/w": (width, 2 * width),
    "hidden/b": (2 * width,),
    "back/w": (2 * width, width),
    "back/b": (width,),
    "output/w": (width, num_tokens),
    "output/b": (num_tokens,),
  }
  mask = tf.constant(np.triu(np.full([steps, steps], -1e9, np.float32), 1))

  def lifted(params, tasks, seeds):
    del tasks
    count = seeds.shape[0]
    tokens = _windows(texts, seeds, batch_size, steps + 1)
    x = _embedded(params["embedding"], tokens[..., :-1]) + params["position"][:, tf.newaxis]
    x = tf.reshape(x, [count, batch_size * steps, width])

    def norm(x, name):
      y = normalized(x, "layer") * params[f"{name}/scale"][:, tf.newaxis]
      return y + params[f"{name}/offset"][:, tf.newaxis]

    y = norm(x, "norm_1")
    shape = [count, batch_size, steps, heads, width // heads]
    merged = [count, batch_size * heads, steps, width // heads]
    q, k, v = (
      tf.reshape(tf.transpose(tf.reshape(y @ params[f"{name}/w"], shape), [0, 1, 3, 2, 4]), merged)
      for name in ("query", "key", "value")
    )
    weights = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / math.sqrt(width // heads) + mask)
    y = tf.reshape(weights @ v, [count, batch_size, heads, steps, width // heads])
    y = tf.reshape(tf.transpose(y, [0, 1, 3, 2, 4]), x.shape)
    x += y @ params["mix/w"]
    y = norm(x, "norm_2")
    y = tf.nn.gelu(y @ params["hidden/w"] + params["hidden/b"][:, tf.newaxis])
    x += y @ params["back/w"] + params["back/b"][:, tf.newaxis]
    x = x @ params["output/w"] + params["output/b"][:, tf.newaxis]
    y = tf.reshape(tokens[..., 1:], [count, batch_size * steps])
    return mean_loss("cross_entropy", x, tf.one_hot(y, num_tokens))

  return _problem(shapes, lifted)


def factorization(
  num_users: int = 60, num_items: int = 40, rank: int = 6, batch_size: int = 64
) -> base.Problem:
  """Made-up ratings by products of embeddings; most rows of a minibatch have no gradient."""
  rng = np.random.default_rng(3)
  ratings = rng.normal(size=[num_users, 3]) @ rng.normal(size=[3, num_items]) / math.sqrt(3)
  ratings = tf.constant(ratings + 0.2 * rng.normal(size=ratings.shape) + 1, tf.float32)
  shapes = {
    "users": (num_users, rank),
    "items": (num_items, rank),
    "users/b": (num_users,),
    "items/b": (num_items,),
  }

  def lifted(params, tasks, seeds):
    del tasks
    users = draw(seeds, batch_size, num_users)
    items = draw(seeds + [1, 0], batch_size, num_items)
    found = tf.reduce_sum(_embedded(params["users"], users) * _embedded(params["items"], items), -1)
    for name, rows in (("users", users), ("items", items)):
      found += _embedded(params[f"{name}/b"][..., tf.newaxis], rows)[..., 0]
    wanted = tf.gather(tf.reshape(ratings, [-1]), users * num_items + items)
    return tf.reduce_mean((found - wanted) ** 2, 1)

  return _problem(shapes, lifted, embedding_scale=0.05)


def starting_badly(problem: base.Problem, spread: float = 1.0) -> base.Problem:
  """The same problem with each matrix of theta_0 times a factor of its own, 10^(+-spread)."""

  def init(seed):
    params, task = problem.init(seed)
    exponents = tf.random.stateless_uniform([len(params)], seed + [7, 0], -spread, spread)
    names = enumerate(params.items())
    return {
      name: x * 10.0 ** exponents[k] if x.shape.rank > 1 else x for k, (name, x) in names
    }, task

  return problem._replace(init=init)


def rescaled(problem: base.Problem, spread: float = 1.0, each: str = "tensor") -> base.Problem:
  """The same problem in other parameters: theta = c * theta', c = 10^(+-spread).

  Args:
    problem: any.
    spread: of the exponent, uniform.
    each: what gets a factor of its own: "tensor", "coordinate", or "all" for one in common.

  Raises:
    ValueError: for another `each`.
  """
  _check(each, ("tensor", "coordinate", "all"), "each")

  def init(seed):
    params, task = problem.init(seed)
    factors = {}
    for k, (name, x) in enumerate(params.items()):
      shape = x.shape if each == "coordinate" else [1] * x.shape.rank
      own = seed + [11 + (0 if each == "all" else k), 0]
      factors[name] = 10.0 ** tf.random.stateless_uniform(shape, own, -spread, spread)
    return {name: x / factors[name] for name, x in params.items()}, (task, factors)

  def back(params, factors):
    return {name: x * factors[name] for name, x in params.items()}

  def loss(params, task, seed):
    return problem.loss(back(params, task[1]), task[0], seed)

  def lifted(params, tasks, seeds):
    return base.losses(problem, back(params, tasks[1]), tasks[0], seeds)

  return problem._replace(init=init, loss=loss, lifted_loss=lifted)


def normalized(x: tf.Tensor, how: str) -> tf.Tensor:
  """Mean 0 and deviation 1 over the minibatch or over each example; `[B, batch, units]`."""
  axis = 1 if how == "batch" else 2
  mean = tf.reduce_mean(x, axis, keepdims=True)
  x = x - mean
  return x * tf.math.rsqrt(tf.reduce_mean(x**2, axis, keepdims=True) + _EPSILON)


def mean_loss(kind: str, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
  """The loss of each instance, `[B]`, from `[B, batch, k]`."""
  if kind == "cross_entropy":
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, outputs), 1)
  if kind == "squared_error":
    return tf.reduce_mean((outputs - targets) ** 2, [1, 2])
  losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs)
  return tf.reduce_mean(losses, [1, 2])


def _embedded(table: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
  """Rows `[B, ...]` of tables `[B, V, d]`: `[B, ..., d]`."""
  flat = tf.reshape(rows, [rows.shape[0], -1])
  found = tf.one_hot(flat, table.shape[1]) @ table
  return tf.reshape(found, [*rows.shape, table.shape[2]])


def _problem(
  shapes: dict[str, tuple[int, ...]],
  lifted: Callable[..., tf.Tensor],
  embedding_scale: Optional[float] = None,
) -> base.Problem:
  """Glorot's uniform weights, biases 0, scales 1; embeddings as Keras's, within +-0.05."""

  def init(seed):
    seeds, params = tf.random.split(seed, len(shapes)), {}
    for k, (name, shape) in enumerate(shapes.items()):
      if len(shape) < 2:
        params[name] = tf.ones(shape) if name.endswith("scale") else tf.zeros(shape)
        continue
      embedding = not name.endswith(("/w", "/u"))
      limit = (embedding_scale or 0.05) if embedding else math.sqrt(6 / sum(shape))
      params[name] = tf.random.stateless_uniform(shape, seeds[k], -limit, limit)
    return params, {}

  def loss(params, task, seed):
    one = tf.nest.map_structure(lambda x: x[tf.newaxis], params)
    return lifted(one, task, seed[tf.newaxis])[0]

  return base.Problem(init, loss, lifted)


def _check(value, known, name: str):
  if value not in known:
    raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
