"""The original's way, in TensorFlow 2: an LSTM call for each parameter, the plain loss.

The gradients that enter the LSTM are stopped, and the tape records the optimizee's network at each
step of the window, as in google-deepmind/learning-to-learn (`meta.py`). The LSTM is Sonnet's.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import sonnet as snt
import tensorflow as tf

from benchmarks.implementations import case as case_lib
from benchmarks.implementations import worker
from l2l_tf.optimizers.preprocessing import log_and_sign


class PerParameter(worker.Contestant):
  """Coordinates are rows, `[n, features]`."""

  def __init__(self, case):
    self._case = case
    self._shapes = {name: value.shape for name, value in case.theta.items()}
    sizes = [case.phi[f"lstm_{i + 1}/b_gates"].size // 4 for i in range(case.num_layers)]
    self._lstms = [snt.LSTM(size) for size in sizes]
    self._linear = snt.Linear(1)
    self._network = snt.DeepRNN([*self._lstms, self._linear])
    self._network(tf.zeros([1, 2]), self._network.initial_state(1))  # makes the variables
    for i, lstm in enumerate(self._lstms):
      gates, bias = (case.phi[f"lstm_{i + 1}/{part}_gates"] for part in "wb")
      w_inputs, w_hidden = np.split(gates, [len(gates) - sizes[i]])
      lstm.input_to_hidden.assign(w_inputs)
      lstm.hidden_to_hidden.assign(w_hidden)
      lstm.b.assign(bias + case_lib.forget_bias(sizes[i]))
    self._linear.w.assign(case.phi["linear/w"])
    self._linear.b.assign(case.phi["linear/b"])
    self._adam = snt.optimizers.Adam(case.learning_rate)
    self._step = tf.function(self._build_step, autograph=False)
    self._gradients = tf.function(self._losses_and_gradients, autograph=False)

  def _loss(self, theta, step):
    """f on the minibatch of `step`."""
    x = tf.gather(self._case.images, step)
    layers = [name.removesuffix("/w") for name in theta if name.endswith("/w")]
    for name in layers[:-1]:
      x = tf.sigmoid(x @ theta[f"{name}/w"] + theta[f"{name}/b"])
    logits = x @ theta["output/w"] + theta["output/b"]
    labels = tf.gather(self._case.labels, step)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

  def _loss_and_gradients(self, theta, step):
    with tf.GradientTape() as tape:
      tape.watch(theta)
      loss = self._loss(theta, step)
    return loss, tf.nest.map_structure(tf.stop_gradient, tape.gradient(loss, theta))

  def _losses(self):
    """The window: f(theta_1), ..., f(theta_T), `[T]`."""

    def body(step, theta, gradients, states, losses):
      moved, next_states = {}, {}
      for name, gradient in gradients.items():
        features = tf.transpose(log_and_sign(tf.reshape(gradient, [-1]), self._case.p))
        update, next_states[name] = self._network(features, states[name])
        update = self._case.output_scale * tf.reshape(update, gradient.shape)
        moved[name] = theta[name] + update
      loss, gradients = self._loss_and_gradients(moved, step)
      return step + 1, moved, gradients, next_states, losses.write(step - 1, loss)

    theta = {name: tf.constant(value) for name, value in self._case.theta.items()}
    _, gradients = self._loss_and_gradients(theta, tf.constant(0))
    states = {n: self._network.initial_state(int(np.prod(s))) for n, s in self._shapes.items()}
    steps = self._case.num_steps
    losses = tf.TensorArray(tf.float32, size=steps, element_shape=[])
    loop = (tf.constant(1), theta, gradients, states, losses)
    *_, losses = tf.while_loop(
      lambda t, *_: t <= steps, body, loop, parallel_iterations=1, maximum_iterations=steps
    )
    return losses.stack()

  def _losses_and_gradients(self):
    with tf.GradientTape() as tape:
      losses = self._losses()
      total = tf.reduce_sum(losses)
    return losses, tape.gradient(total, self._network.trainable_variables)

  def _build_step(self):
    losses, gradients = self._losses_and_gradients()
    self._adam.apply(gradients, self._network.trainable_variables)
    return tf.reduce_mean(losses)

  def meta_step(self):
    return float(self._step())

  def losses_and_gradients(self):
    losses, gradients = self._gradients()
    return losses.numpy(), self._named(gradients)

  def phi(self):
    values = self._named(self._network.trainable_variables)
    for i, lstm in enumerate(self._lstms):
      values[f"lstm_{i + 1}/b_gates"] -= case_lib.forget_bias(lstm.b.shape[0] // 4)
    return values

  def _named(self, values) -> dict[str, np.ndarray]:
    """`values`, one a trainable variable, in the case's names and layout."""
    values = {v.ref(): x.numpy() for v, x in zip(self._network.trainable_variables, values)}
    named = {}
    for i, lstm in enumerate(self._lstms):
      gates = [values[v.ref()] for v in (lstm.input_to_hidden, lstm.hidden_to_hidden)]
      named[f"lstm_{i + 1}/w_gates"] = np.concatenate(gates)
      named[f"lstm_{i + 1}/b_gates"] = values[lstm.b.ref()]
    return named | {
      "linear/w": values[self._linear.w.ref()],
      "linear/b": values[self._linear.b.ref()],
    }


if __name__ == "__main__":
  worker.serve(PerParameter, packages=("tensorflow", "sonnet"))
