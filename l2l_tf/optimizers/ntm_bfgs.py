"""NTM-BFGS and NTM-L-BFGS: LSTM+GAC with an external memory (appendix B, docs/ntm_bfgs.md)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from l2l_tf.optimizers import base
from l2l_tf.optimizers import coordinatewise
from l2l_tf.optimizers import global_averaging
from l2l_tf.optimizers import memory as memory_lib
from l2l_tf.optimizers import preprocessing as preprocessing_lib

WRITE_GAIN = 0.1  # initial scale of the write heads: the memory starts close to the identity


class NTMState(NamedTuple):
  """State of `NTMBFGS`."""

  controller: Any  # of the LSTM layers, [units, B, n]
  memory: Any  # M_t, `[B, n, n]` of a `FullMemory`, the `History` of a `LimitedMemory`
  read_results: tf.Tensor  # i_t = M_t r_t, [read heads, B, n]

  if not TYPE_CHECKING:  # type: ignore[misc]  # mypy knows fields and methods only
    AXES = {"memory": "Bnn"}


class Outputs(NamedTuple):
  """What the controller gives for every coordinate in one step."""

  update: tf.Tensor  # of theta, [1, B, n]
  read: tf.Tensor  # r_{t+1}, [read heads, B, n]
  left: tf.Tensor  # a_t, [write heads, B, n]
  right: tf.Tensor  # b_t, [write heads, B, n]


class NTMBFGS(base.Optimizer):
  """An LSTM+GAC controller that reads and writes a matrix shared by all coordinates.

  One step, with the controller m of appendix B and linear heads on its last activation:

    1. update_t, r_{t+1}, a_t, b_t, h_{t+1} = m(gradient_t, i_t, h_t)
    2. M_{t+1} = M_t + sum_heads a_t b_t^T
    3. i_{t+1} = M_{t+1} r_{t+1}, which the controller sees in the next step.

  M_0 is the identity, as in BFGS; the first read result i_0 is zero.

  Note: Figure 12 gives the vector that leaves the controller at step t the index t+1, so a read
    sees what was written in the same step.
  Note: `preprocessing` applies to gradients alone. Read vectors are linear in bounded activations,
    so their reads are of the order of 1, whatever the scale of f.
  """

  def __init__(
    self,
    layer_sizes: Sequence[int] = (20, 20),
    num_gacs: int = 5,
    num_read_heads: int = 1,
    num_write_heads: int = 3,
    preprocessing: Any = preprocessing_lib.LogAndSign(),
    output_scale: float = 0.1,
    seed: int = 0,
    dtype: Any = tf.float32,
    name: str = "ntm_bfgs",
  ):
    """Samples phi.

    Args:
      layer_sizes: units of each LSTM layer; two layers of 20 in the paper.
      num_gacs: how many units of each layer are GACs; 5 in the paper (section 3.1).
      num_read_heads: vectors read in one step; 1 in the paper.
      num_write_heads: outer products written in one step; 3 in the paper.
      preprocessing: of gradients, `LogAndSign` or `Rescale` of `l2l_tf.preprocessing`.
      output_scale: constant on the updates (postprocessing); 1 is none.
      seed: of the initial phi.
      dtype: float type of phi and of the states.
      name: of the module.

    Raises:
      ValueError: for no layers, a layer without units, more GACs than units, or no heads.
    """
    super().__init__(name)
    coordinatewise.check_sizes(layer_sizes, output_scale)
    global_averaging.check_num_gacs(num_gacs, layer_sizes)
    for what, heads in (("num_read_heads", num_read_heads), ("num_write_heads", num_write_heads)):
      if type(heads) is not int or not 0 < heads <= 1024:
        raise ValueError(f"{what} must be an integer of 1..1024, got {heads!r}.")
    self.layer_sizes = tuple(layer_sizes)
    self.num_gacs = num_gacs
    self.num_read_heads = num_read_heads
    self.num_write_heads = num_write_heads
    self.preprocessing = preprocessing
    self.output_scale = output_scale
    self.memory = self.make_memory()
    *layer_seeds, seed_0, seed_1, seed_2 = tf.random.split([seed, 0], len(layer_sizes) + 3)
    num_features = preprocessing.num_features + num_read_heads
    self.layers = coordinatewise.make_layers(num_features, layer_sizes, layer_seeds, dtype)
    linear, units = coordinatewise.Linear, layer_sizes[-1]
    self.linear = linear(units, 1, seed_0, dtype)
    self.read_heads = linear(units, num_read_heads, seed_1, dtype, name="read_heads")
    self.write_heads = linear(
      units, 2 * num_write_heads, seed_2, dtype, WRITE_GAIN, name="write_heads"
    )

  def make_memory(self) -> Any:
    """Returns the kind of memory."""
    return memory_lib.FullMemory()

  def config(self) -> dict[str, Any]:
    """Returns what builds this optimizer again, in JSON types."""
    return {
      "kind": "ntm_bfgs",
      "layer_sizes": list(self.layer_sizes),
      "num_gacs": self.num_gacs,
      "num_read_heads": self.num_read_heads,
      "num_write_heads": self.num_write_heads,
      "preprocessing": preprocessing_lib.to_config(self.preprocessing),
      "output_scale": self.output_scale,
      **base.dtype_config(self.linear.b),
    }

  def initial_state(self, params: base.Params) -> NTMState:
    """Returns a controller at rest, identities in the memory, and nothing read."""
    flat, dtype = base.flatten(params), self.linear.b.dtype
    return NTMState(
      self.initial_controller(params),
      self.memory.initial(*flat.shape, dtype),
      tf.zeros([self.num_read_heads, *flat.shape], dtype),
    )

  def __call__(
    self, gradients: base.Params, state: base.State, params: base.Params | None = None
  ) -> tuple[base.Params, base.State]:
    flat = base.flatten(gradients)  # [B, n]
    features = self.preprocessing(tf.reshape(flat, [-1]))
    features = tf.reshape(features, [features.shape[0], *flat.shape])
    inputs = tf.concat([features, state.read_results], axis=0)
    outputs, controller = self.control(inputs, state.controller)
    memory = self.memory.write(state.memory, outputs.left, outputs.right)
    read_results = self.memory.read(memory, outputs.read)
    updates = base.unflatten(outputs.update[0], gradients)
    return updates, NTMState(controller, memory, read_results)

  def rest(self, state: NTMState) -> NTMState:
    """Coordinates at rest write zeros; a limited memory forgets their oldest write in time."""
    zeros = tf.zeros([self.num_write_heads, *state.read_results.shape[1:]], self.linear.b.dtype)
    return state._replace(memory=self.memory.write(state.memory, zeros, zeros))

  def initial_controller(self, params: base.Params) -> Any:
    """Returns the state of the controller before the first step."""
    return coordinatewise.initial_layers(self.layer_sizes, params, self.linear.b.dtype)

  def control(self, inputs: tf.Tensor, state: Any) -> tuple[Outputs, Any]:
    """One step of the controller: LSTM+GAC and the linear heads.

    Args:
      inputs: `[features + read heads, B, n]`: preprocessed gradients, then read results.
      state: of the layers.

    Returns:
      Its outputs and the next state.
    """
    rows = tf.reshape(inputs, [inputs.shape[0], -1])
    activation, state = coordinatewise.run_layers(self.layers, rows, state, self.outgoing)
    update = self.output_scale * self.linear(activation)
    parts = update, self.read_heads(activation), *tf.split(self.write_heads(activation), 2)
    shaped = [tf.reshape(part, [part.shape[0], *inputs.shape[1:]]) for part in parts]
    return Outputs(*shaped), state

  def outgoing(self, hidden: tf.Tensor) -> tf.Tensor:
    """The GACs of a layer, `global_averaging.average_last`."""
    return global_averaging.average_last(hidden, self.num_gacs)


class NTMLBFGS(NTMBFGS):
  """`NTMBFGS` that remembers its last `history` writes only, so that it costs O(n history)."""

  def __init__(
    self,
    layer_sizes: Sequence[int] = (20, 20),
    num_gacs: int = 5,
    num_read_heads: int = 1,
    num_write_heads: int = 3,
    history: int = 10,
    preprocessing: Any = preprocessing_lib.LogAndSign(),
    output_scale: float = 0.1,
    seed: int = 0,
    dtype: Any = tf.float32,
    name: str = "ntm_lbfgs",
  ):
    """Samples phi; see `NTMBFGS`.

    Args:
      layer_sizes: as there.
      num_gacs: as there.
      num_read_heads: as there.
      num_write_heads: as there.
      history: steps whose write vectors are kept. The paper gives no number.
      preprocessing: as there.
      output_scale: as there.
      seed: as there.
      dtype: as there.
      name: of the module.

    Raises:
      ValueError: as there, or for a history below 1.
    """
    self.history = history
    super().__init__(
      layer_sizes, num_gacs, num_read_heads, num_write_heads, preprocessing, output_scale, seed,
      dtype, name,
    )  # fmt: skip

  def make_memory(self) -> memory_lib.LimitedMemory:
    return memory_lib.LimitedMemory(self.history, self.num_write_heads)

  def config(self) -> dict[str, Any]:
    return {**super().config(), "kind": "ntm_lbfgs", "history": self.history}
