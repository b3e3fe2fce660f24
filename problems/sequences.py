"""Small models of made-up sequences and ratings, for B instances at once (lifted by hand)."""

import math

import numpy as np
import tensorflow as tf

from l2l_tf.problems import base
from l2l_tf.problems import tiny


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
  starts = tiny.draw(seeds, batch_size, length - width) + chains * length
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

  def lifted(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    del tasks
    tokens = _windows(texts, seeds, batch_size, context + 1)
    x = tiny.embedded(params["embedding"], tokens[..., :context])
    x = tf.reshape(x, [x.shape[0], batch_size, context * width])
    x = tf.tanh(x @ params["hidden/w"] + params["hidden/b"][:, tf.newaxis])
    x = x @ params["output/w"] + params["output/b"][:, tf.newaxis]
    return tiny.mean_loss("cross_entropy", x, tf.one_hot(tokens[..., -1], num_tokens))

  return tiny.glorot_problem(shapes, lifted)


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

  def lifted(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    del tasks
    tokens = _windows(texts, seeds, batch_size, steps + 1)
    x = tiny.embedded(params["embedding"], tokens[..., :-1])
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
    return tiny.mean_loss("cross_entropy", x, tf.one_hot(y, num_tokens))

  return tiny.glorot_problem(shapes, lifted)


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

  def lifted(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    del tasks
    count = seeds.shape[0]
    tokens = _windows(texts, seeds, batch_size, steps + 1)
    x = tiny.embedded(params["embedding"], tokens[..., :-1]) + params["position"][:, tf.newaxis]
    x = tf.reshape(x, [count, batch_size * steps, width])

    def norm(x: tf.Tensor, name: str) -> tf.Tensor:
      y = tiny.normalized(x, "layer") * params[f"{name}/scale"][:, tf.newaxis]
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
    return tiny.mean_loss("cross_entropy", x, tf.one_hot(y, num_tokens))

  return tiny.glorot_problem(shapes, lifted)


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

  def lifted(params: base.Params, tasks: base.Task, seeds: base.Seed) -> tf.Tensor:
    del tasks
    users = tiny.draw(seeds, batch_size, num_users)
    items = tiny.draw(seeds + [1, 0], batch_size, num_items)
    found = tf.reduce_sum(
      tiny.embedded(params["users"], users) * tiny.embedded(params["items"], items), -1
    )
    for name, rows in (("users", users), ("items", items)):
      found += tiny.embedded(params[f"{name}/b"][..., tf.newaxis], rows)[..., 0]
    wanted = tf.gather(tf.reshape(ratings, [-1]), users * num_items + items)
    return tf.reduce_mean((found - wanted) ** 2, 1)

  return tiny.glorot_problem(shapes, lifted, embedding_scale=0.05)
