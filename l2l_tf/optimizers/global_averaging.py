"""The LSTM optimizer with global averaging cells, LSTM+GAC (paper section 2.2)."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from l2l_tf.optimizers import coordinatewise
from l2l_tf.optimizers import preprocessing as preprocessing_lib


class GlobalAveragingLSTM(coordinatewise.CoordinatewiseLSTM):
  """A `CoordinatewiseLSTM` whose coordinates talk through averages.

  The last `num_gacs` units of each layer are global averaging cells (GACs): "These cells operate
  like normal LSTM cells, but their outgoing activations are averaged at each step across all
  coordinates" (section 2.2). Its parameters phi are those of the plain LSTM, name by name.

  Note: we read "outgoing activations" as the output h = sigmoid(o) tanh(c) of the cell. The average
    takes its place wherever h goes: up into the next layer or the linear map, and through the
    recurrent weights into the next step. The memory c of the cell stays with its coordinate.
  Note: the average is over the coordinates of one instance; instances never mix.
  """

  coordinatewise = False

  def __init__(
    self,
    layer_sizes: Sequence[int] = (20, 20),
    num_gacs: int = 5,
    preprocessing: Any = preprocessing_lib.LogAndSign(),
    output_scale: float = 0.1,
    seed: int = 0,
    dtype: Any = tf.float32,
    name: str = "global_averaging_lstm",
  ):
    """Samples phi.

    Args:
      layer_sizes: units of each LSTM layer, GACs among them; two layers of 20 in the paper.
      num_gacs: how many units of each layer are GACs; 5 in the paper (section 3.1).
      preprocessing: `LogAndSign` or `Rescale` of `l2l_tf.preprocessing`.
      output_scale: constant on the output (postprocessing); 1 is none.
      seed: of the initial phi.
      dtype: float type of phi and of the states.
      name: of the module.

    Raises:
      ValueError: for no layers, a layer without units, or more GACs than units.
    """
    super().__init__(layer_sizes, preprocessing, output_scale, seed, dtype, name)
    check_num_gacs(num_gacs, layer_sizes)
    self.num_gacs = num_gacs

  def config(self) -> dict[str, Any]:
    """Returns what builds this optimizer again, in JSON types."""
    return {**super().config(), "kind": "lstm_gac", "num_gacs": self.num_gacs}

  def outgoing(self, hidden: tf.Tensor) -> tf.Tensor:
    """`average_last` of the GACs."""
    return average_last(hidden, self.num_gacs)


def average_last(hidden: tf.Tensor, count: int) -> tf.Tensor:
  """Replaces the activations of the last `count` units by their averages over the coordinates.

  Args:
    hidden: `[units, B, n]`.
    count: 0..units.

  Returns:
    `[units, B, n]`; the averaged units are constant along the last axis.
  """
  own, averaged = tf.split(hidden, [hidden.shape[0] - count, count])
  return tf.concat([own, average(averaged)], axis=0)


def average(values: tf.Tensor) -> tf.Tensor:
  """The mean over the coordinates, given back to each of them: `[..., n] -> [..., n]`."""
  return tf.broadcast_to(tf.reduce_mean(values, axis=-1, keepdims=True), values.shape)


def check_num_gacs(num_gacs: int, layer_sizes: Sequence[int]) -> None:
  """Raises ValueError unless each layer has that many units."""
  if type(num_gacs) is not int or not 0 <= num_gacs <= min(layer_sizes):
    raise ValueError(
      f"num_gacs must be an integer of 0..{min(layer_sizes)}, the units of the smallest layer, got"
      f" {num_gacs!r}."
    )
