"""What a state in bfloat16 costs: python -m benchmarks.state_dtype [--out=FILE.json]

Runs a pretrained optimizer on fresh instances of the MNIST base MLP, with its hidden states kept in
float32 and in bfloat16 between steps: bytes of state for each coordinate, mean and final loss, and
the ratio of the final losses, paired over the instances.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence

import tensorflow as tf

from benchmarks import reports
import l2l_tf
from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.evaluation import intervals
from l2l_tf.evaluation import protocol
from l2l_tf.optimizers import stored_state
from l2l_tf.problems.base import Stream
from l2l_tf.problems.datasets import SOURCES
from l2l_tf.storage import outputs


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(
    paths.Read, "optimizer", "mnist_lstm", "directory, or a name of l2l_tf.pretrained.list()"
  )
  flags.add(str, "data", "auto", "source of MNIST, as in bin/train.py", SOURCES)
  flags.add(int, "num_runs", 100, "fresh instances, at least 2")
  flags.add(int, "num_steps", 100, "optimization steps of each")
  experiment_flags.add_output(flags, None, "JSON file to write")
  flags.parse(argv)
  if flags.num_runs < 2 or flags.num_steps < 1:
    raise experiment_flags.UsageError("--num_runs must be at least 2 and --num_steps at least 1.")
  data = problems.load("mnist", source=flags.data)
  problem = problems.mlp(data)
  try:
    directory = pretrained.find(flags.optimizer)
  except ValueError as error:
    raise experiment_flags.UsageError(str(error)) from error
  optimizer, _ = l2l_tf.load_optimizer(directory)
  about = outputs.Content(
    {"data": data.source, "num_steps": flags.num_steps}, {"num_runs": flags.num_runs}
  )
  outputs.check(flags.out, about, flags.overwrite)
  seeds = problem.seeds(0, Stream.TEST, count=flags.num_runs)
  rows, finals = [], []
  print(f"{flags.optimizer}; {data.source}; {flags.num_runs} runs of {flags.num_steps} steps")
  print("state      bytes a coordinate   mean loss          final loss")
  for dtype in (tf.float32, tf.bfloat16):
    runner = stored_state.StoredState(optimizer, dtype)
    losses = protocol.curves(problem, runner, seeds, flags.num_steps)
    finals.append(protocol.final_losses(losses))
    mean, final = (intervals.interval(x) for x in (losses[:, 1:].mean(axis=1), finals[-1]))
    row = {"dtype": dtype.name, "bytes": _bytes(runner), "mean_loss": mean, "final_loss": final}
    rows.append({key: x._asdict() if hasattr(x, "_asdict") else x for key, x in row.items()})
    print(f"{dtype.name:10} {row['bytes']:18}   {mean!s:16}   {final}", flush=True)
  ratio = intervals.ratio_interval(finals[1], finals[0])
  print(f"final loss, bfloat16 / float32: {ratio}")
  found = {"optimizer": flags.optimizer, **about.same, **about.counts}
  reports.write(__file__, flags, {**found, "rows": rows, "ratio": ratio._asdict()})
  return 0


def _bytes(runner: stored_state.StoredState) -> int:
  """Of the state of one coordinate."""
  state = runner.initial_state({"x": tf.zeros([1, 1])})
  return sum(x.shape.num_elements() * x.dtype.size for x in tf.nest.flatten(state))


if __name__ == "__main__":
  experiment_flags.run(main)
