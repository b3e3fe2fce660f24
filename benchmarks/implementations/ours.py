"""Our own meta-step, through `MetaTrainer`, and the case that everybody is given."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from benchmarks.implementations import case as case_lib
from benchmarks.implementations import worker
from l2l_tf import optimizers
from l2l_tf import unroll
from l2l_tf.config.training import Training
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import preprocessing
from l2l_tf.problems import base
from l2l_tf.problems.classification import cross_entropy
from l2l_tf.training.meta_trainer import MetaTrainer


def make_case(
  images: np.ndarray, labels: np.ndarray, num_steps: int = 20, batch_size: int = 128
) -> case_lib.Case:
  """The base problem of section 3.2 and the LSTM of 2 x 20 units with a fresh phi.

  Args:
    images: uint8 `[N, ...]`.
    labels: of 10 classes, `[N]`.
    num_steps: T.
    batch_size: examples of a minibatch, drawn with replacement.
  """
  random = np.random.default_rng(0)
  drawn = random.integers(len(images), size=[num_steps + 1, batch_size])
  images = images.reshape(len(images), -1)
  shapes = {"hidden_1/w": (images.shape[1], 20), "hidden_1/b": (20,)}
  shapes |= {"output/w": (20, 10), "output/b": (10,)}
  theta = {n: 0.01 * random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
  optimizer = optimizers.CoordinatewiseLSTM()
  return case_lib.Case(
    phi={name: v.numpy() for name, v in optimizer.named_phi().items()},
    theta=theta,
    images=images[drawn].astype(np.float32) / 255,
    labels=labels[drawn].astype(np.int32),
    p=optimizer.preprocessing.p,
    output_scale=optimizer.output_scale,
    learning_rate=1e-3,
  )


def problem(theta: dict[str, tf.Tensor], images: tf.Tensor, labels: tf.Tensor) -> base.Problem:
  """The MLP of a case as a problem: whatever the seed, step t sees minibatch t.

  Args:
    theta: theta_0 of B instances, `[B, ...]`; a seed takes number seed[0] modulo B.
    images: `[T + 1, batch, pixels]`.
    labels: `[T + 1, batch]`.
  """
  layers = [name.removesuffix("/w") for name in theta if name.endswith("/w")]
  count = next(iter(theta.values())).shape[0]

  def init(seed):
    return {name: value[seed[0] % count] for name, value in theta.items()}, {"seed": seed}

  def loss_at(params, x, y):
    for name in layers[:-1]:
      x = tf.sigmoid(x @ params[f"{name}/w"] + params[f"{name}/b"])
    return cross_entropy(x @ params["output/w"] + params["output/b"], y)

  def losses_at(params, x, y):
    """Of all instances, `[B]`, on x `[batch, pixels]`.

    Exported, the gradient of `base.lift` would hold x and y as constants.
    """
    for name in layers[:-1]:
      x = tf.sigmoid(x @ params[f"{name}/w"] + params[f"{name}/b"][:, tf.newaxis])
    logits = x @ params["output/w"] + params["output/b"][:, tf.newaxis]
    labels = tf.broadcast_to(y, logits.shape[:-1])
    every = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(every, axis=1)

  def loss(params, task, seed):
    step = (seed - task["seed"])[1] - 1  # the inverse of `base.at_step`
    return loss_at(params, tf.gather(images, step), tf.gather(labels, step))

  def lifted_loss(params, tasks, seeds):
    step = (seeds - tasks["seed"])[0, 1] - 1  # all instances are at the same
    x, y = tf.gather(images, step), tf.gather(labels, step)
    if seeds.shape[0] == 1:
      return base.lift(lambda p: loss_at(p, x, y), params)
    return losses_at(params, x, y)

  return base.Problem(init, loss, lifted_loss)


def problem_of(case: case_lib.Case) -> base.Problem:
  """The case as a problem."""
  theta = {name: tf.constant(value[np.newaxis]) for name, value in case.theta.items()}
  return problem(theta, tf.constant(case.images), tf.constant(case.labels))


def optimizer_of(case: case_lib.Case) -> optimizers.CoordinatewiseLSTM:
  """The optimizer with the case's phi."""
  sizes = [case.phi[f"lstm_{i + 1}/b_gates"].size // 4 for i in range(case.num_layers)]
  log_and_sign = preprocessing.LogAndSign(case.p)
  optimizer = optimizers.CoordinatewiseLSTM(sizes, log_and_sign, case.output_scale)
  for name, variable in optimizer.named_phi().items():
    variable.assign(case.phi[name])
  return optimizer


class Ours(worker.Contestant):
  """One episode of one window a meta-step, so that all start from theta_0."""

  def __init__(self, case, meta_gradient: str = "full"):
    blocks.use_a_thread_a_block()
    steps, rate = case.num_steps, case.learning_rate
    training = Training(
      num_steps=steps,
      unroll_length=steps,
      episodes_per_epoch=10**6,
      learning_rate=rate,
      learning_rate_decay=1.0,
      meta_gradient=meta_gradient,
    )
    self._case = case
    self._optimizer = optimizer_of(case)
    self._trainer = MetaTrainer(problem_of(case), self._optimizer, training)

  def meta_step(self):
    return self._trainer.step().loss

  @tf.function(autograph=False)
  def _losses_and_gradients(self):
    runner, what = blocks.split(self._optimizer), problem_of(self._case)
    carry, _ = unroll.start(what, runner, tf.zeros([1, 2], tf.int32))
    with tf.GradientTape() as tape:
      _, losses = unroll.unroll(what, runner, carry, self._case.num_steps)
      total = tf.reduce_sum(losses)
    return losses[:, 0], tape.gradient(total, self._optimizer.named_phi())

  def losses_and_gradients(self):
    losses, gradients = self._losses_and_gradients()
    return losses.numpy(), {name: g.numpy() for name, g in gradients.items()}

  def phi(self):
    return {name: v.numpy() for name, v in self._optimizer.named_phi().items()}


if __name__ == "__main__":
  worker.serve(Ours, packages=("tensorflow", "numpy"))
