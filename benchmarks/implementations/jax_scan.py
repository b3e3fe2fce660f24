"""A meta-step in JAX: `lax.scan` over the window, one `jit` around it, its gradient and Adam."""

import jax
from jax import lax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from benchmarks.implementations import worker

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's (Kingma and Ba 2015)


class JaxScan(worker.Contestant):
  """Coordinates are rows, `[n, features]`."""

  def __init__(self, case):
    self._case = case
    self._phi = jax.tree.map(jnp.asarray, case.phi)
    self._adam = adam_start(self._phi)
    self._start = jax.tree.map(jnp.asarray, case.theta)
    self._batches = (jnp.asarray(case.images), jnp.asarray(case.labels))
    self._gradient = jax.jit(jax.value_and_grad(self.window, has_aux=True))
    self._step = jax.jit(self._update, donate_argnums=(0, 1))

  def _preprocess(self, gradients: jax.Array) -> jax.Array:
    """Appendix A, `[n] -> [n, 2]`."""
    p = self._case.p
    log = jnp.log(jnp.maximum(jnp.abs(gradients), np.exp(-p))) / p
    return jnp.stack([log, jnp.clip(gradients * np.exp(p), -1, 1)], axis=1)

  def window(self, phi, start, batches):
    """The sum of f(theta_1), ..., f(theta_T); those losses and the carry at the end."""
    flat, unflatten = jax.flatten_util.ravel_pytree(start)
    layers = [(phi[f"lstm_{i + 1}/w_gates"], phi[f"lstm_{i + 1}/b_gates"]) for i in self._layers]
    value_and_grad = jax.value_and_grad(lambda theta, batch: _loss(unflatten(theta), batch))

    def body(carry, batch):
      theta, gradient, states = carry
      x, next_states = self._preprocess(gradient), []
      for (w, b), (h, c) in zip(layers, states):
        x, c = _lstm_cell(x, h, c, w, b)
        next_states.append((x, c))
      update = x @ phi["linear/w"] + phi["linear/b"]
      theta = theta + self._case.output_scale * update[:, 0]
      loss, gradient = value_and_grad(theta, batch)
      return (theta, lax.stop_gradient(gradient), next_states), loss

    first, rest = jax.tree.map(lambda x: x[0], batches), jax.tree.map(lambda x: x[1:], batches)
    _, gradient = value_and_grad(flat, first)
    zeros = [jnp.zeros([flat.size, b.size // 4], flat.dtype) for _, b in layers]
    carry, losses = lax.scan(body, (flat, gradient, [(zero, zero) for zero in zeros]), rest)
    return jnp.sum(losses), (losses, carry)

  @property
  def _layers(self):
    return range(self._case.num_layers)

  def _update(self, phi, adam, start, batches):
    """The whole meta-step; the carry is what a next window would start from."""
    (_, (losses, carry)), gradients = self._gradient(phi, start, batches)
    phi, adam = adam_step(phi, adam, gradients, self._case.learning_rate)
    return phi, adam, jnp.mean(losses), carry

  def meta_step(self):
    arguments = (self._phi, self._adam, self._start, self._batches)
    self._phi, self._adam, loss, carry = self._step(*arguments)
    jax.block_until_ready((self._phi, carry))
    return float(loss)

  def losses_and_gradients(self):
    (_, (losses, _)), gradients = self._gradient(self._phi, self._start, self._batches)
    return np.asarray(losses), jax.tree.map(np.asarray, gradients)

  def phi(self):
    return jax.tree.map(np.asarray, self._phi)


def adam_start(phi):
  """m, v and t before the first step."""
  m, v = (jax.tree.map(jnp.zeros_like, phi) for _ in range(2))
  return m, v, jnp.zeros([])


def adam_step(phi, adam, gradients, learning_rate: float):
  """The next phi and state of Adam."""
  m, v, t = adam
  t = t + 1
  m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradients)
  v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g**2, v, gradients)
  rate = learning_rate * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
  phi = jax.tree.map(lambda x, m, v: x - rate * m / (jnp.sqrt(v) + EPSILON), phi, m, v)
  return phi, (m, v, t)


def _lstm_cell(x, h, c, w, b):
  """`l2l_tf.optimizers.lstm.lstm_cell` for rows."""
  i, f, g, o = jnp.split(jnp.concatenate([x, h], axis=1) @ w + b, 4, axis=1)
  c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
  return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _loss(theta, batch):
  """f: mean cross entropy of the MLP."""
  x, labels = batch
  names = [name.removesuffix("/w") for name in theta if name.endswith("/w")]
  for name in sorted(names)[:-1]:  # hidden_1, ..., output
    x = jax.nn.sigmoid(x @ theta[f"{name}/w"] + theta[f"{name}/b"])
  log_p = jax.nn.log_softmax(x @ theta["output/w"] + theta["output/b"])
  return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], axis=1))


if __name__ == "__main__":
  worker.serve(JaxScan, packages=("jax", "numpy"))
